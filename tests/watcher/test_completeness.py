"""Samples of which a part is still to come wait for it, and for what has ended not for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.watcher.anomalies import COMPLETE_WITHIN_S, CompletenessFilter
from podlab.watcher.samples import SampleArrays

CPU, MEMORY = "cpu_usage_core_nanoseconds", "memory_usage_bytes"
WHOLE = [CPU, MEMORY]


def through(gate: CompletenessFilter, *rows: list[str], steady_s: float = 0.0, place: int = 0) -> list[bool]:
    """Show samples of one container by the metrics that they have; which may be scored."""
    table = pd.DataFrame({name: [1.0 if name in row else np.nan for row in rows] for name in WHOLE})
    whose = np.zeros(len(rows), dtype=np.int64)
    return gate.passes(np.array([place]), whose, present(table), steady_s).tolist()


def present(samples: pd.DataFrame) -> np.ndarray:
    table = samples.assign(time=pd.Timestamp("2026-01-05T08:00:00Z"))
    return SampleArrays.read(table, np.zeros(len(table), dtype=np.int64), ORIGINAL_METRICS).present


def test_what_a_sample_has_a_value_of_is_told_by_metric() -> None:
    told = present(pd.DataFrame({MEMORY: [1.0, np.nan], "pod": ["a", "b"]}))
    assert told.shape == (2, len(ORIGINAL_METRICS))
    assert told.any(axis=1).tolist() == [True, False]
    assert told.sum() == 1


def test_a_sample_that_lacks_what_the_last_ones_had_waits_until_it_comes() -> None:
    gate = CompletenessFilter(1, len(ORIGINAL_METRICS))
    assert through(gate, WHOLE, WHOLE) == [True, True]
    assert through(gate, WHOLE, [CPU], [CPU]) == [True, False, False]
    assert through(gate, [CPU], [CPU], steady_s=10.0) == [False, False]
    assert through(gate, WHOLE, WHOLE, steady_s=20.0) == [True, True]


def test_a_gap_before_a_later_value_is_a_gap() -> None:
    gate = CompletenessFilter(1, len(ORIGINAL_METRICS))
    through(gate, WHOLE, WHOLE)
    assert through(gate, [CPU], WHOLE, [CPU]) == [True, True, False]


def test_a_metric_that_comes_now_and_then_is_not_waited_for() -> None:
    gate = CompletenessFilter(1, len(ORIGINAL_METRICS))
    through(gate, WHOLE, [CPU], WHOLE)
    assert through(gate, [CPU]) == [True]


def test_a_metric_that_ended_is_waited_for_once() -> None:
    gate = CompletenessFilter(1, len(ORIGINAL_METRICS))
    through(gate, WHOLE, WHOLE)
    assert through(gate, [CPU], steady_s=100.0) == [False]
    assert through(gate, [CPU], [CPU], steady_s=100.0 + COMPLETE_WITHIN_S - 0.1) == [False, False]
    assert through(gate, [CPU], [CPU], steady_s=100.0 + COMPLETE_WITHIN_S) == [True, True]
    assert through(gate, [CPU], steady_s=100.0 + COMPLETE_WITHIN_S) == [True]


def test_containers_wait_by_themselves_and_a_new_one_in_a_place_begins_anew() -> None:
    gate = CompletenessFilter(1, len(ORIGINAL_METRICS))
    through(gate, WHOLE, WHOLE)
    gate.resize(3)
    assert through(gate, [CPU], [CPU], place=2) == [True, True]
    assert through(gate, [CPU]) == [False]
    both = present(pd.DataFrame({CPU: [1.0] * 4, MEMORY: [np.nan, 1.0, np.nan, np.nan]}))
    told = gate.passes(np.array([2, 0]), np.array([0, 0, 1, 1]), both, 0.0)
    assert told.tolist() == [True, True, False, False]
    gate.forget(np.array([0]))
    assert through(gate, [CPU]) == [True]


def test_without_samples_there_is_nothing_to_tell() -> None:
    assert through(CompletenessFilter(1, len(ORIGINAL_METRICS))) == []
    nobody = np.array([], dtype=np.int64)
    assert (
        CompletenessFilter(1, len(ORIGINAL_METRICS)).passes(nobody, nobody, present(pd.DataFrame()), 0.0).tolist() == []
    )
