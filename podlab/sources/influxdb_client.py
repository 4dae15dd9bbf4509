r"""Talking to InfluxDB over HTTP: questions and points sent, answers read into columns, refusals explained in one line.

All three versions are asked in InfluxQL at ``/query``:

========  =====================================  ==========================================================
version   who asks                               what differs
========  =====================================  ==========================================================
1.x       user and password                      msgpack answers, bound values
2.x       ``Authorization: Token``, or a user    the same; the database must be mapped to a bucket (DBRP)
3.x       ``Authorization: Bearer``              JSON answers, the question in the address, no bound values
========  =====================================  ==========================================================

2.x: https://docs.influxdata.com/influxdb/v2/api-guide/influxdb-1x/query/ and ``http/legacy/influxqld_handler.go`` of
https://github.com/influxdata/influxdb (form fields ``q``, ``db``, ``epoch``, ``params``; ``Accept`` chooses the form).
3.x: https://docs.influxdata.com/influxdb3/core/query-data/execute-queries/influxdb-v1-api/ and
``influxdb3_server/src/http/v1.rs`` there (parameters are read from the address alone, ``Accept`` is JSON or CSV,
parameterised questions are not supported at ``/query``; some releases give the tags of ``GROUP BY`` as columns).
The version is in the header ``X-Influxdb-Version`` of ``/ping``, else in the body of ``/health``:
https://docs.influxdata.com/influxdb/v2/api/ping/, https://docs.influxdata.com/influxdb3/core/api/server-information/.

msgpack is used because it alone is exact and unambiguous: integers keep their 64 bits, and tag values come back
unchanged whatever characters they hold (CSV does not escape a backslash in them). It is also the quickest that
the server writes.
"""

from __future__ import annotations

import json
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
import pandas as pd
from urllib3.exceptions import HTTPError

from podlab.errors import InputError, PodlabError
from podlab.http import DECODE_ERRORS, INFLUXDB, HttpClient, TooLargeError, one_line, words_of

_MAX_SMALL_ANSWER_BYTES: Final = 8_000_000
_AUTHORIZATION_WORDS = ("authoriz", "authenticat", "credentials", "insufficient permissions")
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
#: What 2.x says of a database that no bucket is mapped to, at /query and at /write.
_UNMAPPED_WORDS = ("dbrp", "database not found", "retention policy not found")
#: How servers refuse a question for too much at once: 1.x (max-select-point, -series, -buckets, max-time-range,
#: query-timeout), 2.x (memory allocation limit reached), 3.x (would exceed file limit, resources exhausted).
_TOO_MUCH = re.compile(
    r"max-(select|time|row)|(point|series|bucket|range|file|memory|size|query-timeout) limit|limit (reached|exceed)"
    r"|exceeds? (the |its )?(\S+ )?(limit|maximum)|resources? ?exhausted|out of memory|memory exhausted"
    r"|smaller time range|shorter time range|too large"
    r"|too (much|many) (data|points|rows|series|files|buckets|partitions)"
    r"|(process|scan|select|return) more than|(narrow|reduce|shorten) \S* ?(query|time)",
    re.IGNORECASE,
)
#: Refusals because of load or rate limits: the same question may pass later, a smaller one would not help.
_BUSY = re.compile(
    r"concurrent|queue|too many requests|rate.?limit|plan limit|limited_|max-connection|too busy|overloaded",
    re.IGNORECASE,
)


#: InfluxDB Cloud does not state a version; it speaks as 2.x does.
_UNSTATED: Final = {True: 2, False: 1}
_MAJOR: Final = re.compile(r"v?(\d+)\.\d")


class InfluxVersion(NamedTuple):
    """A server's version; ``text`` is empty where it reports none."""

    major: int
    text: str


class _Health(msgspec.Struct):
    version: str = ""


@dataclass
class InfluxDatabase:
    """A database on an InfluxDB server (1.x, 2.x or 3.x: it finds out by itself), and who asks."""

    url: str  # such as ``http://influxdb:8086``, without user or password
    #: Its name; it need not be there yet. ``database/policy`` names a retention policy other than the default one.
    database: str
    #: Sent in a header; never part of an address, an error or the representation. 2.x and 3.x know a user by a token.
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0  # how long to wait for a whole answer
    token: str | None = field(default=None, repr=False)
    #: Certificates of the authorities to trust; the system's by default.
    ca_file: Path | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)  # seconds that only grow

    def __post_init__(self) -> None:
        self._version: InfluxVersion | None = None
        self._http = HttpClient.to_server(
            INFLUXDB, self.url, user=self.user, password=self.password, token=self.token,
            ca_file=self.ca_file, timeout_s=self.timeout_s, clock=self.clock,
        )  # fmt: skip

    @property
    def version(self) -> InfluxVersion:
        """The server's version; asked once. Errors as of :meth:`query`."""
        if self._version is None:
            self._version = self._find_version()
        return self._version

    @property
    def name(self) -> str:
        """Address and database, for errors and reports."""
        return f"{self._http.address}, database {self.database!r}"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def query(
        self, text: str, *, bound: Mapping[str, object] | None = None, max_bytes: int = _MAX_SMALL_ANSWER_BYTES
    ) -> bytes:
        """Run one statement and return the answer's bytes, msgpack or (3.x) JSON.

        ``bound`` are the values of the ``$names`` in the text; an answer longer than ``max_bytes`` is not read to its
        end. Raises InputError if the server cannot be reached, or refuses the user or the statement; TooLargeError if
        the answer has more than ``max_bytes``, or the server refuses so much at once; PodlabError if the server fails,
        takes too long, or its answer breaks off.
        """
        form = {"q": text, "epoch": "ns", **self.place}
        if self.version.major == 3:
            return self.send("GET", "/query", None, form | {"q": fill_in(text, bound or {})}, max_bytes=max_bytes)
        if bound:
            form["params"] = json.dumps(bound)
        return self.send("POST", "/query", urlencode(form).encode(), {}, max_bytes=max_bytes)

    def write(self, lines: bytes) -> None:
        """Write points in line protocol, times in nanoseconds; errors as of :meth:`query`."""
        self.send("POST", "/write", lines, {**self.place, "precision": "ns"})

    @property
    def bare_name(self) -> str:
        """The database's name without a policy, as statements name it."""
        return self.database if self.version.major == 3 else self.database.partition("/")[0]

    @property
    def place(self) -> dict[str, str]:
        """The parameters of a request that name the database, and the policy if one was given."""
        # No name of a database may hold a slash in 1.x; in 3.x it is part of the name.
        policy = self.database.partition("/")[2] if self.version.major < 3 else ""
        return {"db": self.bare_name, **({"rp": policy} if policy else {})}

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        parameters: Mapping[str, str],
        *,
        max_bytes: int = _MAX_SMALL_ANSWER_BYTES,
    ) -> bytes:
        """Send any request with the login and return the answer's bytes; errors as of :meth:`query`."""
        major = self.version.major
        headers = {"Accept": "application/json" if major == 3 else "application/x-msgpack"}
        if path == "/query" and body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._http.token is not None:
            headers["Authorization"] = f"{'Token' if major == 2 else 'Bearer'} {self._http.token}"
        address = f"{path}?{urlencode(parameters)}" if parameters else path
        answer = self._http.send(method, address, where=self.name, body=body, headers=headers, max_bytes=max_bytes)
        if not answer.is_success:
            message = answer.headers.get("X-Influxdb-Error") or _error_in(answer.body)
            raise self.refusal(message or answer.reason, answer.status)
        return answer.body

    def _find_version(self) -> InfluxVersion:
        # Every version takes this scheme here, and those that ask for none do not look.
        headers = {} if self._http.token is None else {"Authorization": f"Bearer {self._http.token}"}
        text = ""
        for path in ("/ping", "/health"):
            answer = self._http.open("GET", path, where=self.name, headers=headers)
            text = answer.headers.get("X-Influxdb-Version", "")
            try:
                if not text and 200 <= answer.status < 300:
                    # Whatever listens there, no more than this is read of it.
                    text = _version_in(answer.read1(4096))
            except HTTPError as error:
                raise self._http.explain(error, where=self.name) from None
            finally:
                answer.close()
            if _MAJOR.match(text):
                break
        found = _MAJOR.match(text)
        return InfluxVersion(min(int(found[1]), 3) if found else _UNSTATED[self._http.token is not None], text)

    def refusal(self, message: str, status: int | None = None) -> PodlabError:
        """Turn a server's refusal, by a status or within an answer, into one clear line."""
        message = one_line(self._http.redact(message))
        lower, major = message.lower(), self.version.major
        if status == HTTPStatus.TOO_MANY_REQUESTS or _BUSY.search(message):
            what = f"InfluxDB is asked too often or too much by others: {message}"
            return PodlabError(what, where=self.name, hint="try again later")
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_MUCH.search(message):
            what = f"InfluxDB refuses so much at once: {message}"
            return TooLargeError(what, where=self.name, hint="fetch a shorter span")
        if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return PodlabError(f"InfluxDB failed with {status}: {message}", where=self.name, hint="try again")
        if status in _REFUSED or any(word in lower for word in _AUTHORIZATION_WORDS):
            return self._refused_user(message)
        policy = self.place.get("rp", "autogen")
        if major == 2 and any(word in lower for word in _UNMAPPED_WORDS):
            return InputError(
                f"InfluxDB {self.version.text} maps no bucket to this database: {message}",
                where=self.name,
                hint=f"influx v1 dbrp create --db {self.bare_name} --rp {policy} --default --bucket-id ID "
                "(influx bucket list shows the ID)",
            )
        if "retention policy not found" in lower:
            what, hint = "there is no such retention policy", "check what stands behind the slash of influxdb_database"
            return InputError(what, where=self.name, hint=hint)
        if "database not found" in lower:
            return InputError("there is no such database", where=self.name, hint="check influxdb_database")
        answered = "refuses the statement" if status is None else f"answered {status}"
        return InputError(f"InfluxDB {answered}: {message}", where=self.name)

    def _refused_user(self, message: str) -> InputError:
        who = "a visitor without login" if self.user is None else f"user {self.user!r}"
        hint = "check influxdb_user and influxdb_password"
        if self.token is not None:
            who = "the token"
            hint = "check influxdb_token, when it expires, and that it may read the database"
        if self.version.major == 2:
            hint += "; the right is made by: influx auth create --read-bucket ID"
        elif self.version.major == 3 and self.token is None:
            hint = "InfluxDB 3 asks for a token: set influxdb_token or influxdb_token_file"
        return InputError(f"InfluxDB refuses {who}: {message}", where=self.name, hint=hint)


def _error_in(body: bytes) -> str:
    """Find the message of a refusal, in msgpack or JSON; 2.x calls it ``message``."""
    for decode in (msgspec.msgpack.decode, msgspec.json.decode):
        try:
            fields = decode(body)
            return str(fields["error"] if "error" in fields else fields["message"])
        except (*DECODE_ERRORS, KeyError, TypeError):
            continue
    return words_of(body)


def _version_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Health).version
    except DECODE_ERRORS:
        return ""


class ResultSeries(msgspec.Struct):
    """A series of an answer: its tags, and its rows of time and values."""

    columns: list[str]
    tags: dict[str, str | None] | None = None
    rows: list[tuple[Any, ...]] = msgspec.field(default=[], name="values")
    partial: bool = False


class _Result(msgspec.Struct):
    series: list[ResultSeries] = []
    error: str | None = None
    partial: bool = False


class _QueryResponse(msgspec.Struct):
    results: list[_Result] = []
    error: str | None = None


_DECODER: Final = msgspec.msgpack.Decoder(_QueryResponse)
_JSON_DECODER: Final = msgspec.json.Decoder(_QueryResponse)


class StatementError(PodlabError):
    """The server answered with an error in the body; ``message`` is its own."""


@dataclass
class MeasurementRows:
    """Rows of one measurement, in columns."""

    #: The tags' values of each series; empty where a series does not have the tag.
    tags: list[tuple[str, ...]]
    series: npt.NDArray[np.int64]  # which of ``tags`` a row belongs to (n_rows,)
    time_ns: npt.NDArray[np.int64]  # nanoseconds since 1970, UTC (n_rows,)
    #: One column per field: ``Int64``, ``Float64``, ``boolean`` or ``str``, with gaps missing.
    fields: dict[str, pd.Series]


def read_series(answer: bytes, *, where: str) -> list[ResultSeries]:
    """Read an answer of one statement.

    Raises StatementError if it is an error (the server sends those with status 200 too), TooLargeError if the server
    left rows out, and PodlabError if it is not what an InfluxDB server sends.
    """
    try:
        # A map in msgpack never begins as one in JSON does.
        decoded = (_JSON_DECODER if answer[:1] == b"{" else _DECODER).decode(answer)
    except DECODE_ERRORS as error:
        raise _no_answer(str(error), where) from error
    series = []
    for message in (decoded.error, *(result.error for result in decoded.results)):
        if message is not None:
            raise StatementError(message, where=where)
    for result in decoded.results:
        if result.partial or any(each.partial for each in result.series):
            raise TooLargeError("the server left rows out of its answer", where=where)
        series += result.series
    return series


def read_rows(answer: bytes, fields: Mapping[str, str], tags: Sequence[str], *, where: str) -> MeasurementRows:
    """Read the answer of ``SELECT fields ... GROUP BY tags``; errors as of :func:`read_series`.

    ``fields`` are the names in the answer, by what each is to be called.
    """
    expected = ["time", *fields.values()]
    all_series = [
        part
        for series in read_series(answer, where=where)
        for part in ([series] if series.columns == expected else _in_order(series, expected, tags, where))
    ]
    rows = [row for series in all_series for row in series.rows]
    try:
        time_ns, *values = _to_columns(rows, len(expected))
        time_ns = np.array(time_ns, dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_answer("its rows are not times and values", where) from error
    if len(values) != len(fields):
        raise _no_answer("its rows have not the columns that it names", where)
    if any(isinstance(value, list | dict) for column in values if isinstance(column, tuple) for value in column):
        raise _no_answer("its rows hold more than plain values", where)
    counts = [len(series.rows) for series in all_series]
    return MeasurementRows(
        tags=[tuple((series.tags or {}).get(tag) or "" for tag in tags) for series in all_series],
        series=np.repeat(np.arange(len(all_series)), counts),
        time_ns=time_ns,
        fields={name: _to_series(column) for name, column in zip(fields, values, strict=True)},
    )


def _no_answer(why: str, where: str) -> PodlabError:
    what = f"the answer is not InfluxDB's or broke off: {why}"
    return PodlabError(what, where=where, hint="check that it is InfluxDB")


def _in_order(series: ResultSeries, expected: Sequence[str], tags: Sequence[str], where: str) -> list[ResultSeries]:
    """Put a series' columns into the order asked for, and split it by tags that are columns (3.x)."""
    place = {name: number for number, name in enumerate(series.columns)}
    if lost := [name for name in expected if name not in place]:
        raise PodlabError(f"the answer lacks the column {lost[0]!r} that was asked for", where=where)
    order = [place[name] for name in expected]
    among = [tag for tag in tags if tag in place]
    parts: dict[tuple[str | None, ...], list[tuple[Any, ...]]] = {}
    for row in series.rows:
        if len(row) != len(series.columns) or not all(isinstance(row[place[tag]], str | None) for tag in among):
            raise _no_answer("its rows have not the columns that it names", where)
        parts.setdefault(tuple(row[place[tag]] for tag in among), []).append(tuple(row[number] for number in order))
    return [
        ResultSeries(list(expected), {**(series.tags or {}), **dict(zip(among, values, strict=True))}, rows)
        for values, rows in parts.items()
    ]


def join_rows(parts: Sequence[MeasurementRows]) -> MeasurementRows:
    """Put the rows of several answers to the same question, such as time slices, into one."""
    parts = [part for part in parts if len(part.series)] or list(parts[:1])
    offsets = np.cumsum([0, *(len(part.tags) for part in parts[:-1])])
    return MeasurementRows(
        tags=[tags for part in parts for tags in part.tags],
        series=np.concatenate([part.series + offset for part, offset in zip(parts, offsets, strict=True)]),
        time_ns=np.concatenate([part.time_ns for part in parts]),
        fields={name: pd.concat([part.fields[name] for part in parts]) for name in parts[0].fields},
    )


def _to_columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """Turn rows into columns; integers throughout, which is what Telegraf writes, become arrays at once."""
    if rows and all(type(value) is int for value in rows[0]):
        # No type is asked for: numpy would cut fractions off, where a field has them from some row on.
        table = np.array(rows)
        if table.dtype == np.int64:
            return list(np.ascontiguousarray(table.T))
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _to_series(values: Any) -> pd.Series:
    """Bring one field to its type without a way through float64, which would round integers."""
    if isinstance(values, np.ndarray):
        return pd.Series(pd.arrays.IntegerArray(values, np.zeros(len(values), dtype=bool)))
    if all(value is None for value in values):
        return pd.Series(pd.NA, index=range(len(values)), dtype="Int64")
    column = pd.Series(pd.array(values))
    if column.dtype == object and all(value is None or type(value) in (int, float) for value in values):
        # Whole numbers beyond 64 bits: too large to be any metric, and seen to be so by those who read them.
        return pd.Series([None if value is None else float(value) for value in values], dtype="Float64")
    return column


# https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
def format_tags(tags: Mapping[str, str], *, where: str) -> str:
    r"""Write the tags of a point with a comma before each, sorted as the server stores them; empty ones are left out.

    Raises InputError if a value cannot be a tag: the protocol has no way to write a line break in it or a backslash at
    its end.

    Examples
    --------
    >>> print(format_tags({"pod_name": "a b", "node_name": "n,1", "host": ""}, where="a.parquet"))
    ,node_name=n\,1,pod_name=a\ b
    """
    for name, value in tags.items():
        if value.endswith("\\") or "\n" in value:
            hint = "rename it: no line break in it, no backslash at its end"
            raise InputError(f"{name} {value!r} cannot be stored in InfluxDB", where=where, hint=hint)
    return "".join(f",{_escape(name)}={_escape(value)}" for name, value in sorted(tags.items()) if value)


def format_fields(fields: Mapping[str, float | bool | str]) -> str:
    r"""Write the fields of a point; floats must be finite. Raises ValueError if an integer has more than 64 bits.

    Examples
    --------
    >>> print(format_fields({"rx_bytes": 9007199254740993, "image": 'a"b'}))
    rx_bytes=9007199254740993i,image="a\"b"
    """
    return ",".join(f"{_escape(name)}={_format_value(value)}" for name, value in fields.items())


def _format_value(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{value} does not fit into 64 bits")
        return f"{value}i"
    return repr(value) if isinstance(value, float) else _quote(value)


def _escape(name: str) -> str:
    return name.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def quote_identifier(name: str) -> str:
    r"""Write a database's, measurement's or field's name as InfluxQL wants it.

    Examples
    --------
    >>> print(quote_identifier('my "db"'))
    "my \"db\""
    """
    return _quote(name).replace("\n", "\\n")


def _quote(text: str, mark: str = '"') -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def fill_in(text: str, bound: Mapping[str, object]) -> str:
    r"""Put whole numbers and texts in place of their ``$names``, for a server that binds none.

    A text is quoted so that it ends nowhere but at its end:
    https://docs.influxdata.com/influxdb/v1/query_language/spec/#strings.

    Examples
    --------
    >>> print(fill_in("WHERE time >= $since AND host = $host", {"since": 5, "host": "it's"}))
    WHERE time >= 5 AND host = 'it\'s'
    """

    def literal(value: object) -> str:
        if isinstance(value, int):
            return str(value)
        return _quote(str(value), "'").replace("\n", "\\n")

    return re.sub(r"\$(\w+)", lambda found: literal(bound[found[1]]) if found[1] in bound else found[0], text)
