"""Talking to an InfluxDB server over HTTP, with every refusal turned into one clear line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec

from podlab.errors import InputError, PodlabError
from podlab.sources.http_client import HttpPeer, web_page
from podlab.sources.influx_version import InfluxVersion, authorization, find_version, write_in

_MAX_SMALL_ANSWER_BYTES = 8_000_000
_AUTHORIZATION_WORDS = ("authoriz", "authenticat", "credentials", "insufficient permissions")
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
#: What 2.x says of a database that no bucket is mapped to, at /query and at /write.
_UNMAPPED_WORDS = ("dbrp", "database not found", "retention policy not found")
#: How servers say that a question asks for too much at once: 1.x (max-select-point, -series, -buckets, max-time-range,
#: query-timeout), 2.x (memory allocation limit reached), 3.x (would exceed file limit, resources exhausted).
_TOO_MUCH = re.compile(
    r"max-(select|time|row)|(point|series|bucket|range|file|memory|size|query-timeout) limit|limit (reached|exceed)"
    r"|exceeds? (the |its )?(\S+ )?(limit|maximum)|resources? ?exhausted|out of memory|memory exhausted"
    r"|smaller time range|shorter time range|too large"
    r"|too (much|many) (data|points|rows|series|files|buckets|partitions)"
    r"|(process|scan|select|return) more than|(narrow|reduce|shorten) \S* ?(query|time)",
    re.IGNORECASE,
)
#: What is refused because of others' questions, or of how many there were: the next may pass, a smaller one no sooner.
_BUSY = re.compile(
    r"concurrent|queue|too many requests|rate.?limit|plan limit|limited_|max-connection|too busy|overloaded",
    re.IGNORECASE,
)


class AnswerTooLargeError(PodlabError):
    """An answer has more bytes, or more rows, than the reader or the server takes at once."""


@dataclass
class InfluxDatabase:
    """A database on an InfluxDB server (1.x, 2.x or 3.x: it finds out by itself), and who asks.

    Parameters
    ----------
    url : str
        Such as ``http://influxdb:8086``, without user or password.
    database : str
        Its name; it need not be there yet. ``database/policy`` names a retention policy other than the default one.
    user, password : str, optional
        Sent in a header; never part of an address, an error or the representation.
    timeout_s : float
        How long to wait for a whole answer.
    token : str, optional
        What 2.x and 3.x know a user by, instead of user and password; kept as the password is.
    ca_file : Path, optional
        Certificates of the authorities to trust; the system's by default.
    clock : callable
        Seconds that only grow.
    """

    url: str
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        self._version: InfluxVersion | None = None
        self._peer = HttpPeer(
            "InfluxDB", "influxdb", self.url, user=self.user, password=self.password, token=self.token,
            ca_file=self.ca_file, timeout_s=self.timeout_s,
        )  # fmt: skip
        self._client = self._peer.client

    @property
    def version(self) -> InfluxVersion:
        """What the server is; asked once. Errors as of :meth:`query`."""
        if self._version is None:
            try:
                self._version = find_version(self._client, self._peer.token)
            except httpx.HTTPError as error:
                raise self._peer.explain(error, where=self.name) from None
        return self._version

    @property
    def name(self) -> str:
        """Address and database, for errors and reports."""
        return f"{self.url}{self._peer.way}, database {self.database!r}"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def query(
        self, text: str, *, bound: Mapping[str, object] | None = None, max_bytes: int = _MAX_SMALL_ANSWER_BYTES
    ) -> bytes:
        """Run one statement and return the answer's bytes, msgpack or (3.x) JSON.

        Parameters
        ----------
        text : str
            InfluxQL; values stand in it as ``$name`` and come from ``bound``.
        bound : mapping, optional
            Values of the names in ``text``.
        max_bytes : int
            A longer answer is not read to its end.

        Raises
        ------
        InputError
            If the server cannot be reached, or refuses the user or the statement.
        AnswerTooLargeError
            If the answer has more than ``max_bytes``, or the server says that it were too much.
        PodlabError
            If the server fails, takes too long, or its answer breaks off.
        """
        form = {"q": text, "epoch": "ns", **self._place()}
        if self.version.major == 3:
            return self._send("GET", "/query", None, form | {"q": write_in(text, bound or {})}, max_bytes)
        if bound:
            form["params"] = json.dumps(bound)
        return self._send("POST", "/query", str(httpx.QueryParams(form)).encode(), {}, max_bytes)

    def write(self, lines: bytes) -> None:
        """Write points in line protocol, times in nanoseconds; errors as of :meth:`query`."""
        parameters = {**self._place(), "precision": "ns"}
        self._send("POST", "/write", lines, parameters, _MAX_SMALL_ANSWER_BYTES)

    @property
    def bare_name(self) -> str:
        """The database's name without a policy, as statements name it."""
        return self.database if self.version.major == 3 else self.database.partition("/")[0]

    def _place(self) -> dict[str, str]:
        # No name of a database may hold a slash in 1.x; in 3.x it is part of the name.
        policy = self.database.partition("/")[2] if self.version.major < 3 else ""
        return {"db": self.bare_name, **({"rp": policy} if policy else {})}

    def _send(self, method: str, path: str, content: bytes | None, parameters: dict[str, str], max_bytes: int) -> bytes:
        major = self.version.major
        headers = {"Accept": "application/json" if major == 3 else "application/x-msgpack"}
        if path == "/query" and content is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._peer.token is not None:
            headers["Authorization"] = authorization(major, self._peer.token)
        body = bytearray()
        until_s = self.clock() + self.timeout_s
        try:
            with self._client.stream(method, path, params=parameters, content=content, headers=headers) as answer:
                # Some gateways pack an answer although it was asked not to be.
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > max_bytes:
                        raise AnswerTooLargeError(f"the answer has more than {max_bytes:,} bytes", where=self.name)
                    # One that dribbles never lets a single step run out of time.
                    if self.clock() > until_s:
                        raise self._peer.slow(where=self.name)
        except httpx.HTTPError as error:
            raise self._peer.explain(error, where=self.name) from None
        self._check_status(answer, bytes(body))
        return bytes(body)

    def _check_status(self, answer: httpx.Response, body: bytes) -> None:
        if answer.is_success:
            return
        self._peer.check_proxy(answer, where=self.name)
        said = answer.headers.get("X-Influxdb-Error") or _error_in(body)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or _BUSY.search(said):
            raise self._busy(said or answer.reason_phrase)
        is_question = answer.request.url.path.endswith("/query")
        if is_question and (answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_MUCH.search(said)):
            raise self._too_much(said or answer.reason_phrase)
        if answer.status_code in _REFUSED:
            raise self.refusal(said or answer.reason_phrase, answer.status_code)
        if answer.is_server_error:
            what = f"InfluxDB failed with {answer.status_code}: {self._peer.redact(said)}"
            raise PodlabError(what, where=self.name, hint="try again")
        raise self.refusal(said, answer.status_code)

    def _busy(self, said: str) -> PodlabError:
        what = f"InfluxDB is asked too often or too much by others: {self._peer.redact(said)}"
        return PodlabError(what, where=self.name, hint="try again later")

    def _too_much(self, said: str) -> AnswerTooLargeError:
        what = f"InfluxDB refuses so much at once: {self._peer.redact(said)}"
        return AnswerTooLargeError(what, where=self.name, hint="fetch a shorter span")

    def refusal(self, said: str, status: int | None = None) -> PodlabError:
        """Turn what the server said in refusal into one clear line."""
        if _BUSY.search(said):
            return self._busy(said)
        if _TOO_MUCH.search(said):
            return self._too_much(said)
        said = self._peer.redact(said)
        said_low, major = said.lower(), self.version.major
        if status in _REFUSED or any(word in said_low for word in _AUTHORIZATION_WORDS):
            return self._refused_user(said)
        policy = self._place().get("rp", "autogen")
        if major == 2 and any(word in said_low for word in _UNMAPPED_WORDS):
            return InputError(
                f"InfluxDB {self.version.told} maps no bucket to this database: {said}",
                where=self.name,
                hint=f"influx v1 dbrp create --db {self.bare_name} --rp {policy} --default --bucket-id ID "
                "(influx bucket list tells the ID)",
            )
        if "retention policy not found" in said_low:
            what, hint = "there is no such retention policy", "check what stands behind the slash of influxdb_database"
            return InputError(what, where=self.name, hint=hint)
        if "database not found" in said_low:
            return InputError("there is no such database", where=self.name, hint="check influxdb_database")
        answered = "refuses the statement" if status is None else f"answered {status}"
        return InputError(f"InfluxDB {answered}: {said}", where=self.name)

    def _refused_user(self, said: str) -> InputError:
        who = "a visitor without login" if self.user is None else f"user {self.user!r}"
        hint = "check influxdb_user and influxdb_password"
        if self.token is not None:
            who = "the token"
            hint = "check influxdb_token, when it expires, and that it may read the database"
        if self.version.major == 2:
            hint += "; the right is made by: influx auth create --read-bucket ID"
        elif self.version.major == 3 and self.token is None:
            hint = "InfluxDB 3 asks for a token: set influxdb_token or influxdb_token_file"
        return InputError(f"InfluxDB refuses {who}: {said}", where=self.name, hint=hint)


def quote_identifier(name: str) -> str:
    r"""Write a database's, measurement's or field's name as InfluxQL wants it.

    Examples
    --------
    >>> print(quote_identifier('my "db"'))
    "my \"db\""
    """
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _error_in(body: bytes) -> str:
    """Find the server's words; it packs some refusals as was asked for, and others as JSON; 2.x has a ``message``."""
    for decode in (msgspec.msgpack.decode, msgspec.json.decode):
        try:
            told = decode(body)
            return str(told["error"] if "error" in told else told["message"])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
            continue
    return web_page(body) or (body[:200].decode("utf-8", "replace").splitlines() or [""])[0].strip()
