"""Prometheus answers late, or byte by byte for ever."""

from __future__ import annotations

import pytest

from podlab.errors import PodlabError
from tests.faults.prometheus_case import fetch, only_samples, spoiled
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer

WORDS = r"Prometheus did not answer within 5 s; fetch a shorter span or raise the timeout"


def test_no_byte_comes(prometheusd: Prometheusd) -> None:
    late = only_samples(lambda _path, _headers, answer: Answer(200, answer.body, pause_s=600))
    with spoiled(prometheusd, late) as (proxy, samples, labels), pytest.raises(PodlabError, match=WORDS):
        fetch(proxy.url, samples, labels, timeout_s=5.0)


def test_one_byte_after_the_other(prometheusd: Prometheusd) -> None:
    dribble = only_samples(lambda _path, _headers, answer: Answer(200, answer.body, pause_s=0.05, byte_by_byte=True))
    with spoiled(prometheusd, dribble) as (proxy, samples, labels):
        with pytest.raises(PodlabError, match=WORDS):
            fetch(proxy.url, samples, labels, timeout_s=5.0)
        assert proxy.requests.count("/api/v1/query") == 1
