"""The ring of samples: what a plain list would hold, and never more than its bounds."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from podlab.sources.kubelet import Ring
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
    ring, window_s = Ring(4.0, COLUMNS), 4
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
    ring = Ring(100.0, COLUMNS)
    ring.add([reading([(0, 1), (1, 1), (2, 1)])], 0.0)
    assert ring.select(0, 9 * NS_PER_S, pods=["p1", "p9"])["pod"].tolist() == ["p1"]
    assert ring.select(0, 9 * NS_PER_S, pods=["p9"]).empty


def test_it_never_holds_more_than_its_bound_and_forgets_who_is_gone() -> None:
    ring = Ring(1e9, COLUMNS, most_rows=100)
    for step in range(50):
        ring.add([reading([(number, step) for number in range(7 * step, 7 * step + 7)])], float(step))
    assert 93 <= len(ring) <= 100
    assert len(ring._codes) == len(ring._newest_ns) == len(ring)
    assert ring.select(0, 99 * NS_PER_S)["pod"].nunique() == len(ring)


def test_when_the_network_was_measured_becomes_its_age() -> None:
    ring = Ring(100.0, COLUMNS)
    told = np.array([[1, 7, 12 * NS_PER_S], [1, 7, 3 * NS_PER_S], [1, 7, MISSING]], dtype=np.int64)
    instances = [Instance("n", "ns", pod, pod, "main", MISSING) for pod in ("a", "b", "c")]
    ring.add([Reading(instances, np.full(3, 5 * NS_PER_S), told, COLUMNS)], 0.0)
    ages = ring.select(0, 9 * NS_PER_S)["network_age_seconds"]
    assert ages.tolist()[:2] == [-7.0, 2.0]
    assert np.isnan(ages.iloc[2])
