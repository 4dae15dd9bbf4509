"""The status says success, the body does not; and errors that the API has words for."""

from __future__ import annotations

import json

import pytest

from podlab.errors import InputError, PodlabError
from tests.faults.prometheus_case import only_samples, refused
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    ("kind", "said", "error", "words"),
    [
        ("bad_data", "parse error", InputError, "the server refuses the question: parse error"),
        ("timeout", "query timed out in\nexpression", PodlabError, "the server gave up: query timed out in expression"),
        ("internal", "disk on fire", PodlabError, "the server failed: disk on fire; try again"),
    ],
)
def test_an_error_is_told(
    prometheusd: Prometheusd, status: int, kind: str, said: str, error: type[PodlabError], words: str
) -> None:
    body = json.dumps({"status": "error", "errorType": kind, "error": said}).encode()
    assert type(refused(prometheusd, only_samples(lambda *_: Answer(status, body)), words)) is error


def test_a_gateway_says_it_in_its_own_words(prometheusd: Prometheusd) -> None:
    refused(
        prometheusd,
        lambda *_: Answer(502, b"Bad Gateway\n<html>"),
        "the server failed with 502: Bad Gateway; try again",
    )


def test_asked_too_often(prometheusd: Prometheusd) -> None:
    refused(
        prometheusd, lambda *_: Answer(429, b"slow down"), "the server is asked too often: slow down; try again later"
    )
