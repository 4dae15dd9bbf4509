"""Knobs: what is drawn lies where it shall, and comes to its place in a command."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.knobs import Choices, Range, fill_words, texts


@given(
    low=st.floats(0.01, 100), width=st.floats(0.5, 1000), log=st.booleans(), whole=st.booleans(),
    shares=st.lists(st.floats(0.1, 0.9), max_size=3, unique=True), seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_number_lies_in_its_range_and_in_its_cell(
    low: float, width: float, log: bool, whole: bool, shares: list[float], seed: int
) -> None:
    bounds = (float(round(low) + 1), float(round(low + width) + 8)) if whole else (low, low + width)
    knob = Range(*bounds, log=log)
    assert bounds[0] <= float(knob.draw(random.Random(seed))) <= bounds[1]
    cuts = [bounds[0] + share * (bounds[1] - bounds[0]) for share in sorted(shares)]
    for cell in knob.cells(cuts):
        if cell.low < cell.high:
            assert cell.low <= float(knob.draw(random.Random(seed), cell)) <= cell.high


def test_whole_bounds_give_whole_numbers_all_of_them_and_each_as_often() -> None:
    chance = random.Random(1)
    drawn = Counter(Range(1, 4).draw(chance) for _ in range(4000))
    assert set(drawn) == {"1", "2", "3", "4"}
    assert all(900 < count < 1100 for count in drawn.values())


def test_a_logarithmic_range_gives_each_factor_as_often() -> None:
    chance = random.Random(1)
    drawn = [float(Range(0.1, 10, log=True).draw(chance)) for _ in range(2000)]
    assert 0.45 < sum(value < 1 for value in drawn) / 2000 < 0.55


def test_so_many_draws_are_0_and_0_is_a_cell_of_its_own() -> None:
    knob = Range(10, 200, log=True, zero_share=0.3)
    chance = random.Random(1)
    drawn = [knob.draw(chance) for _ in range(2000)]
    assert 0.27 < drawn.count("0") / 2000 < 0.33
    assert all(int(value) >= 10 for value in drawn if value != "0")
    zero, small, large = knob.cells([50])
    assert (zero.name, small.name, large.name) == ("0", "10..49", "50..200")
    assert {knob.draw(chance, zero) for _ in range(50)} == {"0"}
    assert all(10 <= int(knob.draw(chance, small)) < 50 for _ in range(50))


@pytest.mark.parametrize(
    ("words", "filled"),
    [
        (["a", "@{none}", "b"], ("a", "b")),
        (["@{two}"], ("--x", "1 2")),
        (["--size=@{size}m"], ("--size=7m",)),
        (["sh", "-c", "run @{two} @{none}"], ("sh", "-c", "run --x '1 2' ")),
    ],
)
def test_a_placeholder_alone_becomes_words_and_inside_a_word_its_text(
    words: list[str], filled: tuple[str, ...]
) -> None:
    assert fill_words(words, {"none": "", "two": "--x '1 2'", "size": "7"}) == filled


def test_a_choice_may_name_a_number() -> None:
    knobs = {"log": Choices({"off": "", "on": "--log-size @{size}"}), "size": Range(1, 9)}
    assert texts(knobs, {"log": "on", "size": "3"}) == {"log": "--log-size 3", "size": "3"}
