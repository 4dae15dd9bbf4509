"""HTTP to metrics servers, kubelets and the Kubernetes API server: one client, one table of hints, one line per error.

No text of the HTTP library is shown as it is: it quotes headers, and with them tokens.
"""

from __future__ import annotations

import base64
import html
import os
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import certifi
import msgspec
import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

import podlab
from podlab.errors import InputError, PodlabError
from podlab.proxies import Proxy, find_proxy
from podlab.secret_text import clean_password, clean_token, redact, redact_bytes, shorten_stars

_PIECE_BYTES: Final = 1 << 16
_DEFAULT_MAX_BYTES: Final = 8_000_000
_LONGEST_MESSAGE: Final = 300
_MOST_TOKENS: Final = 8
#: How many bytes of a web page are searched for its title, and how many characters of it are shown.
_LONGEST_HEAD: Final = 4_096
_LONGEST_TITLE: Final = 100
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")

#: Variables of OpenSSL, which both count; and those of requests and curl, which count where neither is set.
_OPENSSL: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_VERIFY_FAILED: Final = "CERTIFICATE_VERIFY_FAILED"
_NO_TLS: Final = re.compile(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG")
_WANTS_CERTIFICATE: Final = re.compile(r"ALERT_CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|ALERT_HANDSHAKE_FAILURE")


@dataclass(frozen=True)
class ServerKind:
    """A kind of server: its name in errors, and hints for what can go wrong on the way to it.

    ``address`` is what holds its address, such as the setting ``influxdb_url``; if it is ``configured``, by the user, a
    server that cannot be reached is an error of input. The hints are for one that cannot be reached, whose certificate
    is not trusted, whose response does not come in time, or has too many bytes.
    """

    title: str
    address: str
    unreachable: str
    untrusted: str
    slow: str
    too_large: str | None = None
    configured: bool = True


def _database(title: str, prefix: str) -> ServerKind:
    return ServerKind(
        title,
        address=f"{prefix}_url",
        unreachable=f"check {prefix}_url",
        untrusted=f"set {prefix}_ca_file to its authority's certificate",
        slow="fetch a shorter span or raise the timeout",
    )


INFLUXDB: Final = _database("InfluxDB", "influxdb")
PROMETHEUS: Final = _database("Prometheus", "prometheus")
KUBELET: Final = ServerKind(
    "the kubelet",
    address="the node's address",
    unreachable="check that the node's port can be reached from here (network policy, firewall)",
    untrusted="set kubelet_ca_file to the file of the certificates that sign the kubelets', or kubelet_verify=false",
    slow="try again, or raise metrics_timeout",
    too_large="check that it is a kubelet",
    configured=False,
)
API_SERVER: Final = ServerKind(
    "the API server",
    address="its address",
    unreachable="check the address, the network and whether the cluster runs",
    untrusted="check the certificate authority in the kubeconfig",
    slow="try again, or allow a longer timeout",
)


#: What decoding an answer raises where it is not what was expected.
DECODE_ERRORS: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class TooLargeError(PodlabError):
    """A response has more bytes or rows than the client, or the server, allows at once; a shorter span may do."""


class Response(NamedTuple):
    """A whole response."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether the status is 3xx; redirects are not followed, so that credentials go to the named server only."""
        return 300 <= self.status < 400


class HttpClient:
    """Sends requests to servers of one kind; threads may share it.

    No request is repeated: callers fetch regularly, and must learn of a dead server at once.

    Parameters
    ----------
    service : ServerKind
        What errors call the servers, and their hints.
    pool : PoolManager
        The connections; :meth:`to_server` makes them for one server.
    url : str
        Stands before the paths that are asked for.
    timeout_s : float
        How long connecting, and a whole response, may take.
    headers : mapping of str to str, optional
        Sent with each request.
    proxy : Proxy, optional
        The proxy that ``pool`` goes through.
    secrets : iterable of str or None
        What must not appear in an error or a response, beside the credentials that are sent.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        service: ServerKind,
        pool: urllib3.PoolManager,
        url: str = "",
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        proxy: Proxy | None = None,
        secrets: Iterable[str | None] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service, self.url, self.timeout_s, self.proxy = service, url.rstrip("/"), timeout_s, proxy
        # Compression takes more time than a cluster's network.
        always = {"Accept-Encoding": "identity", "User-Agent": f"podlab/{podlab.__version__}"}
        self.headers = always | dict(headers or {})
        self.token: str | None = None
        self._pool, self._secrets, self._clock = pool, list(secrets), clock
        #: Tokens that were sent; they are renewed from time to time.
        self._sent: deque[str] = deque(maxlen=_MOST_TOKENS)

    @classmethod
    def to_server(
        cls,
        service: ServerKind,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Make the client of one server, with the environment's proxy and certificates.

        A user and password are sent as basic authentication. A token is kept out of errors as well; the caller puts
        :attr:`token`, without its line end, into a header. ``ca_file`` is as for :func:`trusted_authorities`. Raises
        InputError if the address, a secret, the certificates or the environment's proxies cannot be used.
        """
        try:
            sound = urllib3.util.parse_url(url)
            valid = sound.scheme in ("http", "https") and bool(sound.host)
        except (LocationValueError, ValueError):
            valid = False
        if not valid:
            raise InputError("is not a valid address", where=url, hint=f"check {service.address}")
        prefix = service.address.removesuffix("_url")
        token = None if token is None else clean_token(token, where=f"{prefix}_token")
        password = clean_password(password, where=f"{prefix}_password") if password else password
        proxy = find_proxy(url)
        needs_tls = ca_file is not None or any(each.startswith("https:") for each in (url, proxy.url if proxy else ""))
        trusted = trusted_authorities(ca_file, f"{prefix}_ca_file") if needs_tls else None
        secrets = [token, password]
        headers = dict(headers or {})
        if user is not None and token is None:
            login = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
            secrets.append(login)
        pool = urllib3.PoolManager(ssl_context=trusted)
        if proxy is not None:
            pool = urllib3.ProxyManager(
                proxy.url, proxy_headers=proxy_headers(proxy), proxy_ssl_context=trusted, ssl_context=trusted
            )
            found = urlsplit(proxy.url).password
            secrets += [] if found is None else [found, unquote(found)]
        client = cls(
            service, pool, url, timeout_s=timeout_s, headers=headers, proxy=proxy, secrets=secrets, clock=clock
        )
        client.token = token
        return client

    @property
    def address(self) -> str:
        """The server's address, and by which proxy it is reached, for errors."""
        return self.url if self.proxy is None else f"{self.url} by the proxy of {self.proxy.variable}"

    def close(self) -> None:
        """Close the open connections."""
        self._pool.clear()

    def redact(self, text: str) -> str:
        """Take the secrets, and the credentials that were sent, out of a text of others."""
        return redact(text, [*self._secrets, *self._sent])

    def redact_bytes(self, body: bytes) -> bytes:
        """Overwrite them in a body: what is read of it, and cut, holds no part of one either."""
        return redact_bytes(body, [*self._secrets, *self._sent])

    def _remember(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            token = value.rpartition(" ")[2]
            if name.lower() == "authorization" and token not in self._sent:
                self._sent.append(token)

    def open(
        self,
        method: str,
        path: str,
        *,
        where: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response, whatever its status, unread; the caller reads and closes it.

        Raises InputError or PodlabError if the server cannot be reached or trusted, or does not answer in time;
        ``where`` comes before the message.
        """
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        headers = self.headers | dict(headers or {})
        self._remember(headers)
        try:
            return self._pool.request(
                method, self.url + path, body=body, headers=headers, retries=False,
                redirect=False, preload_content=False,
                timeout=urllib3.Timeout(connect=min(timeout_s, self.timeout_s), read=timeout_s),
            )  # fmt: skip
        except HTTPError as error:
            raise self.explain(error, where=where, timeout_s=timeout_s) from None
        except (ValueError, UnicodeError):
            # Its text quotes what could not be sent.
            prefix = self.service.address.removesuffix("_url")
            hint = f"check {self.service.address}, {prefix}_user and {prefix}_token"
            raise InputError("the request holds what no request may hold", where=where, hint=hint) from None
        except OSError as error:
            what = f"no connection can be made: {error.filename or ''} {error.strerror or error}"
            raise InputError(what, where=where, hint="check SSLKEYLOGFILE and SSL_CERT_FILE") from None

    def send(
        self,
        method: str,
        path: str,
        *,
        where: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = _DEFAULT_MAX_BYTES,
    ) -> Response:
        """Send a request and read the whole response, whatever its status; a refusal comes without secrets.

        Raises what :meth:`open` does, also if the response breaks off, or a proxy asks for a login; TooLargeError if
        the response has more than ``max_bytes``, and is not read to its end.
        """
        until_s = self._clock() + self.timeout_s
        answer = self.open(method, path, where=where, body=body, headers=headers)
        received = bytearray()
        try:
            # Each piece is returned as it arrives, so that the deadline holds however slow the server is.
            while part := answer.read1(_PIECE_BYTES):
                received += part
                if len(received) > max_bytes:
                    what = f"the answer has more than {max_bytes:,} bytes"
                    raise TooLargeError(what, where=where, hint=self.service.too_large)
                if self._clock() > until_s:
                    raise self._too_slow(where, self.timeout_s)
        except HTTPError as error:
            answer.close()
            raise self.explain(error, where=where) from None
        except BaseException:
            # An unread rest must not become the start of the next response.
            answer.close()
            raise
        answer.release_conn()
        if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise self._proxy_login(where)
        whole = Response(answer.status, answer.reason or "", answer.headers, bytes(received))
        if whole.is_success:
            return whole  # data: a password may be called as a pod is
        shown = HTTPHeaderDict({name: self.redact(value) for name, value in whole.headers.items()})
        return Response(whole.status, self.redact(whole.reason), shown, self.redact_bytes(whole.body))

    def explain(self, error: HTTPError, *, where: str, timeout_s: float | None = None) -> PodlabError:
        """Turn a fault between here and the server into an error that says what to do."""
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
        text = one_line(self.redact(_reason_of(reason))) or type(reason).__name__
        fault = explain_tls(text, self.service)
        if fault is not None:
            return InputError(fault.message, where=where, hint=fault.hint)
        if isinstance(reason, ProxyError) and "407" in text:
            return self._proxy_login(where)
        if isinstance(reason, (NewConnectionError, ConnectTimeoutError, ProxyError)):
            hint = self.service.unreachable
            if self.proxy is not None or isinstance(reason, ProxyError):
                variable = "the kubeconfig's proxy-url" if self.proxy is None else self.proxy.variable
                hint += f" and {variable}, or add the host to NO_PROXY"
            kind = InputError if self.service.configured else PodlabError
            return kind(f"{self.service.title} cannot be reached: {text}", where=where, hint=hint)
        if isinstance(reason, ReadTimeoutError):
            return self._too_slow(where, self.timeout_s if timeout_s is None else timeout_s)
        if isinstance(reason, LocationValueError):
            return InputError("is not a valid address", where=where, hint=f"check {self.service.address}")
        return PodlabError(f"the answer broke off: {text}", where=where, hint="try again")

    def _too_slow(self, where: str, timeout_s: float) -> PodlabError:
        what = f"{self.service.title} did not answer within {timeout_s:g} s"
        return PodlabError(what, where=where, hint=self.service.slow)

    def _proxy_login(self, where: str) -> InputError:
        variable = "HTTP_PROXY" if self.proxy is None else self.proxy.variable
        hint = f"give user and password in {variable}, or add the host to NO_PROXY"
        return InputError("the proxy asks for a login: 407", where=where, hint=hint)


def proxy_headers(proxy: Proxy) -> dict[str, str]:
    """Make the headers by which a proxy knows a user, where its address names one."""
    parts = urlsplit(proxy.url)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _reason_of(error: Exception) -> str:
    """Find the informative part of an error of urllib3, whose texts begin with a repr of the connection."""
    parts = [part for part in error.args if isinstance(part, str | Exception)]
    text = str(parts[-1] if isinstance(error, ConnectTimeoutError | ProxyError) and parts else error)
    if isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError):
        text = _ERRNO.sub("", text.rpartition(": ")[2])
    elif parts and not isinstance(error, ReadTimeoutError):
        # "Connection aborted.", and why; or "Connection broken: ...", and the same again.
        text = str(parts[-1]) if str(parts[0]).endswith("aborted.") else str(parts[0])
    return text


def one_line(text: str) -> str:
    """Press a message of others into one line of bounded length."""
    return " ".join(shorten_stars(text).split())[:_LONGEST_MESSAGE]


def web_page(body: bytes, redact: Callable[[str], str] = shorten_stars) -> str | None:
    """Return what a web page says: its title, else the beginning of its text; None for anything else.

    ``redact`` takes secrets out of it.

    Examples
    --------
    >>> web_page(b"<html><head><title>503 Service Unavailable</title></head></html>")
    '503 Service Unavailable'
    """
    text = redact(body[:_LONGEST_HEAD].decode("utf-8", "replace")).lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        return None
    title = _TITLE.search(text)
    words = html.unescape(title[1] if title else _TAG.sub(" ", text)).split()
    return " ".join(words)[:_LONGEST_TITLE] or "without a title"


def words_of(body: bytes) -> str:
    """Return what a body that is no answer says: a web page its title, anything else its first line."""
    return web_page(body) or one_line((body[:_LONGEST_HEAD].decode("utf-8", "replace").splitlines() or [""])[0])


def trusted_authorities(
    ca_file: Path | None, setting: str, environment: Mapping[str, str] | None = None
) -> ssl.SSLContext:
    """Load the authorities by which a server's certificate is checked: those of ``ca_file`` alone, where it is given.

    Otherwise the environment may name others in ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE`` or
    ``CURL_CA_BUNDLE``. Without any, they are the system's and certifi's. Raises InputError if the file or folder named
    cannot be used; ``setting`` is what ``ca_file`` is called there.
    """
    # Not by create_default_context, which fails where SSLKEYLOGFILE names a file that cannot be written.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise InputError(f"cannot be used: {_tls_reason(error)}", where=f"{setting} {ca_file}") from None
        return context
    environment = os.environ if environment is None else environment
    named = [v for v in _OPENSSL if environment.get(v)] or [v for v in _OTHERS if environment.get(v)][:1]
    if not named:
        context.load_verify_locations(cafile=certifi.where())
        context.load_default_certs()
    for variable in named:
        path = environment[variable]
        try:
            if Path(path).is_file():
                context.load_verify_locations(cafile=path)
            elif any(Path(part).is_dir() for part in path.split(os.pathsep)):
                context.load_verify_locations(capath=path)
            else:
                raise FileNotFoundError(2, "No such file or directory")
        except OSError as error:
            what = f"{path!r} cannot be used: {_tls_reason(error)}"
            raise InputError(what, where=variable, hint=f"unset or correct it, or set {setting}") from None
    return context


def explain_tls(text: str, service: ServerKind) -> InputError | None:
    """Say what a library's message about TLS means; None where it is about something else.

    Such as ``[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)``.
    """
    if "[SSL" not in text:
        return None
    why = text.rpartition("] ")[2].partition(" (_ssl")[0]
    if _VERIFY_FAILED in text:
        why = why.removeprefix("certificate verify failed: ")
        hints = {
            "mismatch": f"set {service.address} to a name that the certificate is for",
            "expired": "renew its certificate, or set the clock of this machine",
            "not yet valid": "set the clock of this machine, or of the one that made the certificate",
        }
        hint = next((hint for word, hint in hints.items() if word in why), service.untrusted)
        what = f"{service.title} is not trusted"
    elif _NO_TLS.search(text):
        what, hint = f"{service.title} does not speak TLS there", f"write http:// in {service.address}, or its TLS port"
    elif _WANTS_CERTIFICATE.search(text):
        what = f"{service.title} takes no connection without a client's certificate"
        hint = f"set {service.address} to an address that asks for a token or a password instead of a certificate"
    else:
        what = f"no TLS connection to {service.title}"
        hint = f"check {service.address} and the server's TLS settings"
    return InputError(f"{what}: {why}", hint=hint)


def _tls_reason(error: OSError) -> str:
    return "it holds no certificates" if isinstance(error, ssl.SSLError) or not error.strerror else error.strerror
