"""Samples of which a part is still to come wait for it, and for what has ended not for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.watcher.partial import PATIENCE_S, Partial, present

CPU, MEMORY = "cpu_usage_core_nanoseconds", "memory_usage_bytes"
WHOLE = [CPU, MEMORY]


def through(partial: Partial, *rows: list[str], steady_s: float = 0.0, place: int = 0) -> list[bool]:
    """Show samples of one container by the metrics that they have; which may be scored."""
    table = pd.DataFrame({name: [1.0 if name in row else np.nan for row in rows] for name in WHOLE})
    whose = np.zeros(len(rows), dtype=np.int64)
    return partial.complete(np.array([place]), whose, present(table), steady_s).tolist()


def test_what_a_sample_has_a_value_of_is_told_by_metric() -> None:
    told = present(pd.DataFrame({MEMORY: [1.0, np.nan], "pod": ["a", "b"]}))
    assert told.shape == (2, len(FEATURE_METRICS))
    assert told[:, FEATURE_METRICS.index(MEMORY)].tolist() == [True, False]
    assert told.sum() == 1


def test_a_sample_that_lacks_what_the_last_ones_had_waits_until_it_comes() -> None:
    partial = Partial(1)
    assert through(partial, WHOLE, WHOLE) == [True, True]
    assert through(partial, WHOLE, [CPU], [CPU]) == [True, False, False]
    assert through(partial, [CPU], [CPU], steady_s=10.0) == [False, False]
    assert through(partial, WHOLE, WHOLE, steady_s=20.0) == [True, True]


def test_a_gap_before_a_later_value_is_a_gap() -> None:
    partial = Partial(1)
    through(partial, WHOLE, WHOLE)
    assert through(partial, [CPU], WHOLE, [CPU]) == [True, True, False]


def test_a_metric_that_comes_now_and_then_is_not_waited_for() -> None:
    partial = Partial(1)
    through(partial, WHOLE, [CPU], WHOLE)
    assert through(partial, [CPU]) == [True]


def test_a_metric_that_ended_is_waited_for_once() -> None:
    partial = Partial(1)
    through(partial, WHOLE, WHOLE)
    assert through(partial, [CPU], steady_s=100.0) == [False]
    assert through(partial, [CPU], [CPU], steady_s=100.0 + PATIENCE_S - 0.1) == [False, False]
    assert through(partial, [CPU], [CPU], steady_s=100.0 + PATIENCE_S) == [True, True]
    assert through(partial, [CPU], steady_s=100.0 + PATIENCE_S) == [True]


def test_containers_wait_by_themselves_and_a_new_one_in_a_place_begins_anew() -> None:
    partial = Partial(1)
    through(partial, WHOLE, WHOLE)
    partial.resize(3)
    assert through(partial, [CPU], [CPU], place=2) == [True, True]
    assert through(partial, [CPU]) == [False]
    both = present(pd.DataFrame({CPU: [1.0] * 4, MEMORY: [np.nan, 1.0, np.nan, np.nan]}))
    told = partial.complete(np.array([2, 0]), np.array([0, 0, 1, 1]), both, 0.0)
    assert told.tolist() == [True, True, False, False]
    partial.forget(np.array([0]))
    assert through(partial, [CPU]) == [True]


def test_without_samples_there_is_nothing_to_tell() -> None:
    assert through(Partial(1)) == []
    nobody = np.array([], dtype=np.int64)
    assert Partial(1).complete(nobody, nobody, present(pd.DataFrame()), 0.0).tolist() == []
