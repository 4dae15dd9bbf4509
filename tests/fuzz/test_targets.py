"""Whatever is damaged, one line is said or sound values are read."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS, attempt


@pytest.mark.parametrize("name", TARGETS)
def test_damage_ends_in_one_line_or_in_sound_values(name: str) -> None:
    for seed in range(25):
        attempt(name, seed)
