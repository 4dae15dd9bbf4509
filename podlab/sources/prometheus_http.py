"""Talking to Prometheus' HTTP API, with every refusal turned into one clear line.

Thanos, Mimir and VictoriaMetrics speak the same API: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from podlab.errors import InputError, PodlabError
from podlab.sources.http_client import HttpPeer
from podlab.sources.prometheus_wire import Refusal, read_refusal

_MAX_SMALL_ANSWER_BYTES: Final = 8_000_000
#: How servers say that a question asks for too much at once: Prometheus ("too many samples"), Thanos ("limit"), Mimir
#: ("err-mimir-max-...", "exceeds the limit"), VictoriaMetrics ("exceeding -search.max..."), and those whose parts talk
#: by gRPC ("ResourceExhausted ... received message larger than max").
_TOO_MUCH: Final = re.compile(
    r"too many|exceed|err-mimir-max|limit|larger than max|too (large|big|expensive)|timed out in"
    r"|(process|scan|select|return) more than|-search\.max",
    re.IGNORECASE,
)
#: How servers say that they evaluate no bare range selector such as ``up[5m]``.
_NO_RANGES: Final = re.compile(
    r"(range|matrix)[ -]?(vector|selector)|expression type|unsupported (expression|query)|not (supported|implemented)",
    re.IGNORECASE,
)
#: How servers say that they hold newer samples, or others of the same time.
_OUT_OF_ORDER: Final = re.compile(
    r"out.of.order|out of bounds|too old|too far in the past|duplicate sample", re.IGNORECASE
)
#: How a POST is refused where a GET may be let in.
_NO_POST: Final = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
)
_NO_PATH: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_TENANT_HEADER: Final = "X-Scope-OrgID"


class TooMuchError(PodlabError):
    """An answer has more than the reader, or the server, takes at once; a shorter span may do."""


class NoSuchPathError(InputError):
    """The server, or what stands before it, does not know what it was asked for."""


class _NoPostError(InputError):
    """A question was refused as it was sent by POST."""


class OutOfOrderError(InputError):
    """A server was to take samples that are older than what it has, or differ from it."""


@dataclass
class PrometheusApi:
    """A server with Prometheus' API, and who asks.

    Parameters
    ----------
    url : str
        What stands before ``/api/v1``, without user or password: ``http://prometheus:9090``; for Mimir it ends with
        ``/prometheus``, for a VictoriaMetrics cluster with ``/select/0/prometheus``.
    user, password : str, optional
        Basic authentication.
    token : str, optional
        Bearer token, instead of a user.
    tenant : str, optional
        Whose metrics, where the server keeps several tenants' (``X-Scope-OrgID``: Mimir, Cortex, Thanos).
    ca_file : Path, optional
        Certificates of the authorities to trust; the system's by default.
    timeout_s : float
        How long to wait for a whole answer.
    clock : callable
        Seconds that only grow.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tenant: str | None = None
    ca_file: Path | None = None
    timeout_s: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        #: Whether questions are asked by GET, because those by POST were refused.
        self.only_get = False
        headers = {"Accept": "application/json"}
        if self.tenant is not None:
            headers[_TENANT_HEADER] = self.tenant
        self._peer = HttpPeer(
            "Prometheus", "prometheus", self.url, user=self.user, password=self.password, token=self.token,
            headers=headers, ca_file=self.ca_file, timeout_s=self.timeout_s,
        )  # fmt: skip
        if self._peer.token is not None:
            self._peer.client.headers["Authorization"] = f"Bearer {self._peer.token}"
        self._client = self._peer.client

    @property
    def name(self) -> str:
        """The address, for errors and reports."""
        return self.url + self._peer.way + ("" if self.tenant is None else f", tenant {self.tenant!r}")

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def ask(
        self, path: str, form: Mapping[str, str | Sequence[str]], *, max_bytes: int = _MAX_SMALL_ANSWER_BYTES
    ) -> bytes:
        """Ask one question and return the answer's bytes.

        Parameters
        ----------
        path : str
            Below ``/api/v1/``.
        form : mapping
            The parameters; sent in the body, because thousands of pods' names do not fit into an address.
        max_bytes : int
            A longer answer is not read to its end.

        Raises
        ------
        InputError
            If the server cannot be reached or trusted, or refuses the user or the question.
        TooMuchError
            If the answer has more than ``max_bytes``, or the server says that it were too much.
        PodlabError
            If the server fails, takes too long, or its answer breaks off.
        """
        # Half an answer looks like pods that ended: rather none. Thanos, VictoriaMetrics; others ignore it.
        whole = {"partial_response": "false", "deny_partial_response": "1"}
        content = str(httpx.QueryParams({**form, **whole})).encode()
        address = f"api/v1/{path}"
        # A name's values can only be asked for by GET.
        if not (self.only_get or path.startswith("label/")):
            try:
                return self._send("POST", address, content, max_bytes, explain=self._post_refused)
            except _NoPostError:
                # What stands before the server may let readers in by GET alone: a gateway, Grafana, the API server.
                answer = self._send("GET", f"{address}?{content.decode()}", b"", max_bytes)
                self.only_get = True
                return answer
        return self._send("GET", f"{address}?{content.decode()}", b"", max_bytes)

    def write(self, body: bytes) -> None:
        """Send one remote-write request, compressed by snappy.

        Raises
        ------
        OutOfOrderError
            If the server has newer samples.
        InputError, PodlabError
            As of :meth:`ask`, and if the server takes no remote writes.
        """
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        self._send("POST", "api/v1/write", body, _MAX_SMALL_ANSWER_BYTES, headers, self._write_refused)

    def _send(
        self,
        method: str,
        address: str,
        content: bytes,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        explain: Callable[[httpx.Response, Refusal], PodlabError] | None = None,
    ) -> bytes:
        headers = headers or {"Content-Type": "application/x-www-form-urlencoded"}
        body = bytearray()
        until_s = self.clock() + self.timeout_s
        try:
            with self._client.stream(method, address, content=content, headers=headers) as answer:
                # Some gateways pack an answer although it was asked not to be.
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > max_bytes:
                        raise TooMuchError(f"the answer has more than {max_bytes:,} bytes", where=self.name)
                    # One that dribbles never lets a single step run out of time.
                    if self.clock() > until_s:
                        raise self._peer.slow(where=self.name)
        except httpx.HTTPError as error:
            raise self._peer.explain(error, where=self.name) from None
        if not answer.is_success:
            self._peer.check_proxy(answer, where=self.name)
            refused = read_refusal(bytes(body))
            raise (explain or self._refused)(answer, replace(refused, said=self._peer.redact(refused.said)))
        return bytes(body)

    def refusal(self, refused: Refusal) -> PodlabError:
        """Turn what the server said in refusal into one clear line."""
        said = self._peer.redact(refused.said)
        if refused.kind in ("timeout", "canceled"):
            return PodlabError(f"the server gave up: {said}", where=self.name, hint="fetch a shorter span or try again")
        if _TOO_MUCH.search(said):
            return TooMuchError(f"the server refuses so much at once: {said}", where=self.name)
        if _NO_RANGES.search(said):
            return InputError(
                f"the server gives no samples as they were scraped ('METRIC[600s]' asked of /api/v1/query): {said}",
                where=self.name,
                hint="set prometheus_url to the server that stores them, such as Prometheus itself, instead of what "
                "stands before it, or let that use Prometheus' own query engine",
            )
        if refused.kind == "internal":
            return PodlabError(f"the server failed: {said}", where=self.name, hint="try again")
        return InputError(f"the server refuses the question: {said}", where=self.name)

    def _post_refused(self, answer: httpx.Response, refused: Refusal) -> PodlabError:
        if answer.status_code in _NO_POST:
            return _NoPostError(f"{answer.status_code} {refused.said}", where=self.name)
        return self._refused(answer, refused)

    def _write_refused(self, answer: httpx.Response, refused: Refusal) -> PodlabError:
        said = refused.said or answer.reason_phrase
        if _OUT_OF_ORDER.search(said):
            return OutOfOrderError(
                f"the server has newer samples than these: {said}", where=self.name,
                hint="shift the times to the present (--now), or give Prometheus out_of_order_time_window",
            )  # fmt: skip
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return InputError(
                f"the server takes no remote writes: {answer.status_code} {said}", where=self.name,
                hint="start Prometheus with --web.enable-remote-write-receiver, or set prometheus_url to what stands "
                "before /api/v1/write",
            )  # fmt: skip
        return self._refused(answer, refused)

    def _refused(self, answer: httpx.Response, refused: Refusal) -> PodlabError:
        status = answer.status_code
        said = refused.said or answer.reason_phrase
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            who = "a token" if self.token else "a visitor without login" if self.user is None else f"user {self.user!r}"
            return InputError(
                f"the server refuses {who}: {said}", where=self.name,
                hint="check prometheus_token, or prometheus_user and prometheus_password; they may have expired",
            )  # fmt: skip
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return PodlabError(f"the server is asked too often: {said}", where=self.name, hint="try again later")
        if answer.is_redirect or status in _NO_PATH:
            leads = answer.headers.get("Location", "").partition("?")[0]
            said = f"it leads to {self._peer.redact(leads)}" if answer.is_redirect and leads else said
            return NoSuchPathError(
                f"there is no Prometheus API at this address: {status} {said}", where=self.name,
                hint="set prometheus_url to what stands before /api/v1, such as http://mimir/prometheus",
            )  # fmt: skip
        if refused.kind is not None:
            return self.refusal(refused)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_MUCH.search(said):
            # A frontend before the server says it in plain words.
            return TooMuchError(f"the server refuses so much at once: {said}", where=self.name)
        if answer.is_server_error:
            return PodlabError(f"the server failed with {status}: {said}", where=self.name, hint="try again")
        return InputError(f"the server answered {status}: {said}", where=self.name)
