"""Durations are written with units and read back the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.units import format_duration, parse_duration_s
from podlab.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("10m", 600), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172_800), (" 1.5s ", 1.5), ("1m1s", 61)],
)
def test_reads_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "-5s", "10 apples", "1m 30s", "0s", "5S", "nan s", "1e3s"])
def test_refuses_what_has_no_unit_or_is_no_duration(text: str) -> None:
    with pytest.raises(InputError):
        parse_duration_s(text)


def test_the_error_names_the_setting_and_a_way_out() -> None:
    with pytest.raises(InputError, match=r"^--since: '60' is not a duration; write it with a unit, such as 60s"):
        parse_duration_s("60", where="--since")


@pytest.mark.parametrize("text", ["99999999999d", "36526d", "9" * 400 + "s"])
def test_refuses_what_no_date_can_be_counted_back_by(text: str) -> None:
    with pytest.raises(InputError, match=r"^--since: a duration must be at most 36525d$"):
        parse_duration_s(text, where="--since")


@given(st.integers(min_value=1, max_value=10**11))
def test_formatted_durations_read_back_the_same(milliseconds: int) -> None:
    assert parse_duration_s(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
