"""Answers without bound, and servers that refuse to give much at once."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import PodlabError
from podlab.sources.prometheus import PrometheusSource
from tests.faults.prometheus_case import fetch, few_samples, only_samples, spoiled
from tests.support.prometheusd import ANY_AGE, Prometheusd, running_prometheus
from tests.support.tampering import Answer


def test_an_endless_answer_is_left_after_so_many_bytes(prometheusd: Prometheusd) -> None:
    endless = only_samples(lambda *_: Answer(200, b" " * 100_000, endless=True))
    with spoiled(prometheusd, endless) as (proxy, samples, labels):
        words = (
            r"even .* s of container_cpu_usage_seconds_total are too much for one answer: .* more than 1,000,000 bytes"
        )
        with pytest.raises(PodlabError, match=words):
            fetch(proxy.url, samples, labels, max_answer_bytes=1_000_000, slice_s=2)
        asked = proxy.requests.count("/api/v1/query")
        # What lies in the sockets' buffers was sent as well.
        assert proxy.sent_bytes < asked * 50_000_000


def test_a_server_that_loads_few_samples_at_once_is_asked_for_less() -> None:
    samples = few_samples()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_prometheus(Path(folder), "", *ANY_AGE, "--query.max-samples=8") as small,
    ):
        labels = small.write(samples)
        got = fetch(small.url, samples, labels)
        assert len(got) == len(samples)
        assert got["rx_bytes"].tolist() == samples["rx_bytes"].tolist()


def _api_says(said: str) -> bytes:
    return json.dumps({"status": "error", "errorType": "execution", "error": said}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, _api_says("exceeded the maximum number of chunks (limit: 2000000) (err-mimir-max-chunks-per-query)")),
        (422, _api_says("exceeded series limit: rpc error")),
        (503, _api_says("query timed out in expression evaluation")),
        (422, _api_says("cannot process more than 30000 series")),
        (422, _api_says("cannot select more than -search.maxSamplesPerQuery=1000000 samples; to increase the limit")),
        (500, _api_says("rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)")),
        (400, b"the query time range exceeds the limit (query length: 10m0s, limit: 5m0s)\n"),
        (413, b"<html>Request Entity Too Large</html>"),
    ],
    ids=["Mimir", "Thanos", "time-out", "series", "VictoriaMetrics", "gRPC", "plain words", "gateway"],
)
def test_each_servers_word_for_too_much_is_known(prometheusd: Prometheusd, status: int, body: bytes) -> None:
    asked: list[int] = []

    def once(_path: str, _headers: dict[str, str], _answer: Answer) -> Answer | None:
        asked.append(1)
        return Answer(status, body) if len(asked) == 1 else None

    with spoiled(prometheusd, only_samples(once)) as (proxy, samples, labels):
        source = PrometheusSource(prometheusd.api(), labels=labels)
        whole = source.fetch(samples["time"].min(), samples["time"].max())
        narrowed = PrometheusSource(type(prometheusd)(proxy.url, 0).api(), labels=labels)
        pd.testing.assert_frame_equal(narrowed.fetch(samples["time"].min(), samples["time"].max()), whole)
        assert len(asked) > 2
