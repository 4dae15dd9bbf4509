"""A server that takes no long spans, whatever its version and however it says so: shorter ones are asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pandas as pd
import pytest

from podlab.errors import InputError, PodlabError
from podlab.http import TooLargeError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples

VERSIONS = {1: "1.12.3", 2: "v2.7.11", 3: "3.4.1"}
HOUR_NS = 3_600 * 10**9
LIMIT_H = 2.0


class Limited:
    """Any version's ``/query`` before a real 1.x server, which refuses spans of more than some hours."""

    def __init__(self, upstream: Influxd, major: int, status: int, said: str) -> None:
        self.upstream, self.major, self.status, self.said = upstream, major, status, said
        self.limit_h = LIMIT_H
        #: Hours that were asked for; infinite where there was no beginning.
        self.spans_h: list[float] = []
        self.url = ""

    def answer(self, url: str, body: str) -> tuple[int, str, bytes]:
        split = urlsplit(url)
        if split.path != "/query":
            return 200, "text/plain", b""
        form = {name: values[-1] for name, values in parse_qs(f"{split.query}&{body}").items()}
        bound = json.loads(form.get("params", "{}"))
        times = [int(text) for text in re.findall(r"time >?=? ?<? ?(\d{16,})", form["q"])]
        times = [bound["since"], bound["until"]] if "since" in bound else times
        if "SELECT" in form["q"]:
            span_h = (times[1] - times[0]) / HOUR_NS if times else float("inf")
            self.spans_h.append(span_h)
            if span_h > self.limit_h:
                return self._refuse()
        answer = httpx.get(
            f"{self.upstream.url}/query", params=form, auth=self.upstream.admin, timeout=60,
            headers={"Accept": "application/json" if self.major == 3 else "application/x-msgpack"},
        )  # fmt: skip
        return answer.status_code, answer.headers["Content-Type"], answer.content

    def _refuse(self) -> tuple[int, str, bytes]:
        if self.status == 200:
            told = {"results": [{"statement_id": 0, "error": self.said}]}
            if self.major == 3:
                return 200, "application/json", json.dumps(told).encode()
            return 200, "application/x-msgpack", msgspec.msgpack.encode(told)
        told = self.said if self.major == 3 else json.dumps({"error": self.said, "code": "invalid"})
        return self.status, "text/plain", told.encode()


@contextmanager
def limited(upstream: Influxd, major: int, status: int, said: str) -> Iterator[Limited]:
    server = Limited(upstream, major, status, said)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, kind, answer = server.answer(self.path, body)
            self.close_connection = True
            self.send_response(status)
            self.send_header("X-Influxdb-Version", VERSIONS[major])
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    """A container each ten minutes for a day."""
    return make_samples(("nginx",), deployments_per_service=1, seconds=86_400, interval_s=600)


@pytest.fixture(scope="module")
def filled(influxd: Influxd, samples: pd.DataFrame) -> str:
    name = influxd.new_database()
    replay(samples, InfluxDatabase(influxd.url, name, *influxd.admin))
    return name


FILES = (
    "Error while planning query: External error: Query would exceed file limit of 432 parquet files. Please specify a "
    "smaller time range for your query. You can increase the file limit with the `--query-file-limit` option"
)


@pytest.mark.parametrize(
    ("major", "status", "said"),
    [
        (1, 200, "max-time-range limit exceeded: (83h0m0s/72h0m0s)"),
        (1, 200, "max-select-point limit exceeed: (100001/100000)"),
        (1, 400, "query would process more than 1000000 rows; please narrow your query"),
        (1, 400, "max-select-series limit exceeded: (1001/1000)"),
        (1, 200, "max-select-buckets limit exceeded: (1001/1000)"),
        (1, 200, "query-timeout limit exceeded"),
        (1, 413, ""),
        (2, 500, "memory allocation limit reached: limit 100 bytes, allocated: 90, wanted: 20"),
        (2, 200, "max-select-point limit exceeded: (100001/100000)"),
        (3, 500, FILES),
        (3, 400, FILES),
        (3, 422, FILES),
        (3, 200, FILES),
        (3, 503, "Resources exhausted: Failed to allocate additional 1234 bytes for GroupedHashAggregateStream"),
    ],
)
def test_shorter_spans_are_asked_for_and_all_rows_come(
    influxd: Influxd, filled: str, samples: pd.DataFrame, major: int, status: int, said: str
) -> None:
    with limited(influxd, major, status, said) as server:
        source = InfluxSource(InfluxDatabase(server.url, filled, token="any"), columns=["memory_rss_bytes"])
        got = source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "s"))
        source.close()
    assert got["time"].tolist() == samples["time"].tolist()
    assert got["memory_rss_bytes"].tolist() == samples["memory_rss_bytes"].tolist()
    refused = [span for span in server.spans_h if span > server.limit_h]
    # What was refused once is not asked for again and again.
    assert len(refused) <= len(server.spans_h) // 3
    assert max(server.spans_h) > server.limit_h / 2


def test_no_span_is_short_enough(influxd: Influxd, filled: str, samples: pd.DataFrame) -> None:
    with limited(influxd, 1, 200, "max-select-series limit exceeded: (1001/1000)") as server:
        server.limit_h = 0.0
        source = InfluxSource(InfluxDatabase(server.url, filled))
        words = r"even .* s of kubernetes_pod_container are too much.*max-select-series.*; raise the server's limit"
        with pytest.raises(PodlabError, match=words):
            source.fetch(samples["time"].min(), samples["time"].max())


@pytest.mark.parametrize(
    ("major", "status", "said"),
    [
        (1, 200, "max-concurrent-queries limit exceeded(8, 8)"),
        (2, 429, "org 0123 has exceeded limited_query plan limit"),
        (2, 500, "queue length exceeded"),
        (3, 429, "too many requests"),
    ],
)
def test_a_busy_server_is_not_asked_for_less(
    influxd: Influxd, filled: str, samples: pd.DataFrame, major: int, status: int, said: str
) -> None:
    with limited(influxd, major, status, said) as server:
        server.limit_h = 0.0
        source = InfluxSource(InfluxDatabase(server.url, filled, token="any"))
        with pytest.raises(PodlabError, match=r"asked too often or too much by others: .*; try again later") as error:
            source.fetch(samples["time"].min(), samples["time"].max())
    assert not isinstance(error.value, InputError | TooLargeError)
    assert len(server.spans_h) == 1


@pytest.mark.parametrize("major", [1, 3])
def test_why_there_are_no_rows_is_told_all_the_same(
    influxd: Influxd, filled: str, samples: pd.DataFrame, major: int
) -> None:
    with limited(influxd, major, 400, FILES) as server:
        source = InfluxSource(InfluxDatabase(server.url, filled, token="any"))
        since = samples["time"].max() + pd.Timedelta(1, "D")
        with pytest.raises(InputError, match=r"no rows of kubernetes_pod_container from .*; choose another span"):
            source.fetch(since, since + pd.Timedelta(600, "s"))
