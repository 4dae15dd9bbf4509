"""The matrix: complete, reproducible, mixed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.lab.catalogue import load
from podlab.lab.plan import MIN_FAULT_SECONDS, Plan, draw
from podlab.lab.service import PATTERNS, RELEASES

SERVICES = [service for service in load() if not service.unknown]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), replicates=st.integers(1, 3), count=st.integers(1, len(SERVICES)))
def test_every_service_is_crossed_with_every_pattern_and_configuration(seed: int, replicates: int, count: int) -> None:
    chosen = SERVICES[:count]
    matrix = draw(chosen, Plan(PATTERNS, replicates, seed))
    cells = Counter((d.service, d.pattern, d.configuration) for d in matrix)
    expected = {(s.name, p, c.name) for s in chosen for p in PATTERNS for c in s.configurations}
    assert set(cells) == expected
    assert set(cells.values()) == {replicates}
    for names in ([d.name for d in matrix], [d.pod for d in matrix], [d.pod_uid for d in matrix]):
        assert len(set(names)) == len(matrix)


def test_the_seed_alone_decides() -> None:
    assert draw(SERVICES, Plan(seed=5)) == draw(SERVICES, Plan(seed=5))
    assert draw(SERVICES, Plan(seed=5)) != draw(SERVICES, Plan(seed=6))
    assert not {d.name for d in draw(SERVICES, Plan(seed=5))} & {d.name for d in draw(SERVICES, Plan(seed=6))}


def test_each_block_of_neighbours_holds_every_service_once() -> None:
    matrix = draw(SERVICES, Plan(seed=3))
    for begin in range(0, len(matrix), len(SERVICES)):
        block = matrix[begin : begin + len(SERVICES)]
        assert {d.service for d in block} == {s.name for s in SERVICES}


def test_no_load_pattern_keeps_to_a_part_of_the_recording() -> None:
    matrix = draw(SERVICES, Plan(replicates=3, seed=4))
    third = len(matrix) // 3
    for part in (matrix[:third], matrix[third : 2 * third], matrix[2 * third :]):
        shares = Counter(d.pattern for d in part)
        assert all(0.1 < shares[pattern] / len(part) < 0.35 for pattern in PATTERNS)


def test_load_is_drawn_anew_and_by_its_pattern() -> None:
    matrix = draw(SERVICES, Plan(replicates=3, seed=1))
    rates = {s.name: s.heavy_requests_per_s for s in SERVICES}
    for deployment in matrix:
        share = deployment.rate_per_s / rates[deployment.service]
        limits = {"idle": (0, 0), "steady": (0.01, 0.16), "heavy": (0.19, 0.81)}
        low, high = limits.get(deployment.pattern, (0.09, 0.81))
        assert low <= share <= high
    heavy = [d for d in matrix if d.pattern == "heavy" and d.service == "redis"]
    assert len({(d.rate_per_s, d.payload_bytes, d.start_delay_s) for d in heavy}) == len(heavy)


def test_names_in_the_samples_do_not_name_the_service() -> None:
    for deployment in draw(SERVICES, Plan(seed=2)):
        assert deployment.service not in deployment.pod
        assert deployment.variant == f"{deployment.pattern}/{deployment.configuration}"


@pytest.mark.parametrize(("patterns", "replicates"), [((), 1), (("idle",), 0), (("sleepy",), 1)])
def test_nothing_to_draw_is_refused(patterns: tuple[str, ...], replicates: int) -> None:
    with pytest.raises(InputError):
        draw(SERVICES, Plan(patterns, replicates))


def test_no_services_is_refused() -> None:
    with pytest.raises(InputError):
        draw([], Plan())


def test_long_lives_are_some_of_each_service_and_never_among_the_last() -> None:
    matrix = draw(SERVICES, Plan(replicates=2, seed=1, seconds=240, long_lives=3, long_seconds=660))
    assert Counter(d.service for d in matrix if d.seconds == 660) == {s.name: 3 for s in SERVICES}
    assert all(d.seconds in (240, 660) for d in matrix)
    assert all(d.seconds == 240 for d in matrix[int(0.9 * len(matrix)) :])


def test_unknown_services_and_faults_are_strewn_among_the_others() -> None:
    everything = load()
    matrix = draw(everything, Plan(replicates=2, seed=1, unknown=6, faults=40))
    names = {service.name for service in everything if service.unknown}
    assert len(names) >= 8
    unknown = [d for d in matrix if d.role == "unknown"]
    assert {d.service for d in unknown} == names
    for service in everything:
        if service.unknown:
            mine = [d for d in unknown if d.service == service.name]
            assert len(mine) == 6
            assert {d.pattern for d in mine} == set(service.patterns)
    faulty = [d for d in matrix if d.role == "faults"]
    assert len(faulty) == 40
    assert all(not d.faults for d in matrix if d.role != "faults")
    places = [index / len(matrix) for index, d in enumerate(matrix) if d.role != "known"]
    assert sum(place < 0.5 for place in places) > 0.3 * len(places)
    assert len({d.name for d in matrix}) == len(matrix)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 70), seconds=st.integers(MIN_FAULT_SECONDS, 900))
def test_faults_never_overlap_and_leave_the_beginning_and_most_of_a_life_normal(
    seed: int, count: int, seconds: int
) -> None:
    matrix = draw(SERVICES, Plan(seed=seed, faults=count, fault_seconds=seconds))
    faulty = [d for d in matrix if d.role == "faults"]
    assert len(faulty) == count
    for deployment in faulty:
        ends = 150.0
        for fault in deployment.faults:
            assert fault.begin_s >= ends
            ends = fault.begin_s + fault.seconds
            low, high = (10, 15) if fault.kind == "crash" else (40, 90)
            assert low <= fault.seconds <= high
        assert ends < seconds
        assert len({fault.kind for fault in deployment.faults}) == 2
        assert all(0 <= fault.strength <= 1 for fault in deployment.faults)
    kinds = Counter(fault.kind for d in faulty for fault in d.faults)
    if count >= 60:
        assert min(kinds.values()) >= 4
        assert len({d.service for d in faulty}) >= 8


def test_releases_stand_for_no_pattern_and_no_configuration() -> None:
    both = [service for service in SERVICES if len(service.releases) == 2]
    matrix = draw(both, Plan(replicates=2, releases=RELEASES))
    cells = Counter((d.service, d.pattern, d.configuration, d.release) for d in matrix)
    assert len(cells) == len(matrix)


def test_too_short_a_life_for_faults_is_refused() -> None:
    with pytest.raises(InputError, match="fault seconds"):
        draw(SERVICES, Plan(faults=1, fault_seconds=200))
