"""The bounded store of samples, beside a naive twin that keeps everything."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS
from podlab.watcher.history import History

EPOCH = pd.Timestamp("2026-01-05T08:00:00Z")


def rows(numbers: list[int], seconds: list[float], **columns: object) -> pd.DataFrame:
    time = EPOCH + pd.to_timedelta(pd.Series(seconds, dtype="float64"), unit="s")
    given = columns or {"memory_rss_bytes": [float(second) for second in seconds]}
    return pd.DataFrame({"number": numbers, "time": time, **given})


BATCH = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 50)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(batches=st.lists(BATCH, min_size=1, max_size=6))
def test_a_store_with_room_holds_the_last_row_of_each_instant(batches: list[list[tuple[int, int]]]) -> None:
    history, twin = History(), {}
    for turn, batch in enumerate(batches):
        numbers, seconds = [n for n, _ in batch], [float(s) for _, s in batch]
        values = [float(turn * 100 + place) for place in range(len(batch))]
        history.add(rows(numbers, seconds, memory_rss_bytes=values))
        twin |= {(n, s): value for n, s, value in zip(numbers, seconds, values, strict=True)}
    kept = history.of(np.arange(6))
    found = zip(kept["number"], (kept["time"] - EPOCH).dt.total_seconds(), kept["memory_rss_bytes"], strict=True)
    assert list(found) == [(n, s, value) for (n, s), value in sorted(twin.items())]


def test_a_long_life_keeps_its_first_and_newest_rows_and_no_more_than_it_may() -> None:
    history = History(most_rows=20)
    for second in range(0, 1000, 5):
        history.add(rows([1] * 5, [float(second + n) for n in range(5)]))
        assert len(history) <= 22
    seconds = (history.of(np.array([1]))["time"] - EPOCH).dt.total_seconds().tolist()
    assert (seconds[0], seconds[-1]) == (0.0, 999.0)
    assert max(np.diff(seconds)) <= 2 * 64  # 1,000 s by 19 spans are 53 s each: 64 s


def test_very_many_containers_share_the_room() -> None:
    history = History(most_rows=50, room=1000)
    numbers = np.repeat(np.arange(200), 40)
    history.add(rows(numbers.tolist(), np.tile(np.arange(40.0), 200).tolist()))
    assert len(history) <= 200 * 10
    assert set(history.of(np.arange(200))["number"]) == set(range(200))


def test_counters_beyond_what_floats_hold_stay_exact_and_missing_stays_missing() -> None:
    history = History()
    big = 2**53 + 1
    history.add(rows([1], [0.0], rx_bytes=pd.array([big], dtype="Int64")))
    history.add(rows([1], [1.0]))
    kept = history.of(np.array([1]))
    assert kept["rx_bytes"].tolist() == [big, pd.NA]
    assert {name: str(kept[name].dtype) for name in FEATURE_METRICS} == {
        name: "Int64" if CATALOGUE[name].kind == "counter" else "float64" for name in FEATURE_METRICS
    }


def test_who_is_not_kept_is_forgotten() -> None:
    history = History()
    history.add(rows([1, 2, 3], [0.0, 0.0, 0.0]))
    history.keep(np.array([2]))
    assert history.of(np.array([1, 2, 3]))["number"].tolist() == [2]
