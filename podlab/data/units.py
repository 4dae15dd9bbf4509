"""Durations written with their units: ``500ms``, ``60s``, ``10m``, ``1h30m``."""

from __future__ import annotations

import re

from podlab.errors import InputError

_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Longer than anything that is measured; and from now as long ago is still a date.
_MOST_DAYS = 36_525
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration_s(text: str, *, where: str | None = None) -> float:
    """Read a duration with its unit.

    Parameters
    ----------
    text : str
        One or more numbers, each with one of the units ``ms``, ``s``, ``m``, ``h``, ``d``.
    where : str, optional
        The setting or option it came from, for the error.

    Returns
    -------
    float
        Seconds, greater than 0 and at most 100 years.

    Raises
    ------
    InputError
        If the text is no such duration, has no unit, is 0 or too long.

    Examples
    --------
    >>> parse_duration_s("1m30s")
    90.0
    """
    compact = text.strip()
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise InputError(f"{text!r} is not a duration", where=where, hint="write it with a unit, such as 60s or 10m")
    seconds = sum(float(number) * _SECONDS_PER_UNIT[unit] for number, unit in parts)
    if seconds <= 0:
        raise InputError("a duration must be longer than 0", where=where)
    if seconds > _MOST_DAYS * _SECONDS_PER_UNIT["d"]:
        raise InputError(f"a duration must be at most {_MOST_DAYS}d", where=where)
    return seconds


def format_duration(seconds: float) -> str:
    """Write a duration in the form that :func:`parse_duration_s` reads.

    Examples
    --------
    >>> format_duration(90)
    '1m30s'
    >>> format_duration(0.25)
    '250ms'
    """
    milliseconds = round(seconds * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    rest_s = milliseconds // 1000
    text = ""
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest_s = divmod(rest_s, size_s)
        if count:
            text += f"{count}{unit}"
    return text or "0s"
