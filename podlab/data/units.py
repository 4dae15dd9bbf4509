"""How numbers, intervals and durations (``500ms``, ``60s``, ``1h30m``) are written."""

from __future__ import annotations

import math
import re

from podlab.errors import InputError

_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Longer than anything that is measured; and from now as long ago is still a date.
_MOST_DAYS = 36_525
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration_s(text: str, *, where: str | None = None) -> float:
    """Read a duration with its unit.

    Raises InputError if the text is no such duration, has no unit, is 0 or too long.

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


def format_count(count: int, what: str) -> str:
    """Write how many there are of something, whose plural ends in "s".

    Examples
    --------
    >>> format_count(1, "container"), format_count(12, "container")
    ('1 container', '12 containers')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def format_number(value: float) -> str:
    """Write a number: whole ones as they are, others with two decimals, from 10 with one, from 100 with none.

    Three decimals where two would read 1.00 or 0.00 for something that is neither.

    Examples
    --------
    >>> format_number(0.876), format_number(0.9955), format_number(0.0004), format_number(-0.0001), format_number(1.0)
    ('0.88', '0.996', '0.000', '0.000', '1.00')
    >>> format_number(30.81), format_number(1234.5), format_number(10080)
    ('30.8', '1,234', '10,080')
    """
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    if digits == 2 and round(value, 2) in (0.0, 1.0) and round(value, 2) != value:
        digits = 3
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def format_interval(low: float | None, high: float | None) -> str:
    """Write an interval, ``-`` where it is undefined.

    Examples
    --------
    >>> format_interval(0.81, 0.93), format_interval(float("nan"), 1.0)
    ('0.81 to 0.93', '-')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "-"
    return f"{format_number(low)} to {format_number(high)}"


def format_estimate(value: float, low: float | None = None, high: float | None = None) -> str:
    """Write a value with its interval, such as ``0.88 (0.81 to 0.93)``; ``-`` where there is no value."""
    if math.isnan(value):
        return "-"
    interval = format_interval(low, high)
    return format_number(value) if interval == "-" else f"{format_number(value)} ({interval})"
