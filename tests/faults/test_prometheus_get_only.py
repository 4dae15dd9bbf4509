"""What stands before Prometheus lets readers in by GET alone, or knows only questions for samples."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pandas as pd
import pytest

from podlab.errors import InputError, PodlabError
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_client import OutOfOrderError, PrometheusApi
from podlab.sources.remote_write import series_of, write_series
from tests.faults.prometheus_case import fetch, few_samples, refused, spoiled
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer

FORBIDDEN = json.dumps(
    {
        "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": 'services "prometheus:9090" is forbidden: User "u" cannot create resource "services/proxy"',
    }
).encode()  # fmt: skip


@contextmanager
def readers_only(server: Prometheusd, status: int, body: bytes, *, longest: int = 8_192) -> Iterator[tuple[str, list]]:
    """Run a gateway that refuses a POST, and an address longer than gateways take."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append("GET")
            if len(self.path) > longest:
                self._send(414, b"Request-URI Too Long")
                return
            real = httpx.get(server.url + self.path, timeout=60)
            self._send(real.status_code, real.content)

        def do_POST(self) -> None:
            asked.append("POST")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._send(status, body)

        def _send(self, status: int, body: bytes) -> None:
            self.close_connection = True
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    gateway = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=gateway.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{gateway.server_port}", asked
    finally:
        gateway.shutdown()
        thread.join()
        gateway.server_close()


@pytest.mark.parametrize(
    ("status", "body"), [(405, b"Method Not Allowed"), (403, FORBIDDEN), (404, b"no such route"), (501, b"")]
)
def test_questions_are_asked_by_get_where_a_post_is_refused(prometheusd: Prometheusd, status: int, body: bytes) -> None:
    samples = few_samples()
    labels = prometheusd.write(samples)
    with readers_only(prometheusd, status, body) as (url, asked):
        assert len(fetch(url, samples, labels)) == len(samples)
    assert asked.count("POST") == 1  # it is not tried again and again


def test_many_pods_fit_into_addresses(prometheusd: Prometheusd) -> None:
    samples = few_samples()
    labels = prometheusd.write(samples)
    names = [samples["pod"].iloc[0], *(f"shop-frontend-{number}-7c9f8d6b5-x2x4z" for number in range(500))]
    with readers_only(prometheusd, 405, b"") as (url, asked):
        source = PrometheusSource(PrometheusApi(url), labels=labels)
        got = source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "s"), pods=names)
    assert len(got) == len(samples)
    assert asked.count("POST") == 1


def test_who_has_no_right_at_all_hears_the_servers_own_words(prometheusd: Prometheusd) -> None:
    words = r"refuses a visitor without login: services \"prometheus:9090\" is forbidden: User \"u\" cannot create"
    assert isinstance(refused(prometheusd, lambda *_: Answer(403, FORBIDDEN), words), InputError)


@pytest.mark.parametrize("body", [b'{"message": "no right here", "traceID": "1"}', b'{"reason": "no right here"}'])
def test_words_of_other_gateways(prometheusd: Prometheusd, body: bytes) -> None:
    refused(prometheusd, lambda *_: Answer(403, body), "no right here; check prometheus_token")


@pytest.mark.parametrize("missing", ["/api/v1/labels", "/api/v1/label/__name__/values", "/label"])
@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_questions_for_names(prometheusd: Prometheusd, missing: str, status: int) -> None:
    def without(path: str, _headers: dict[str, str], _answer: Answer) -> Answer | None:
        return Answer(status, b"404 page not found\n") if missing in path else None

    with spoiled(prometheusd, without) as (proxy, samples, labels):
        got = fetch(proxy.url, samples, labels)
        whole = fetch(prometheusd.url, samples, labels)
        pd.testing.assert_frame_equal(got, whole)
        source = PrometheusSource(PrometheusApi(proxy.url), labels=labels)
        until = samples["time"].max() + pd.Timedelta(1, "ms")
        some = source.fetch(samples["time"].min(), until, pods=[samples["pod"].iloc[0]])
        assert len(some) == len(samples)


def test_an_address_without_any_of_it(prometheusd: Prometheusd) -> None:
    error = refused(prometheusd, lambda *_: Answer(404, b"404 page not found\n"), "there is no Prometheus API at this")
    assert isinstance(error, InputError)


def test_a_refused_write_is_not_sent_by_get(prometheusd: Prometheusd) -> None:
    with readers_only(prometheusd, 403, FORBIDDEN) as (url, asked):
        with pytest.raises(InputError, match="cannot create resource") as error:
            write_series(series_of(few_samples()), PrometheusApi(url))
        assert not isinstance(error.value, OutOfOrderError)
    assert set(asked) == {"POST"}


def test_a_page_instead_of_an_answer_is_told_by_its_title(prometheusd: Prometheusd) -> None:
    page = b"\r\n<!DOCTYPE html><html><head><title>Sign in &amp; go</title></head></html>"
    error = refused(prometheusd, lambda *_: Answer(200, page), r"not Prometheus' but a web page \(Sign in & go\)")
    assert isinstance(error, InputError)
    error = refused(prometheusd, lambda *_: Answer(503, page), "the server failed with 503: Sign in & go; try again")
    assert type(error) is PodlabError
    headers = {"Location": "https://sso.example.org/login?token=hunter2"}
    error = refused(
        prometheusd, lambda *_: Answer(302, b"", headers=headers), "it leads to https://sso.example.org/login;"
    )
    assert "hunter2" not in str(error)


def test_answers_that_a_gateway_packs_or_marks(prometheusd: Prometheusd) -> None:
    def packed(_path: str, _headers: dict[str, str], answer: Answer) -> Answer:
        return Answer(answer.status, gzip.compress(answer.body), headers={"Content-Encoding": "gzip"})

    def marked(_path: str, _headers: dict[str, str], answer: Answer) -> Answer:
        return Answer(answer.status, b"\xef\xbb\xbf" + answer.body)

    for change in (packed, marked):
        with spoiled(prometheusd, change) as (proxy, samples, labels):
            assert len(fetch(proxy.url, samples, labels)) == len(samples)
