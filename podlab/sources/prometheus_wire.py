"""Reading what Prometheus' API answers: JSON into flat arrays, at the speed of a CSV reader."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from podlab.errors import InputError, PodlabError
from podlab.sources.http_client import web_page
from podlab.sources.nearest import Ints

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_MS_PER_S: Final = 1000
#: Beyond this a time is none in nanoseconds.
_MOST_S: Final = 9e9
_MOST_SAID: Final = 300
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NO_VALUES: Final = msgspec.Raw(b"[]")


@dataclass(frozen=True)
class Refusal:
    """What a server said instead of an answer.

    Attributes
    ----------
    kind : str or None
        The API's ``errorType``; None where the answer is not the API's.
    said : str
        Its words, on one line.
    """

    kind: str | None
    said: str


class RefusedError(Exception):
    """An answer that says ``error``, whatever its status."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.said)
        self.refusal = refusal


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: msgspec.Raw = _NO_VALUES


class _Matrix(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct, rename="camel"):
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
_ANSWERS: Final = msgspec.json.Decoder(_Answer)
_MATRICES: Final = msgspec.json.Decoder(_Matrix)
# Thanos, Cortex and Google's frontend, all written in Go, have said null for an empty list.
_SERIES: Final = msgspec.json.Decoder(list[_Series] | None)
_NAMES: Final = msgspec.json.Decoder(list[str] | None)


@dataclass
class RawSeries:
    """Series as the server gave them.

    Attributes
    ----------
    labels : list of dict
        By number of the series.
    series : ndarray of int64, shape (n_values,)
        Number of each value's series.
    time_ms : ndarray of int64, shape (n_values,)
        Milliseconds since 1970.
    value : ndarray of float64, shape (n_values,)
        Finite.
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


def read_matrix(body: bytes, *, where: str) -> RawSeries:
    """Read the answer to a question for ranges of samples.

    Raises
    ------
    RefusedError
        If the answer says that it is none, or is of another kind.
    InputError
        If it is a web page, such as a login's.
    PodlabError
        If it is not the API's, broke off, is partial, or holds something else than numbers.
    """
    try:
        matrix = _MATRICES.decode(_open(body, where))
        if matrix.result_type != "matrix":
            what = f"answered with a {matrix.result_type[:20]}, not the matrix that a range selector gives"
            raise RefusedError(Refusal("execution", what))
        series = _SERIES.decode(matrix.result) or []
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
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


def read_names(body: bytes, *, where: str) -> list[str]:
    """Read the answer to a question for names; errors as of :func:`read_matrix`."""
    try:
        return _NAMES.decode(_open(body, where)) or []
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _no_answer(str(error), where) from error


def read_refusal(body: bytes) -> Refusal:
    """Read the body of an answer whose status is no success."""
    try:
        answer = _REFUSALS.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Refusal(None, web_page(body) or _first_line(body))
    said = next((_one_line(text) for text in (answer.error, answer.message, answer.reason) if _is_text(text)), "")
    # The API says error; what stands before it (Kubernetes' API server, Grafana) says message.
    kind = answer.error_type if _is_text(answer.error_type) else "unknown"
    return Refusal(kind if answer.status == "error" else None, said or _one_line(body.decode("utf-8", "replace")))


def _first_line(body: bytes) -> str:
    return (body[:_MOST_SAID].decode("utf-8", "replace").splitlines() or [""])[0].strip()


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)


def _open(body: bytes, where: str) -> msgspec.Raw:
    page = web_page(body)
    if page is not None:
        what = f"the answer is not Prometheus' but a web page ({page})"
        hint = (
            "check that prometheus_url leads to Prometheus' API, and give a login if something before it asks for one"
        )
        raise InputError(what, where=where, hint=hint)
    answer = _ANSWERS.decode(body.removeprefix(_BYTE_ORDER_MARK))
    if answer.status != "success":
        raise RefusedError(Refusal(answer.error_type or "unknown", _one_line(answer.error or answer.status)))
    if answer.is_partial:
        raise PodlabError("the answer is only a part: some of its storage is away", where=where, hint="try again")
    for warning in (answer.warnings or [])[:1]:
        log.warning("%s: the answer may be incomplete: %s", where, _one_line(warning))
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
    return PodlabError(
        f"the answer is not Prometheus' or broke off: {_one_line(why)}",
        where=where,
        hint="check that prometheus_url leads to Prometheus' API, or try again",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_SAID]
