"""Text that InfluxDB reads: InfluxQL with names and values in it, and points in line protocol.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from podlab.errors import InputError

_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)


def format_tags(tags: Mapping[str, str], *, where: str) -> str:
    r"""Write the tags of a point, sorted by name as the server stores them; those without a value are left out.

    Parameters
    ----------
    tags : mapping of str to str
        Name -> value.
    where : str
        The file they came from, for errors.

    Returns
    -------
    str
        With a comma before each tag.

    Raises
    ------
    InputError
        If a value cannot be a tag: the protocol has no way to write a line break in it or a backslash at its end.

    Examples
    --------
    >>> print(format_tags({"pod_name": "a b", "node_name": "n,1", "host": ""}, where="a.parquet"))
    ,node_name=n\,1,pod_name=a\ b
    """
    text = ""
    for name, value in sorted(tags.items()):
        if not value:
            continue
        if value.endswith("\\") or "\n" in value:
            raise InputError(
                f"{name} {value!r} cannot be stored in InfluxDB",
                where=where,
                hint="rename it: no line break in it, no backslash at its end",
            )
        text += f",{_escape(name)}={_escape(value)}"
    return text


def format_fields(fields: Mapping[str, float | bool | str]) -> str:
    r"""Write the fields of a point.

    Parameters
    ----------
    fields : mapping of str to int, float, bool or str
        Name -> value; integers must fit into 64 bits, and floats be finite.

    Raises
    ------
    ValueError
        If an integer does not fit.

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
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise ValueError(f"{value} does not fit into 64 bits")
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escape(name: str) -> str:
    return name.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def quote_identifier(name: str) -> str:
    r"""Write a database's, measurement's or field's name as InfluxQL wants it.

    Examples
    --------
    >>> print(quote_identifier('my "db"'))
    "my \"db\""
    """
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def fill_in(text: str, bound: Mapping[str, object]) -> str:
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
    >>> print(fill_in("WHERE time >= $since AND host = $host", {"since": 5, "host": "it's"}))
    WHERE time >= 5 AND host = 'it\'s'
    """

    def literal(value: object) -> str:
        if isinstance(value, int):
            return str(value)
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"

    return re.sub(r"\$(\w+)", lambda found: literal(bound[found[1]]) if found[1] in bound else found[0], text)
