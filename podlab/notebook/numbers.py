"""How scores are written: short, but never rounded to perfect or to nothing."""

from __future__ import annotations


def format_number(value: float) -> str:
    """Write a number with two decimals, with three where two would read 1.00 or 0.00 for something that is neither.

    Examples
    --------
    >>> format_number(0.876), format_number(0.9955), format_number(0.0004), format_number(1.0)
    ('0.88', '0.996', '0.000', '1.00')
    """
    short = f"{value:.2f}"
    return f"{value:.3f}" if float(short) in (0.0, 1.0) and float(short) != value else short
