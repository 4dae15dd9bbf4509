"""A client of one metrics server over HTTP: its making, and what goes wrong between here and there in one clear line.

No text of the HTTP library is shown as it is: it quotes headers, and with them tokens.
"""

from __future__ import annotations

import base64
import html
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from podlab.authorities import explain_tls, trusted_authorities
from podlab.errors import InputError, PodlabError
from podlab.proxies import Proxy, find_proxy
from podlab.secret_text import clean_password, clean_token, without_secrets

#: So far into a web page its words are looked for, and so many of them are shown.
_LONGEST_HEAD: Final = 4_096
_MOST_SAID: Final = 100
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")


class HttpPeer:
    """One server, how it is reached, and the secrets that it is shown.

    Parameters
    ----------
    title : str
        What the server is called in errors, such as ``InfluxDB``.
    prefix : str
        How its settings begin, such as ``influxdb``.
    url : str
        Its address, without user or password.
    user, password : str, optional
        Sent as basic authentication.
    token : str, optional
        Sent instead of them; :attr:`token` is it without the line end that it may come with.
    headers : mapping of str to str, optional
        Sent with each request.
    ca_file : Path, optional
        Certificates of the authorities to trust; see :func:`podlab.authorities.trusted_authorities`.
    timeout_s : float
        How long each step may take.

    Raises
    ------
    InputError
        If the address, a secret, the certificates or what the environment says of proxies cannot be used.
    """

    def __init__(
        self,
        title: str,
        prefix: str,
        url: str,
        *,
        user: str | None,
        password: str | None,
        token: str | None,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        timeout_s: float,
    ) -> None:
        self.title, self.prefix, self.timeout_s = title, prefix, timeout_s
        self.token = None if token is None else clean_token(token, where=f"{prefix}_token")
        password = clean_password(password, where=f"{prefix}_password") if password else password
        login = None if user is None or token is not None else (user, password or "")
        self.proxy = find_proxy(url)
        self._secrets = [self.token, password, *_basic(login), *_proxy_secrets(self.proxy)]
        trusted = trusted_authorities(ca_file, f"{prefix}_ca_file") if _needs_tls(url, ca_file, self.proxy) else None
        # Packing and unpacking takes more time than a cluster's network does.
        always = {"Accept-Encoding": "identity", "User-Agent": "podlab"}
        try:
            self.client = httpx.Client(
                base_url=url, auth=login, timeout=timeout_s, headers=always | dict(headers or {}),
                # Redirects are not followed, so where nothing is to be trusted no TLS begins.
                verify=trusted or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                proxy=None if self.proxy is None else _as_httpx(self.proxy, trusted),
                # What the environment says is read here: the library raises what it does not understand.
                trust_env=False,
            )  # fmt: skip
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise InputError("is no address that can be asked", where=url, hint=f"check {prefix}_url") from None

    @property
    def way(self) -> str:
        """How the server is reached, to stand behind its address; empty where it is asked directly."""
        return "" if self.proxy is None else f" by the proxy of {self.proxy.variable}"

    def redact(self, text: str) -> str:
        """Take the secrets out of a text of others."""
        return without_secrets(text, self._secrets)

    def explain(self, error: httpx.HTTPError, *, where: str) -> PodlabError:
        """Turn a fault between here and the server into an error that says what to do."""
        said = self.redact((str(error).splitlines() or [""])[0] or type(error).__name__)
        fault = explain_tls(said, prefix=self.prefix)
        if fault is not None:
            return InputError(fault.message, where=where, hint=fault.hint)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            hint = f"check {self.prefix}_url"
            if self.proxy is not None:
                hint += f" and {self.proxy.variable}, or add the host to NO_PROXY"
            return InputError(f"{self.title} cannot be reached: {said}", where=where, hint=hint)
        if isinstance(error, httpx.TimeoutException):
            return self.slow(where=where)
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            # Its words quote what could not be sent.
            hint = f"check {self.prefix}_url, {self.prefix}_user and {self.prefix}_token"
            return InputError("the request holds what no request may hold", where=where, hint=hint)
        return PodlabError(f"the answer broke off: {said}", where=where, hint="try again")

    def slow(self, *, where: str) -> PodlabError:
        """Say that an answer did not come in time."""
        what = f"{self.title} did not answer within {self.timeout_s:g} s"
        return PodlabError(what, where=where, hint="fetch a shorter span or raise the timeout")

    def check_proxy(self, answer: httpx.Response, *, where: str) -> None:
        """Raise InputError if the answer is a proxy's that asks for a login."""
        if answer.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            variable = "HTTP_PROXY" if self.proxy is None else self.proxy.variable
            raise InputError(
                f"the proxy asks for a login: {answer.status_code}", where=where,
                hint=f"give user and password in {variable}, or add the host to NO_PROXY",
            )  # fmt: skip


def web_page(body: bytes) -> str | None:
    """Tell what a web page says: its title, else the beginning of its text; None for anything else.

    Examples
    --------
    >>> web_page(b"<html><head><title>503 Service Unavailable</title></head></html>")
    '503 Service Unavailable'
    """
    text = body[:_LONGEST_HEAD].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        return None
    title = _TITLE.search(text)
    words = html.unescape(title[1] if title else _TAG.sub(" ", text)).split()
    return " ".join(words)[:_MOST_SAID] or "without a title"


def _needs_tls(url: str, ca_file: Path | None, proxy: Proxy | None) -> bool:
    return ca_file is not None or url.startswith("https:") or (proxy is not None and proxy.url.startswith("https:"))


def _as_httpx(proxy: Proxy, trusted: ssl.SSLContext | None) -> httpx.Proxy:
    return httpx.Proxy(proxy.url, ssl_context=trusted if proxy.url.startswith("https:") else None)


def _basic(login: tuple[str, str] | None) -> list[str]:
    return [] if login is None else [base64.b64encode(":".join(login).encode()).decode()]


def _proxy_secrets(proxy: Proxy | None) -> list[str]:
    found = None if proxy is None else urlsplit(proxy.url).password
    return [] if found is None else [found, unquote(found)]
