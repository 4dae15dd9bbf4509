r"""Which InfluxDB answers, and how it wants to be spoken to: all three versions are asked in InfluxQL at ``/query``.

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
The version stands in the header ``X-Influxdb-Version`` of ``/ping``, else in the body of ``/health``:
https://docs.influxdata.com/influxdb/v2/api/ping/, https://docs.influxdata.com/influxdb3/core/api/server-information/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx
import msgspec

#: InfluxDB Cloud does not tell a version; it speaks as 2.x does.
_UNTOLD: Final = {True: 2, False: 1}
_MAJOR: Final = re.compile(r"v?(\d+)\.\d")


class InfluxVersion(NamedTuple):
    """What a server says it is; ``told`` is empty where it says nothing."""

    major: int
    told: str


class _Health(msgspec.Struct):
    version: str = ""


def find_version(client: httpx.Client, token: str | None) -> InfluxVersion:
    """Ask a server what it is.

    Parameters
    ----------
    client : Client
        With the server's address.
    token : str, optional
        Sent along: 3.x answers nobody else.

    Raises
    ------
    httpx.HTTPError
        If it cannot be reached, or its answer breaks off.
    """
    # Every version takes this scheme here, and those that ask for none do not look.
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    told = ""
    for path in ("/ping", "/health"):
        # Whatever listens there, no more than this is read of it.
        with client.stream("GET", path, headers=headers) as answer:
            told = answer.headers.get("X-Influxdb-Version", "")
            if not told and answer.is_success:
                told = _version_in(next(answer.iter_raw(4096), b""))
        if _MAJOR.match(told):
            break
    found = _MAJOR.match(told)
    return InfluxVersion(min(int(found[1]), 3) if found else _UNTOLD[token is not None], told)


def _version_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Health).version
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""


def authorization(major: int, token: str) -> str:
    """Give the header by which a version knows the bearer of a token."""
    return f"{'Token' if major == 2 else 'Bearer'} {token}"


def write_in(text: str, bound: Mapping[str, object]) -> str:
    r"""Put values in place of their names, for a server that binds none.

    Parameters
    ----------
    text : str
        InfluxQL with ``$name`` where a value belongs.
    bound : mapping
        Whole numbers, and texts, which are quoted so that they end nowhere but at their end:
        https://docs.influxdata.com/influxdb/v1/query_language/spec/#strings.

    Examples
    --------
    >>> print(write_in("WHERE time >= $since AND host = $host", {"since": 5, "host": "it's"}))
    WHERE time >= 5 AND host = 'it\'s'
    """

    def literal(value: object) -> str:
        if isinstance(value, int):
            return str(value)
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"

    return re.sub(r"\$(\w+)", lambda found: literal(bound[found[1]]) if found[1] in bound else found[0], text)
