"""A server with Prometheus' API that evaluates no bare range selector: another engine, or what stands before one."""

from __future__ import annotations

import json

import pytest

from podlab.errors import InputError
from tests.faults.prometheus_case import only_samples, refused
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer

TOLD = "gives no samples as they were scraped .*{}.*; set prometheus_url to the server that stores them"


@pytest.mark.parametrize("status", [200, 400, 422, 500])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("bad_data", 'invalid expression type "range vector" for range query, must be Scalar or instant Vector'),
        ("execution", "unsupported expression: matrix selector"),
        ("internal", "query has range selector, which is not implemented"),
    ],
)
def test_it_refuses_them(prometheusd: Prometheusd, status: int, kind: str, said: str) -> None:
    body = json.dumps({"status": "error", "errorType": kind, "error": said}).encode()
    error = refused(prometheusd, only_samples(lambda *_: Answer(status, body)), TOLD.format(said[:20]))
    assert type(error) is InputError


@pytest.mark.parametrize("kind", ["vector", "scalar"])
def test_it_answers_with_one_value_of_each_series(prometheusd: Prometheusd, kind: str) -> None:
    body = json.dumps({"status": "success", "data": {"resultType": kind, "result": []}}).encode()
    error = refused(prometheusd, only_samples(lambda *_: Answer(200, body)), TOLD.format(f"with a {kind}"))
    assert type(error) is InputError
