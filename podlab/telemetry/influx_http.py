"""Talking to an InfluxDB 1.x server over HTTP, with every refusal turned into one clear line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import msgspec

from podlab.errors import InputError, PodlabError

_MAX_SMALL_ANSWER_BYTES = 8_000_000
_AUTHORIZATION_WORDS = ("authoriz", "authenticat", "credentials")


class AnswerTooLargeError(PodlabError):
    """An answer has more bytes, or more rows, than the reader or the server takes at once."""


@dataclass
class InfluxDatabase:
    """A database on an InfluxDB 1.x server, and who asks.

    Parameters
    ----------
    url : str
        Such as ``http://influxdb:8086``, without user or password.
    database : str
        Its name; it need not be there yet.
    user, password : str, optional
        Sent in a header; never part of an address, an error or the representation.
    timeout_s : float
        How long to wait for the server at each step of a request.
    """

    url: str
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=self.url,
            auth=None if self.user is None else (self.user, self.password or ""),
            timeout=self.timeout_s,
            # Packing and unpacking takes more time than a cluster's network does.
            headers={"Accept": "application/x-msgpack", "Accept-Encoding": "identity", "User-Agent": "podlab"},
        )

    @property
    def name(self) -> str:
        """Address and database, for errors and reports."""
        return f"{self.url}, database {self.database!r}"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def query(
        self, text: str, *, bound: Mapping[str, object] | None = None, max_bytes: int = _MAX_SMALL_ANSWER_BYTES
    ) -> bytes:
        """Run one statement and return the answer's bytes, as msgpack.

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
            If the answer has more than ``max_bytes``.
        PodlabError
            If the server fails, takes too long, or its answer breaks off.
        """
        form = {"q": text, "epoch": "ns", "db": self.database}
        if bound:
            form["params"] = json.dumps(bound)
        return self._send("/query", str(httpx.QueryParams(form)).encode(), {}, max_bytes)

    def write(self, lines: bytes) -> None:
        """Write points in line protocol, times in nanoseconds; errors as of :meth:`query`."""
        self._send("/write", lines, {"db": self.database, "precision": "ns"}, _MAX_SMALL_ANSWER_BYTES)

    def _send(self, path: str, content: bytes, parameters: dict[str, str], max_bytes: int) -> bytes:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if path == "/query" else {}
        body = bytearray()
        try:
            with self._client.stream("POST", path, params=parameters, content=content, headers=headers) as answer:
                for part in answer.iter_raw():
                    body += part
                    if len(body) > max_bytes:
                        raise AnswerTooLargeError(f"the answer has more than {max_bytes:,} bytes", where=self.name)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise InputError(
                f"InfluxDB cannot be reached: {_reason(error)}", where=self.name, todo="check influxdb_url"
            ) from error
        except httpx.TimeoutException as error:
            raise PodlabError(
                f"InfluxDB did not answer within {self.timeout_s:g} s",
                where=self.name,
                todo="fetch a shorter span or raise the timeout",
            ) from error
        except httpx.HTTPError as error:
            raise PodlabError(f"the answer broke off: {_reason(error)}", where=self.name, todo="try again") from error
        self._check_status(answer, bytes(body))
        return bytes(body)

    def _check_status(self, answer: httpx.Response, body: bytes) -> None:
        if answer.is_success:
            return
        said = answer.headers.get("X-Influxdb-Error") or _error_in(body)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self.refusal(said or answer.reason_phrase)
        if answer.is_server_error:
            raise PodlabError(f"InfluxDB failed with {answer.status_code}: {said}", where=self.name, todo="try again")
        raise InputError(f"InfluxDB answered {answer.status_code}: {said}", where=self.name)

    def refusal(self, said: str) -> InputError:
        """Turn what the server said in refusal into one clear line."""
        if any(word in said.lower() for word in _AUTHORIZATION_WORDS):
            who = "a visitor without login" if self.user is None else f"user {self.user!r}"
            return InputError(
                f"InfluxDB refuses {who}: {said}", where=self.name, todo="check influxdb_user and influxdb_password"
            )
        if said.startswith("database not found"):
            return InputError("there is no such database", where=self.name, todo="check influxdb_database")
        return InputError(f"InfluxDB refuses the statement: {said}", where=self.name)


def quote_identifier(name: str) -> str:
    r"""Write a database's, measurement's or field's name as InfluxQL wants it.

    Examples
    --------
    >>> print(quote_identifier('my "db"'))
    "my \"db\""
    """
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _error_in(body: bytes) -> str:
    """Find the server's words; it packs some refusals as was asked for, and others as JSON."""
    for decode in (msgspec.msgpack.decode, msgspec.json.decode):
        try:
            return str(decode(body)["error"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            continue
    return (body[:200].decode("utf-8", "replace").splitlines() or [""])[0].strip()


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
