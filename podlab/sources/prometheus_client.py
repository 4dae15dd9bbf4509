"""Talking to Prometheus' HTTP API: requests sent, answers read into flat arrays, refusals explained in one line.

Thanos, Mimir and VictoriaMetrics speak the same API: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from podlab.errors import InputError, PodlabError
from podlab.http import DECODE_ERRORS, PROMETHEUS, HttpClient, Response, TooLargeError, one_line, web_page, words_of
from podlab.sources.time_join import Ints

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_MS_PER_S: Final = 1000
#: Beyond this a time is none in nanoseconds.
_MOST_S: Final = 9e9
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NO_VALUES: Final = msgspec.Raw(b"[]")


class Refusal(NamedTuple):
    """A server's refusal: the API's ``errorType``, None where the answer is not the API's, and its words."""

    kind: str | None
    message: str


class QueryError(Exception):
    """An answer that says ``error``, whatever its status."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _MatrixSeries(msgspec.Struct):
    metric: dict[str, str]
    values: msgspec.Raw = _NO_VALUES


class _Matrix(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _ApiResponse(msgspec.Struct, rename="camel"):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str | None = None
    error: str = ""
    warnings: list[str] | None = None
    is_partial: bool = False


class _Refusal(msgspec.Struct, rename="camel"):
    status: Any = None
    error_type: Any = None
    error: Any = None
    message: Any = None
    reason: Any = None


_REFUSALS: Final = msgspec.json.Decoder(_Refusal)
_ANSWERS: Final = msgspec.json.Decoder(_ApiResponse)
_MATRICES: Final = msgspec.json.Decoder(_Matrix)
# Thanos, Cortex and Google's frontend, all written in Go, have sent null for an empty list.
_SERIES: Final = msgspec.json.Decoder(list[_MatrixSeries] | None)
_NAMES: Final = msgspec.json.Decoder(list[str] | None)


@dataclass
class RawSeries:
    """Series as the server gave them: the labels by number of the series, and the values one after the other.

    ``series`` (n_values,) is the number of each value's series, ``time_ms`` (n_values,) milliseconds since 1970, and
    ``value`` (n_values,) is finite.
    """

    labels: list[dict[str, str]]
    series: Ints
    time_ms: Ints
    value: Floats

    def between(self, since_ms: int, until_ms: int) -> RawSeries:
        """Keep the values with ``since_ms <= time < until_ms``."""
        inside = (self.time_ms >= since_ms) & (self.time_ms < until_ms)
        return RawSeries(self.labels, self.series[inside], self.time_ms[inside], self.value[inside])


def join_series(parts: list[RawSeries]) -> RawSeries:
    """Put the series of several answers behind one another; one that is in two answers is then there twice."""
    if not parts:
        return RawSeries([], np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    offsets = np.cumsum([0, *(len(part.labels) for part in parts)])
    return RawSeries(
        [labels for part in parts for labels in part.labels],
        np.concatenate([part.series + offset for part, offset in zip(parts, offsets[:-1], strict=True)]),
        np.concatenate([part.time_ms for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


def read_matrix(body: bytes, *, where: str, redact: Callable[[str], str] = str) -> RawSeries:
    """Read the answer to a question for ranges of samples; ``redact`` takes secrets out of what the server says.

    Raises QueryError if it says that it is none, or is of another kind; InputError if it is a web page, such as a
    login's; PodlabError if it is not the API's, broke off, is partial, or holds something else than numbers.
    """
    try:
        matrix = _MATRICES.decode(_open(body, where, redact))
        if matrix.result_type != "matrix":
            what = f"answered with a {redact(matrix.result_type)[:20]}, not the matrix that a range selector gives"
            raise QueryError(Refusal("execution", what))
        series = _SERIES.decode(matrix.result) or []
    except DECODE_ERRORS as error:
        raise _no_answer(str(error), where) from error
    # `[[1.5,"2"],[3,"4"]]` becomes two lines of a table, which a compiled reader takes.
    lines = [bytes(each.values).translate(None, b' \t\r\n["').replace(b"],", b"\n").strip(b"]") for each in series]
    counts = np.array([line.count(b"\n") + 1 if line else 0 for line in lines], dtype=np.int64)
    time_s, value = _read_numbers(b"\n".join(line for line in lines if line), where)
    number = np.repeat(np.arange(len(series)), counts)
    if len(number) != len(value):
        raise _no_answer("its values are not pairs of time and number", where)
    finite = np.isfinite(value) & np.isfinite(time_s)
    if (np.abs(time_s[finite]) > _MOST_S).any():
        raise _no_answer("its times are none", where)
    time_ms = np.rint(time_s[finite] * _MS_PER_S).astype(np.int64)
    return RawSeries([each.metric for each in series], number[finite], time_ms, value[finite])


def read_names(body: bytes, *, where: str, redact: Callable[[str], str] = str) -> list[str]:
    """Read the answer to a question for names; errors as of :func:`read_matrix`."""
    try:
        return _NAMES.decode(_open(body, where, redact)) or []
    except DECODE_ERRORS as error:
        raise _no_answer(str(error), where) from error


def read_refusal(body: bytes) -> Refusal:
    """Read the body of an answer whose status is no success."""
    try:
        answer = _REFUSALS.decode(body)
    except DECODE_ERRORS:
        return Refusal(None, words_of(body))
    # The API calls it error; gateways before it (Kubernetes' API server, Grafana) call it message.
    said = [text for text in (answer.error, answer.message, answer.reason) if isinstance(text, str) and text]
    kind = str(answer.error_type) if isinstance(answer.error_type, str) and answer.error_type else "unknown"
    message = next(map(one_line, said), "") or one_line(body.decode("utf-8", "replace"))
    return Refusal(kind if answer.status == "error" else None, message)


def _open(body: bytes, where: str, redact: Callable[[str], str]) -> msgspec.Raw:
    page = web_page(body, redact)
    if page is not None:
        what = f"the answer is not Prometheus' but a web page ({page})"
        hint = (
            "check that prometheus_url leads to Prometheus' API, and give a login if something before it asks for one"
        )
        raise InputError(what, where=where, hint=hint)
    answer = _ANSWERS.decode(body.removeprefix(_BYTE_ORDER_MARK))
    if answer.status != "success":
        raise QueryError(Refusal(answer.error_type or "unknown", one_line(redact(answer.error or answer.status))))
    if answer.is_partial:
        raise PodlabError("the answer is only a part: some of its storage is away", where=where, hint="try again")
    for warning in (answer.warnings or [])[:1]:
        log.warning("%s: the answer may be incomplete: %s", where, one_line(redact(warning)))
    return answer.data


def _read_numbers(table: bytes, where: str) -> tuple[Floats, Floats]:
    if not table:
        return np.empty(0), np.empty(0)
    try:
        columns = pyarrow.csv.read_csv(
            pa.BufferReader(table),
            read_options=pyarrow.csv.ReadOptions(column_names=["time_s", "value"], use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={"time_s": pa.float64(), "value": pa.float64()},
                null_values=["NaN", "+Inf", "-Inf", "Inf", "null"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _no_answer("its values are not pairs of time and number", where) from error
    return columns["time_s"].to_numpy(), columns["value"].to_numpy()


def _no_answer(why: str, where: str) -> PodlabError:
    what = f"the answer is not Prometheus' or broke off: {one_line(why)}"
    return PodlabError(what, where=where, hint="check that prometheus_url leads to Prometheus' API, or try again")


_MAX_SMALL_ANSWER_BYTES: Final = 8_000_000
#: How servers refuse a question for too much at once: Prometheus ("too many samples"), Thanos ("limit"), Mimir
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


class NoSuchPathError(InputError):
    """The server, or a gateway before it, has no such path."""


class _NoPostError(InputError):
    """A question was refused because it was sent by POST."""


class OutOfOrderError(InputError):
    """A server refuses samples that are older than those it has, or differ from them."""


@dataclass
class PrometheusApi:
    """A server with Prometheus' API, and who asks."""

    #: The part of the address before ``/api/v1``, without user or password: ``http://prometheus:9090``; for Mimir it
    #: ends with ``/prometheus``, for a VictoriaMetrics cluster with ``/select/0/prometheus``.
    url: str
    #: Basic authentication, or a bearer token instead.
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    #: Whose metrics, where the server keeps several tenants' (``X-Scope-OrgID``: Mimir, Cortex, Thanos).
    tenant: str | None = None
    #: As for :class:`podlab.sources.influxdb_client.InfluxDatabase`.
    ca_file: Path | None = None
    timeout_s: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        #: Whether questions are asked by GET, because those by POST were refused.
        self.only_get = False
        headers = {"Accept": "application/json"}
        if self.tenant is not None:
            headers[_TENANT_HEADER] = self.tenant
        self._http = HttpClient.to_server(
            PROMETHEUS, self.url, user=self.user, password=self.password, token=self.token,
            headers=headers, ca_file=self.ca_file, timeout_s=self.timeout_s, clock=self.clock,
        )  # fmt: skip
        if self._http.token is not None:
            self._http.headers["Authorization"] = f"Bearer {self._http.token}"

    def redact(self, text: str) -> str:
        """Take secrets out of a text of the server."""
        return self._http.redact(text)

    @property
    def name(self) -> str:
        """The address, for errors and reports."""
        return self._http.address + ("" if self.tenant is None else f", tenant {self.tenant!r}")

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(
        self, path: str, form: Mapping[str, str | Sequence[str]], *, max_bytes: int = _MAX_SMALL_ANSWER_BYTES
    ) -> bytes:
        """Ask one question of a path below ``/api/v1/`` and return the answer's bytes.

        The parameters are sent in the body, because thousands of pods' names do not fit into an address. Raises
        InputError if the server cannot be reached or trusted, or refuses the user or the question; TooLargeError if the
        answer has more than ``max_bytes``, or the server refuses so much at once; PodlabError if the server fails,
        takes too long, or its answer breaks off.
        """
        # Half an answer looks like pods that ended: rather none. Thanos, VictoriaMetrics; others ignore it.
        whole = {"partial_response": "false", "deny_partial_response": "1"}
        content = urlencode({**form, **whole}, doseq=True)
        address = f"/api/v1/{path}"
        # A name's values can only be asked for by GET.
        if not (self.only_get or path.startswith("label/")):
            try:
                return self._send("POST", address, content.encode(), max_bytes, explain=self._post_refused)
            except _NoPostError:
                # A gateway before the server may let readers in by GET alone: Grafana, the API server.
                answer = self._send("GET", f"{address}?{content}", None, max_bytes)
                self.only_get = True
                return answer
        return self._send("GET", f"{address}?{content}", None, max_bytes)

    def write(self, body: bytes) -> None:
        """Send one remote-write request, compressed by snappy.

        Raises OutOfOrderError if the server has newer samples, InputError if it takes no remote writes, and what
        :meth:`ask` raises.
        """
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        self._send("POST", "/api/v1/write", body, _MAX_SMALL_ANSWER_BYTES, headers, self._write_refused)

    def _send(
        self,
        method: str,
        address: str,
        content: bytes | None,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        explain: Callable[[Response, Refusal], PodlabError] | None = None,
    ) -> bytes:
        headers = headers or {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._http.send(method, address, where=self.name, body=content, headers=headers, max_bytes=max_bytes)
        if not answer.is_success:
            raise (explain or self._refused)(answer, read_refusal(answer.body))
        return answer.body

    def refusal(self, refused: Refusal) -> PodlabError:
        """Turn a server's refusal into one clear line."""
        message = refused.message
        if refused.kind in ("timeout", "canceled"):
            what = f"the server gave up: {message}"
            return PodlabError(what, where=self.name, hint="fetch a shorter span or try again")
        if _TOO_MUCH.search(message):
            return TooLargeError(f"the server refuses so much at once: {message}", where=self.name)
        if _NO_RANGES.search(message):
            return InputError(
                f"the server gives no samples as they were scraped ('METRIC[600s]' asked of /api/v1/query): {message}",
                where=self.name,
                hint="set prometheus_url to the server that stores them, such as Prometheus itself, instead of what "
                "stands before it, or let that use Prometheus' own query engine",
            )
        if refused.kind == "internal":
            return PodlabError(f"the server failed: {message}", where=self.name, hint="try again")
        return InputError(f"the server refuses the question: {message}", where=self.name)

    def _post_refused(self, answer: Response, refused: Refusal) -> PodlabError:
        if answer.status in _NO_POST:
            return _NoPostError(f"{answer.status} {refused.message}", where=self.name)
        return self._refused(answer, refused)

    def _write_refused(self, answer: Response, refused: Refusal) -> PodlabError:
        message = refused.message or answer.reason
        if _OUT_OF_ORDER.search(message):
            hint = "shift the times to the present (--now), or give Prometheus out_of_order_time_window"
            return OutOfOrderError(f"the server has newer samples than these: {message}", where=self.name, hint=hint)
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return InputError(
                f"the server takes no remote writes: {answer.status} {message}", where=self.name,
                hint="start Prometheus with --web.enable-remote-write-receiver, or set prometheus_url to what stands "
                "before /api/v1/write",
            )  # fmt: skip
        return self._refused(answer, refused)

    def _refused(self, answer: Response, refused: Refusal) -> PodlabError:
        status = answer.status
        message = refused.message or answer.reason
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            who = "a token" if self.token else "a visitor without login" if self.user is None else f"user {self.user!r}"
            hint = "check prometheus_token, or prometheus_user and prometheus_password; they may have expired"
            return InputError(f"the server refuses {who}: {message}", where=self.name, hint=hint)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return PodlabError(f"the server is asked too often: {message}", where=self.name, hint="try again later")
        if answer.is_redirect or status in _NO_PATH:
            leads = answer.headers.get("Location", "").partition("?")[0]
            message = f"it leads to {leads}" if answer.is_redirect and leads else message
            what = f"there is no Prometheus API at this address: {status} {message}"
            hint = "set prometheus_url to what stands before /api/v1, such as http://mimir/prometheus"
            return NoSuchPathError(what, where=self.name, hint=hint)
        if refused.kind is not None:
            return self.refusal(refused)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_MUCH.search(message):
            # A frontend before the server says it in plain words.
            return TooLargeError(f"the server refuses so much at once: {message}", where=self.name)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return PodlabError(f"the server failed with {status}: {message}", where=self.name, hint="try again")
        return InputError(f"the server answered {status}: {message}", where=self.name)
