"""What an environment says of proxies and certificates: heeded where it is meant, told by its name where it is not."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from podlab.config import load_settings
from podlab.errors import InputError
from podlab.live import live_source
from tests.faults.influxdb_case import SINCE, UNTIL, listening
from tests.support.certificates import make_certificate
from tests.support.prometheusd import Prometheusd
from tests.support.tampering import tampering

#: What machines and container runtimes set by themselves.
ODD = (
    ("NO_PROXY", "10.0.0.0/8,fd12:3456::/32"),
    ("NO_PROXY", "localhost,[::1]"),
    ("ALL_PROXY", "socks5://127.0.0.1:1080"),
    ("ALL_PROXY", "socks://127.0.0.1:7890/"),
    ("HTTP_PROXY", "http://127.0.0.1:port"),
    ("SSL_CERT_FILE", "/nowhere/cacert.pem"),
    ("SSL_CERT_DIR", "/nowhere"),
    ("REQUESTS_CA_BUNDLE", "/nowhere/cacert.pem"),
)


@pytest.fixture(params=["influxdb", "prometheus"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PODLAB_METRICS_SOURCE", request.param)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
                 "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return str(request.param)


def fetch() -> object:
    source = live_source(load_settings())
    try:
        return source.fetch(SINCE, UNTIL)
    finally:
        source.close()


def use(monkeypatch: pytest.MonkeyPatch, source: str, url: str) -> None:
    monkeypatch.setenv(f"PODLAB_{source.upper()}_URL", url)


@pytest.mark.parametrize(("name", "value"), ODD)
def test_nothing_of_it_matters_for_this_machine(
    source: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        use(monkeypatch, source, f"http://127.0.0.1:{unused.getsockname()[1]}")
    with pytest.raises(InputError, match=r"cannot be reached: .*refused; check"):
        fetch()


def test_a_proxy_of_another_kind_is_told_by_its_variable(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:1080")
    use(monkeypatch, source, "http://metrics.example.org")
    with pytest.raises(InputError, match=r"^ALL_PROXY: 'socks5://127.0.0.1:1080' is a proxy of a kind"):
        fetch()


def test_a_proxy_is_asked_for_a_server_elsewhere(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enough = threading.Event()

    def answer(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        enough.set()

    with listening(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("http://", "http://me:hunter2@"))
        use(monkeypatch, source, "http://metrics.example.org")
        with pytest.raises(InputError, match=r"by the proxy of HTTP_PROXY.*the proxy asks for a login: 407") as error:
            fetch()
    assert enough.is_set()
    assert "hunter2" not in str(error.value)


def test_a_proxy_gets_the_login_that_its_address_holds(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Proxy-Authorization"])
            self.send_error(404)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter%402@127.0.0.1:{proxy.server_port}")
        use(monkeypatch, source, "http://metrics.example.org")
        with pytest.raises(InputError):
            fetch()
        proxy.shutdown()
    assert set(seen) == {f"Basic {base64.b64encode(b'me:hunter@2').decode()}"}


def test_a_proxy_that_is_not_there_is_told(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
    use(monkeypatch, source, "https://metrics.example.org")
    with pytest.raises(InputError, match=r"check .*_url and HTTPS_PROXY, or add the host to NO_PROXY"):
        fetch()


def test_a_missing_file_of_certificates_is_told_where_tls_is_spoken(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, source, "https://127.0.0.1:1")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nowhere/cacert.pem")
        with pytest.raises(
            InputError, match=rf"^{name}: '/nowhere/cacert.pem' cannot be used: .*or set {source}_ca_file"
        ):
            fetch()
        monkeypatch.delenv(name)


def test_an_authority_of_ones_own(
    source: str, prometheusd: Prometheusd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, authority = make_certificate(tmp_path)
    with tampering(prometheusd.url, lambda *_: None, certificate=certificate) as server:
        use(monkeypatch, source, server.url)
        with pytest.raises(InputError, match=rf"is not trusted: .*; set {source}_ca_file"):
            fetch()
        assert server.requests == []
        for name in (f"PODLAB_{source.upper()}_CA_FILE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, str(authority))
            with pytest.raises(InputError):
                fetch()
            assert server.requests
            server.requests.clear()
            monkeypatch.delenv(name)


def test_tls_asked_of_a_server_without(source: str, prometheusd: Prometheusd, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, source, prometheusd.url.replace("http:", "https:"))
    with pytest.raises(InputError, match=rf"does not speak TLS there: .*; write http:// in {source}_url"):
        fetch()
