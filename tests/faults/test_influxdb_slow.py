"""InfluxDB answers late, or byte by byte for ever."""

from __future__ import annotations

import msgspec
import pytest

from podlab.errors import PodlabError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.faults.influxdb_case import SINCE, UNTIL, fetch_from
from tests.support.influxd import Influxd
from tests.support.tampering import Answer, Tamper, tampering

WORDS = r"InfluxDB did not answer within 5 s; fetch a shorter span or raise the timeout"
EMPTY = msgspec.msgpack.encode({"results": [{"statement_id": 0, "series": []}]})


def only_queries(answer: Answer) -> Tamper:
    """Let the server say what it is, and answer each question so."""
    return lambda path, _headers, _answer: answer if path == "/query" else None


def test_a_server_that_says_nothing() -> None:
    with pytest.raises(PodlabError, match=WORDS):
        fetch_from(b"", timeout_s=5.0)()


@pytest.mark.parametrize(
    "answer", [Answer(200, EMPTY, pause_s=600), Answer(200, EMPTY * 100, pause_s=0.05, byte_by_byte=True)],
    ids=["no byte comes", "one byte after the other"],
)  # fmt: skip
def test_a_question_is_not_waited_for(influxd: Influxd, answer: Answer) -> None:
    with tampering(influxd.url, only_queries(answer)) as proxy:
        source = InfluxSource(InfluxDatabase(proxy.url, "telegraf", timeout_s=5.0))
        with pytest.raises(PodlabError, match=WORDS):
            source.fetch(SINCE, UNTIL)
        source.close()
        assert proxy.requests.count("/query") == 1
