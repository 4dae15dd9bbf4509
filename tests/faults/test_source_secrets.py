"""Secrets that no request may carry, and servers and libraries that repeat them: never shown, whoever is asked."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable

import msgspec
import pytest
import urllib3

from podlab.config import load_settings
from podlab.errors import InputError, PodlabError
from podlab.kubernetes.client import ApiConnection, Credentials
from podlab.kubernetes.objects import Page, Pod
from podlab.live import live_source
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.kubelet import KubeletAddress, KubeletClient
from podlab.sources.prometheus_client import PrometheusApi
from tests.faults.influxdb_case import SINCE, UNTIL, listening
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import Answer, tampering

SOURCES = ("influxdb", "prometheus")


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PODLAB_METRICS_SOURCE", request.param)
    return str(request.param)


def told(act: Callable[[], object], kind: type[PodlabError] = InputError) -> tuple[str, str]:
    """Return an error's line, and all that a notebook or a log would show of it."""
    with pytest.raises(kind) as error:
        act()
    return str(error.value), "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("value", ["abc\nSECRET", "abc SECRET", "äbcSECRET", "abc\x7fSECRET"])
def test_a_token_that_no_request_may_carry(source: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"PODLAB_{source.upper()}_TOKEN"
    monkeypatch.setenv(variable, value)
    line, shown = told(lambda: live_source(load_settings()))
    assert line.startswith(f"{variable}: the token holds a character")
    assert "SECRET" not in shown


@pytest.mark.parametrize("value", ["abc\nSECRET", "äbcSECRET"])
def test_the_same_given_by_a_program(value: str) -> None:
    for make in (lambda: InfluxDatabase("http://127.0.0.1:1", "db", token=value),
                 lambda: PrometheusApi("http://127.0.0.1:1", token=value)):  # fmt: skip
        line, shown = told(make)
        assert "_token: the token holds a character" in line
        assert "SECRET" not in shown


def test_the_line_end_of_a_token_is_taken_off(monkeypatch: pytest.MonkeyPatch, prometheusd: Prometheusd) -> None:
    seen: list[str] = []

    def note(_path: str, headers: dict[str, str], _answer: Answer) -> Answer:
        seen.append(headers.get("authorization", ""))
        return Answer(401, b"unauthorized")

    with tampering(prometheusd.url, note) as proxy:
        for source in SOURCES:
            monkeypatch.setenv(f"PODLAB_{source.upper()}_TOKEN", "abcSECRET\n")
            monkeypatch.setenv(f"PODLAB_{source.upper()}_URL", f"{proxy.url}\n")
            monkeypatch.setenv("PODLAB_METRICS_SOURCE", source)
            line, shown = told(lambda: live_source(load_settings()).fetch(SINCE, UNTIL))
            assert "refuses" in line
            assert "SECRET" not in shown
    assert set(filter(None, seen)) == {"Bearer abcSECRET", "Token abcSECRET"}


def test_the_line_end_of_user_and_password_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, prometheusd: Prometheusd
) -> None:
    seen: list[str] = []

    def note(path: str, headers: dict[str, str], _answer: Answer) -> Answer:
        seen.append(headers.get("authorization", ""))
        return Answer(401, b"unauthorized")

    with tampering(prometheusd.url, note) as proxy:
        for source in SOURCES:
            prefix = f"PODLAB_{source.upper()}"
            for name, value in (("USER", "me\n"), ("PASSWORD", " pässword\r\n"), ("URL", proxy.url)):
                monkeypatch.setenv(f"{prefix}_{name}", value)
            monkeypatch.setenv("PODLAB_METRICS_SOURCE", source)
            told(lambda: live_source(load_settings()).fetch(SINCE, UNTIL))
    assert set(seen) == {"Basic " + base64.b64encode("me:pässword".encode()).decode()}


#: As long as a service account's, so that what is shown of a message ends within it.
TOKEN = "eyJSECRET" + "abcDEF123_-" * 60


def answering(status: int, body: bytes, headers: bytes = b"") -> Callable[..., None]:
    def answer(connection, _stop) -> None:  # type: ignore[no-untyped-def]
        head = b"HTTP/1.1 %d Odd\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, headers, len(body)) + body)

    return answer


@pytest.mark.parametrize(
    "written", [TOKEN, TOKEN.encode().hex(), base64.b64encode(f"Bearer {TOKEN}".encode()).decode()]
)
@pytest.mark.parametrize(
    "body",
    [
        "no right for {}",
        '{{"error": "no right for {}"}}',
        '{{"status": "error", "errorType": "x", "error": "for {}"}}',
        "<html><title>no right for {}</title></html>",
        '{{"kind": "Status", "message": "no right for {}"}}',
    ],
)
@pytest.mark.parametrize("status", [200, 302, 403, 503])
def test_a_server_that_repeats_what_it_was_shown(
    source: str, status: int, body: str, written: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = body.format(written).encode()
    if status == 200 and source == "influxdb" and body.startswith('{{"error'):
        content = msgspec.msgpack.encode(msgspec.json.decode(content))
    headers = (
        f"Location: https://sso/{written}/\r\nX-Influxdb-Error: for {written}\r\n".encode() if status != 200 else b""
    )
    monkeypatch.setenv(f"PODLAB_{source.upper()}_TOKEN", TOKEN)
    with listening(answering(status, content, headers)) as url:
        monkeypatch.setenv(f"PODLAB_{source.upper()}_URL", url)
        line, shown = told(lambda: live_source(load_settings()).fetch(SINCE, UNTIL), PodlabError)
    for text in (line, shown, caplog.text):
        assert TOKEN[:12] not in text
        assert written[20:40] not in text


def test_a_warning_that_repeats_what_it_was_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = msgspec.json.encode({"status": "success", "data": [], "warnings": [f"no store for {TOKEN}"]})
    monkeypatch.setenv("PODLAB_METRICS_SOURCE", "prometheus")
    monkeypatch.setenv("PODLAB_PROMETHEUS_TOKEN", TOKEN)
    with listening(answering(200, body)) as url:
        monkeypatch.setenv("PODLAB_PROMETHEUS_URL", url)
        told(lambda: live_source(load_settings()).fetch(SINCE, UNTIL))
    assert "no store for ***" in caplog.text
    assert TOKEN[:12] not in caplog.text


@pytest.mark.parametrize("answer", [answering(403, TOKEN.encode()), answering(500, TOKEN.encode().hex().encode())])
def test_a_kubelet_that_repeats_what_it_was_shown(answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answer) as url:
        monkeypatch.setattr(KubeletAddress, "url", url)
        client = KubeletClient(lambda: {"authorization": f"Bearer {TOKEN}"})
        line, shown = told(lambda: client.get(KubeletAddress("n1", "127.0.0.1", 1), "/stats/summary"), PodlabError)
    assert "***" in line
    assert TOKEN[:12] not in shown
    assert TOKEN.encode().hex()[:12] not in shown


@pytest.mark.parametrize("status", [200, 403, 422, 500])
def test_an_api_server_that_repeats_what_it_was_shown(status: int) -> None:
    body = msgspec.json.encode({"kind": "Status", "message": f"no right for {TOKEN}", "code": 403})
    pool = urllib3.PoolManager()
    with listening(answering(status, body)) as url:
        found = Credentials(url, pool, lambda: {"authorization": f"Bearer {TOKEN}"})
        connection = ApiConnection(found, "here", 5.0)
        line, shown = told(lambda: connection.list_page(Page[Pod], "pods"), PodlabError)
    assert ("no right for ***" in line) is (status != 200)
    assert TOKEN[:12] not in shown


def test_an_answer_that_is_none_of_http(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def babble(connection, _stop) -> None:  # type: ignore[no-untyped-def]
        connection.sendall(b"you said abcSECRET\r\n\r\n")

    monkeypatch.setenv(f"PODLAB_{source.upper()}_TOKEN", "abcSECRET")
    with listening(babble) as url:
        monkeypatch.setenv(f"PODLAB_{source.upper()}_URL", url)
        line, shown = told(lambda: live_source(load_settings()).fetch(SINCE, UNTIL), PodlabError)
    assert "the answer broke off" in line
    assert "SECRET" not in shown


def test_a_tenant_that_no_header_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_PROMETHEUS_TENANT", "shöp")
    with pytest.raises(InputError, match="PODLAB_PROMETHEUS_TENANT: holds a character that cannot be sent"):
        load_settings()
    monkeypatch.setenv("PODLAB_PROMETHEUS_TENANT", "shop\n")
    assert load_settings().prometheus_tenant == "shop"


def test_an_empty_secret_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in SOURCES:
        monkeypatch.setenv(f"PODLAB_{source.upper()}_TOKEN", "")
        assert load_settings().secret(f"{source}_token") is None
