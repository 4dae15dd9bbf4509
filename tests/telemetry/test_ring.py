"""The ring of samples: what a plain list would hold, and never more than its bounds."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from podlab.metrics import FEATURE_METRICS
from podlab.telemetry.kubelet_stats import MISSING, NS_PER_S, Instance, Reading
from podlab.telemetry.ring import Ring

WIDTH = len(FEATURE_METRICS)
COLUMN = "memory_usage_bytes"
#: Rounds of (pod, time), a second apart.
ROUNDS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=5), max_size=12)


def reading(samples: list[tuple[int, int]]) -> Reading:
    told = np.full((len(samples), WIDTH), MISSING, dtype=np.int64)
    told[:, FEATURE_METRICS.index(COLUMN)] = [1000 * pod + at for pod, at in samples]
    instances = [Instance("n", "ns", f"p{pod}", f"u{pod}", "main", MISSING) for pod, _ in samples]
    return Reading(instances, np.array([at * NS_PER_S for _, at in samples], dtype=np.int64), told)


@given(ROUNDS)
@settings(max_examples=150)
def test_it_holds_what_a_list_would(rounds: list[list[tuple[int, int]]]) -> None:
    ring, window_s = Ring(4.0), 4
    kept: list[tuple[int, int, int]] = []  # when it came, pod, time
    for came_s, samples in enumerate(rounds):
        for pod, at in samples:
            if at > max((known for came, other, known in kept if other == pod), default=-1):
                kept.append((came_s, pod, at))
        ring.add([reading(samples)], float(came_s))
        kept = [each for each in kept if each[0] >= came_s - window_s]
    got = ring.select(2 * NS_PER_S, 7 * NS_PER_S, columns=[COLUMN])
    expected = sorted((f"p{pod}", at, float(1000 * pod + at)) for _, pod, at in kept if 2 <= at < 7)
    assert len(ring) == len(kept)
    if not expected:
        assert got.empty
        return
    rows = zip(got["pod"], got["time"].astype("int64") // NS_PER_S, got[COLUMN], strict=True)
    assert sorted(rows) == expected
    assert set(got) == {"time", "node", "namespace", "pod", "pod_uid", "container", "started_at", COLUMN}


def test_only_the_pods_asked_for() -> None:
    ring = Ring(100.0)
    ring.add([reading([(0, 1), (1, 1), (2, 1)])], 0.0)
    assert ring.select(0, 9 * NS_PER_S, columns=[COLUMN], pods=["p1", "p9"])["pod"].tolist() == ["p1"]
    assert ring.select(0, 9 * NS_PER_S, columns=[COLUMN], pods=["p9"]).empty


def test_it_never_holds_more_than_its_bound_and_forgets_who_is_gone() -> None:
    ring = Ring(1e9, most_rows=100)
    for step in range(50):
        ring.add([reading([(number, step) for number in range(7 * step, 7 * step + 7)])], float(step))
    assert 93 <= len(ring) <= 100
    assert len(ring._codes) == len(ring._newest_ns) == len(ring)
    assert ring.select(0, 99 * NS_PER_S, columns=[COLUMN])["pod"].nunique() == len(ring)
