"""Text that InfluxDB reads: InfluxQL with names and values in it, and points in line protocol.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from podlab.errors import InputError


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
