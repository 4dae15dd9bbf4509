"""Scores are short and never read as perfect when they are not."""

from __future__ import annotations

import pytest

from podlab.notebook.tables import format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.876, "0.88"),
        (1.0, "1.00"),
        (0.0, "0.00"),
        (0.9955, "0.996"),
        (0.0044, "0.004"),
        (179.014, "179.01"),
        (1, "1.00"),
    ],
)
def test_numbers_are_rounded_but_not_to_perfect(value: float, text: str) -> None:
    assert format_number(value) == text
