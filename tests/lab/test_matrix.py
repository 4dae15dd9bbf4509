"""The matrix: complete, reproducible, mixed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.lab.catalogue import load
from podlab.lab.matrix import PATTERNS, draw

SERVICES = load()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), replicates=st.integers(1, 3), count=st.integers(1, len(SERVICES)))
def test_every_service_is_crossed_with_every_pattern_and_configuration(seed: int, replicates: int, count: int) -> None:
    chosen = SERVICES[:count]
    matrix = draw(chosen, PATTERNS, replicates, seed)
    cells = Counter((d.service, d.pattern, d.configuration) for d in matrix)
    expected = {(s.name, p, c.name) for s in chosen for p in PATTERNS for c in s.configurations}
    assert set(cells) == expected
    assert set(cells.values()) == {replicates}
    for names in ([d.name for d in matrix], [d.pod for d in matrix], [d.pod_uid for d in matrix]):
        assert len(set(names)) == len(matrix)


def test_the_seed_alone_decides() -> None:
    assert draw(SERVICES, seed=5) == draw(SERVICES, seed=5)
    assert draw(SERVICES, seed=5) != draw(SERVICES, seed=6)
    assert not {d.name for d in draw(SERVICES, seed=5)} & {d.name for d in draw(SERVICES, seed=6)}


def test_each_block_of_neighbours_holds_every_service_once() -> None:
    matrix = draw(SERVICES, seed=3)
    for begin in range(0, len(matrix), len(SERVICES)):
        block = matrix[begin : begin + len(SERVICES)]
        assert {d.service for d in block} == {s.name for s in SERVICES}


def test_no_load_pattern_keeps_to_a_part_of_the_recording() -> None:
    matrix = draw(SERVICES, replicates=3, seed=4)
    third = len(matrix) // 3
    for part in (matrix[:third], matrix[third : 2 * third], matrix[2 * third :]):
        shares = Counter(d.pattern for d in part)
        assert all(0.1 < shares[pattern] / len(part) < 0.45 for pattern in PATTERNS)


def test_load_is_drawn_anew_and_by_its_pattern() -> None:
    matrix = draw(SERVICES, replicates=3, seed=1)
    rates = {s.name: s.heavy_requests_per_s for s in SERVICES}
    for deployment in matrix:
        share = deployment.rate_per_s / rates[deployment.service]
        low, high = {"idle": (0, 0), "steady": (0.03, 0.36), "bursty": (0.29, 1.01), "heavy": (0.49, 1.21)}[
            deployment.pattern
        ]
        assert low <= share <= high
    heavy = [d for d in matrix if d.pattern == "heavy" and d.service == "redis"]
    assert len({(d.rate_per_s, d.payload_bytes, d.start_delay_s) for d in heavy}) == len(heavy)


def test_names_in_the_samples_do_not_name_the_service() -> None:
    for deployment in draw(SERVICES, seed=2):
        assert deployment.service not in deployment.pod
        assert deployment.variant == f"{deployment.pattern}/{deployment.configuration}"


@pytest.mark.parametrize(("patterns", "replicates"), [((), 1), (("idle",), 0), (("sleepy",), 1)])
def test_nothing_to_draw_is_refused(patterns: tuple[str, ...], replicates: int) -> None:
    with pytest.raises(InputError):
        draw(SERVICES, patterns, replicates)


def test_no_services_is_refused() -> None:
    with pytest.raises(InputError):
        draw([])
