"""The ring of samples: what a plain list would hold, and never more than its bounds."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from podlab.sources.kubelet import ReadingBuffer
from podlab.sources.kubelet_answers import MISSING, NS_PER_S, Instance, Reading

COLUMN = "memory_usage_bytes"
COLUMNS = (COLUMN, "rx_bytes", "network_age_seconds")
#: Rounds of (pod, time), a second apart.
ROUNDS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=5), max_size=12)


def reading(samples: list[tuple[int, int]]) -> Reading:
    told = np.full((len(samples), len(COLUMNS)), MISSING, dtype=np.int64)
    told[:, 0] = [1000 * pod + at for pod, at in samples]
    instances = [Instance("n", "ns", f"p{pod}", f"u{pod}", "main", MISSING) for pod, _ in samples]
    return Reading(instances, np.array([at * NS_PER_S for _, at in samples], dtype=np.int64), told, COLUMNS)


@given(ROUNDS)
@settings(max_examples=150)
def test_it_holds_what_a_list_would(rounds: list[list[tuple[int, int]]]) -> None:
    ring, window_s = ReadingBuffer(4.0, COLUMNS), 4
    kept: list[tuple[int, int, int]] = []  # when it came, pod, time
    for came_s, samples in enumerate(rounds):
        for pod, at in samples:
            if at > max((known for came, other, known in kept if other == pod), default=-1):
                kept.append((came_s, pod, at))
        ring.add([reading(samples)], float(came_s))
        kept = [each for each in kept if each[0] >= came_s - window_s]
    got = ring.select(2 * NS_PER_S, 7 * NS_PER_S)
    expected = sorted((f"p{pod}", at, float(1000 * pod + at)) for _, pod, at in kept if 2 <= at < 7)
    assert len(ring) == len(kept)
    if not expected:
        assert got.empty
        return
    rows = zip(got["pod"], got["time"].astype("int64") // NS_PER_S, got[COLUMN], strict=True)
    assert sorted(rows) == expected
    assert set(got) == {"time", "node", "namespace", "pod", "pod_uid", "container", "started_at", COLUMN}


def test_only_the_pods_asked_for() -> None:
    ring = ReadingBuffer(100.0, COLUMNS)
    ring.add([reading([(0, 1), (1, 1), (2, 1)])], 0.0)
    assert ring.select(0, 9 * NS_PER_S, pods=["p1", "p9"])["pod"].tolist() == ["p1"]
    assert ring.select(0, 9 * NS_PER_S, pods=["p9"]).empty


def test_it_never_holds_more_than_its_bound_and_forgets_who_is_gone() -> None:
    ring = ReadingBuffer(1e9, COLUMNS, most_rows=100)
    for step in range(50):
        ring.add([reading([(number, step) for number in range(7 * step, 7 * step + 7)])], float(step))
    assert 93 <= len(ring) <= 100
    assert len(ring._codes) == len(ring._newest_ns) == len(ring)
    assert ring.select(0, 99 * NS_PER_S)["pod"].nunique() == len(ring)


def test_when_the_network_was_measured_becomes_its_age() -> None:
    ring = ReadingBuffer(100.0, COLUMNS)
    told = np.array([[1, 7, 12 * NS_PER_S], [1, 7, 3 * NS_PER_S], [1, 7, MISSING]], dtype=np.int64)
    instances = [Instance("n", "ns", pod, pod, "main", MISSING) for pod in ("a", "b", "c")]
    ring.add([Reading(instances, np.full(3, 5 * NS_PER_S), told, COLUMNS)], 0.0)
    ages = ring.select(0, 9 * NS_PER_S)["network_age_seconds"]
    assert ages.tolist()[:2] == [-7.0, 2.0]
    assert np.isnan(ages.iloc[2])


def at(*times_s: float) -> Reading:
    """One container at these moments, none of which is told twice at once."""
    told = np.full((len(times_s), len(COLUMNS)), MISSING, dtype=np.int64)
    told[:, 1] = 2**60 + 1
    time_ns = np.array([round(each * NS_PER_S) for each in times_s], dtype=np.int64)
    return Reading([Instance("n", "", "p", "u", "main", 3 * NS_PER_S)] * len(times_s), time_ns, told, COLUMNS)


def test_a_sample_that_is_told_again_with_its_milliseconds_is_the_same() -> None:
    ring = ReadingBuffer(100.0, COLUMNS)
    assert [ring.add([at(time_s)], 0.0) for time_s in (5.0, 5.7, 6.0, 5.9)] == [1, 0, 1, 0]
    assert ring.add([at(7.0, 8.0), at(8.0)], 0.0) == 2
    assert len(ring) == 4


def test_counters_stay_whole_and_starts_and_missing_names_are_told() -> None:
    ring = ReadingBuffer(100.0, COLUMNS)
    ring.add([at(5.0), reading([(0, 1)])], 0.0)
    got = ring.select(0, 9 * NS_PER_S)
    assert got["rx_bytes"].tolist()[0] == 2**60 + 1
    assert got["rx_bytes"].isna().tolist() == [False, True]
    assert got["started_at"].isna().tolist() == [False, True]
    assert got["started_at"][0].timestamp() == 3.0
    assert got["namespace"].isna().tolist() == [True, False]


def test_samples_are_selected_from_a_moment_on_and_up_to_another() -> None:
    ring = ReadingBuffer(100.0, COLUMNS)
    ring.add([at(5.0, 6.0, 7.0)], 0.0)
    assert len(ring.select(5 * NS_PER_S, 7 * NS_PER_S)) == 2


def test_dropping_samples_early_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    ring = ReadingBuffer(60.0, COLUMNS, most_rows=3)
    for second in range(3):
        ring.add([at(second)], second)
    assert not caplog.messages
    for second in range(3, 9):
        ring.add([at(second)], second)
    assert caplog.messages == ["more than 3 samples in 60 s: the oldest are dropped early"]
    assert len(ring) == 3


def test_samples_that_grow_old_are_forgotten_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    ring = ReadingBuffer(60.0, COLUMNS)
    ring.add([at(0.0)], 0.0)
    ring.add([at(60.0)], 60.0)
    assert len(ring) == 2
    ring.add([], 60.5)
    assert len(ring) == 1
    assert not caplog.messages
