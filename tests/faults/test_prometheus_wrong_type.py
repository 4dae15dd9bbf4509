"""The answer is sound JSON of another shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.prometheus_case import fetch, only_samples, refused, spoiled
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer

NO_PAIRS = "its values are not pairs of time and number"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2", "3"]]}]}, NO_PAIRS),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[1], [2]]}]}, NO_PAIRS),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "many"]]}]}, NO_PAIRS),
        ({"resultType": "matrix", "result": [{"metric": {"pod": 7}, "values": []}]}, "Expected `str`, got `int`"),
        ({"resultType": "matrix", "result": {"metric": {}}}, r"Expected `array \| null`, got `object`"),
        ([], "Expected `object`, got `array`"),
        (None, "Expected `object`, got `null`"),
    ],
)
def test_other_shapes_are_refused(prometheusd: Prometheusd, data: Any, words: str) -> None:
    body = json.dumps({"status": "success", "data": data}).encode()
    refused(
        prometheusd, only_samples(lambda *_: Answer(200, body)), f"the answer is not Prometheus' or broke off: {words}"
    )


def test_a_page_of_something_else(prometheusd: Prometheusd) -> None:
    refused(
        prometheusd,
        lambda *_: Answer(200, b"<html>Welcome</html>"),
        r"not Prometheus' .*check that prometheus_url leads to Prometheus' API",
    )


@pytest.mark.parametrize("status", [301, 404, 405])
def test_an_address_without_the_api(prometheusd: Prometheusd, status: int) -> None:
    answer = Answer(status, b"404 page not found\n", headers={"Location": "/login"})
    refused(prometheusd, lambda *_: answer, rf"no Prometheus API at this address: {status} .*before /api/v1")


def test_histograms_are_passed_over(prometheusd: Prometheusd) -> None:
    def mix(_path: str, _headers: dict[str, str], answer: Answer) -> Answer:
        body = json.loads(answer.body)
        body["data"]["result"].append({"metric": {"pod": "x", "container": "y"}, "histograms": [[1, {"count": "2"}]]})
        return Answer(200, json.dumps(body).encode())

    with spoiled(prometheusd, only_samples(mix)) as (proxy, samples, labels):
        assert len(fetch(proxy.url, samples, labels)) == len(samples)
