"""The matrix: complete, reproducible, mixed, and nothing that is drawn tells what else was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.catalogue import load
from lab.knobs import Range
from lab.matrix import Deployment
from lab.plan import MIN_FAULT_SECONDS, RecordingPlan, draw
from lab.service import PATTERNS
from lab.sites import SITES
from podlab.errors import InputError

SERVICES = [service for service in load() if not service.unknown]
REDIS = next(service for service in SERVICES if service.name == "redis")


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_the_seed_alone_decides(seed: int, count: int) -> None:
    plan = RecordingPlan(per_service=3, seed=seed, unknown=1, faults=2)
    assert draw(SERVICES[:count], plan) == draw(SERVICES[:count], plan)
    other = draw(SERVICES[:count], replace(plan, seed=seed + 1))
    assert not {d.name for d in draw(SERVICES[:count], plan)} & {d.name for d in other}


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), site=st.sampled_from(sorted(SITES)))
def test_what_is_drawn_for_a_service_does_not_depend_on_the_others(seed: int, site: str) -> None:
    plan = RecordingPlan(per_service=2, seed=seed, site=site)
    alone = {d.name: d for d in draw([REDIS], plan)}
    among = {d.name: d for d in draw(SERVICES, plan) if d.service == "redis"}
    assert alone == among


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_every_profile_and_every_pattern_take_their_turns_over_all_sites(seed: int) -> None:
    matrix = [d for site in SITES for d in draw([REDIS], RecordingPlan(per_service=10, seed=seed, site=site))]
    profiles, patterns = (Counter(getattr(d, name) for d in matrix) for name in ("profile", "pattern"))
    assert len(profiles) == len(REDIS.profiles())
    assert max(profiles.values()) - min(profiles.values()) <= 1
    assert patterns == dict.fromkeys(PATTERNS, 8)
    for names in ([d.name for d in matrix], [d.pod for d in matrix], [d.pod_uid for d in matrix]):
        assert len(set(names)) == len(matrix)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_values_lie_in_the_cell_of_their_profile(seed: int) -> None:
    for deployment in draw([REDIS], RecordingPlan(per_service=18, seed=seed)):
        for part in deployment.profile.split():
            knob, _, cell = part.partition("=")
            value = deployment.values[knob]
            if isinstance(REDIS.knobs[knob], Range):
                low, _, high = cell.partition("..")
                assert int(low) <= int(value) <= int(high or low)
            else:
                assert value == cell


def _shares(matrix: list[Deployment], of: str, by: str) -> list[float]:
    """How often each value of one draw goes with each value of another, over what chance would give."""
    pairs = Counter((getattr(d, of), getattr(d, by)) for d in matrix)
    ones, others = Counter(getattr(d, of) for d in matrix), Counter(getattr(d, by) for d in matrix)
    return [pairs[one, other] * len(matrix) / (ones[one] * others[other]) for one in ones for other in others]


@pytest.mark.parametrize(
    "by", ["pattern", "launcher", "page_cache", "earlier_run", "load_begins", "probe_by", "profile"]
)
def test_where_data_lie_tells_nothing_else(by: str) -> None:
    matrix = draw([REDIS], RecordingPlan(per_service=3000, seed=1, long_lives=0))
    assert all(0.8 < share < 1.2 for share in _shares(matrix, "data_in", by))


def test_another_knob_changes_nothing_else_that_is_drawn() -> None:
    more = replace(REDIS, knobs={**REDIS.knobs, "backlog": Range(1, 5)})
    plan = RecordingPlan(per_service=20, seed=1)
    for before, after in zip(draw([REDIS], plan), draw([more], plan), strict=True):
        assert after.values.pop("backlog")
        assert replace(after, knobs=after.knobs[:-1]) == before


def test_half_of_everything_is_as_the_design_says() -> None:
    matrix = draw([REDIS], RecordingPlan(per_service=3000, seed=1, long_lives=0))
    share = {
        "no CPU limit": sum(d.cpu_limit_cores is None for d in matrix) / 3000,
        "no memory limit": sum(d.memory_limit_mib is None for d in matrix) / 3000,
        "earlier run": sum(d.earlier_run for d in matrix) / 3000,
        "cold": sum(d.page_cache == "cold" for d in matrix) / 3000,
        "no probe": sum(d.probe_by == "none" for d in matrix) / 3000,
        "load before": sum(d.load_begins == "before" for d in matrix) / 3000,
        "load after": sum(d.load_begins == "after" for d in matrix) / 3000,
    }
    wanted = {
        "no CPU limit": 0.4, "no memory limit": 0.4, "earlier run": 0.3, "cold": 0.2, "no probe": 0.3,
        "load before": 0.25, "load after": 0.5,
    }  # fmt: skip
    assert share == pytest.approx(wanted, abs=0.04)
    assert all(d.memory_limit_mib is None or 256 <= d.memory_limit_mib <= 1024 for d in matrix)
    assert all(d.cpu_limit_cores is None or 0.25 <= d.cpu_limit_cores <= 2 for d in matrix)
    assert all((d.start_delay_s > 0) == (d.load_begins == "after") for d in matrix)


def test_a_service_without_data_has_no_volume_and_no_earlier_run() -> None:
    matrix = draw([replace(REDIS, data=None)], RecordingPlan(per_service=50))
    assert {(d.data_in, d.earlier_run) for d in matrix} == {("none", False)}


def test_what_nobody_can_connect_to_is_probed_by_a_command_or_not_at_all() -> None:
    for service in (replace(REDIS, protocol=protocol) for protocol in ("none", "sink")):
        assert {d.probe_by for d in draw([service], RecordingPlan(per_service=50))} == {"none", "exec"}
    assert {d.probe_by for d in draw([REDIS], RecordingPlan(per_service=50))} == {"none", "exec", "tcp"}
    web = replace(REDIS, protocol="http")
    assert {d.probe_by for d in draw([web], RecordingPlan(per_service=50))} == {"none", "exec", "tcp", "http"}


def test_loads_go_over_three_decades() -> None:
    matrix = draw([REDIS], RecordingPlan(per_service=1000, seed=1))
    shares = {p: [d.rate_per_s / REDIS.whole_core_requests_per_s for d in matrix if d.pattern == p] for p in PATTERNS}
    assert set(shares["idle"]) == {0.0}
    for pattern, low, high in (("steady", 0.001, 0.1), ("bursty", 0.001, 1), ("ramp", 0.001, 1), ("heavy", 0.1, 1)):
        assert low <= min(shares[pattern]) < 1.5 * low
        assert 0.7 * high < max(shares[pattern]) <= high


def test_each_block_of_neighbours_holds_every_service_once() -> None:
    matrix = draw(SERVICES, RecordingPlan(seed=3, per_service=4))
    for begin in range(0, len(matrix), len(SERVICES)):
        block = matrix[begin : begin + len(SERVICES)]
        assert {d.service for d in block} == {s.name for s in SERVICES}


def test_names_in_the_samples_do_not_name_the_service() -> None:
    for deployment in draw(SERVICES, RecordingPlan(seed=2, per_service=1)):
        assert deployment.service not in deployment.pod
        assert deployment.variant == f"{deployment.pattern}/{deployment.profile}"


@pytest.mark.parametrize(
    "plan",
    [
        RecordingPlan(()),
        RecordingPlan(per_service=0),
        RecordingPlan(("sleepy",)),
        RecordingPlan(site="zulu"),
        RecordingPlan(per_service=-1),
    ],
)
def test_nothing_to_draw_is_refused(plan: RecordingPlan) -> None:
    with pytest.raises(InputError):
        draw(SERVICES, plan)


def test_no_services_is_refused() -> None:
    with pytest.raises(InputError):
        draw([], RecordingPlan())


def test_lives_end_at_different_instants_and_one_in_ten_is_long() -> None:
    matrix = draw(SERVICES, RecordingPlan(per_service=20, seed=1, seconds=200))
    assert Counter(d.service for d in matrix if d.seconds == 1200) == {s.name: 2 for s in SERVICES}
    usual = [d.seconds for d in matrix if d.seconds != 1200]
    assert min(usual) >= 200
    assert max(usual) <= 240
    assert len(set(usual)) > 30
    assert all(d.seconds <= 240 for d in matrix[int(0.95 * len(matrix)) :])
    short = draw(SERVICES, RecordingPlan(per_service=2, seconds=60))
    assert all(d.seconds <= 72 for d in short)


def test_a_site_brings_its_release_where_a_service_has_it() -> None:
    for site in SITES.values():
        for deployment in draw(SERVICES, RecordingPlan(per_service=1, site=site.name)):
            service = next(s for s in SERVICES if s.name == deployment.service)
            assert deployment.site == site.name
            assert deployment.release == (site.release if site.release in service.releases else service.releases[0])


def test_unknown_services_and_events_are_strewn_among_the_others() -> None:
    everything = load()
    matrix = draw(everything, RecordingPlan(per_service=10, seed=1, unknown=5, faults=40, normal=20))
    names = {service.name for service in everything if service.unknown}
    assert len(names) >= 8
    unknown = [d for d in matrix if d.role == "unknown"]
    assert Counter(d.service for d in unknown) == dict.fromkeys(names, 5)
    for service in everything:
        if service.unknown and len(service.patterns) == len(PATTERNS):
            assert {d.pattern for d in unknown if d.service == service.name} == set(PATTERNS)
    assert Counter(d.role for d in matrix)["faults"] == 40
    assert Counter(d.role for d in matrix)["normal"] == 20
    assert all(bool(d.faults) == (d.role in ("faults", "normal")) for d in matrix)
    places = [index / len(matrix) for index, d in enumerate(matrix) if d.role != "known"]
    assert sum(place < 0.5 for place in places) > 0.3 * len(places)
    assert len({d.name for d in matrix}) == len(matrix)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32), count=st.integers(1, 70), seconds=st.integers(MIN_FAULT_SECONDS, 900),
    role=st.sampled_from(("faults", "normal")),
)  # fmt: skip
def test_events_never_overlap_and_each_has_a_minute_before_it(seed: int, count: int, seconds: int, role: str) -> None:
    plan = RecordingPlan(seed=seed, per_service=0, fault_seconds=seconds, **{role: count})  # type: ignore[arg-type]
    matrix = draw(SERVICES, plan)
    assert [d.role for d in matrix] == [role] * count
    assert sum(d.seconds == 1200 for d in matrix) == count // 3
    for deployment in matrix:
        assert deployment.pattern != "idle" or REDIS.patterns == ("idle",)
        earliest = 20.0
        for fault in deployment.faults:
            assert fault.begin_s >= earliest - 0.11
            earliest = fault.begin_s + fault.seconds + 60.0
        assert earliest - 60.0 <= deployment.seconds - 19.8
        assert 1 <= len({fault.kind for fault in deployment.faults}) == len(deployment.faults)
        assert all(0 <= fault.strength <= 1 for fault in deployment.faults)


def test_kinds_take_turns_and_some_begin_early() -> None:
    matrix = draw(SERVICES, RecordingPlan(per_service=0, seed=1, faults=90))
    kinds = Counter(fault.kind for d in matrix for fault in d.faults)
    assert len(kinds) >= 10
    assert min(kinds.values()) >= 4
    assert min(fault.begin_s for d in matrix for fault in d.faults) < 60
    assert len({d.service for d in matrix}) >= 8


def test_too_short_a_life_for_faults_is_refused() -> None:
    with pytest.raises(InputError, match="fault seconds"):
        draw(SERVICES, RecordingPlan(faults=1, fault_seconds=200))
