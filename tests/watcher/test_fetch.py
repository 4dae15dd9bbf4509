"""Whose a sample is, beside the naive way: an inventory of the same containers."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.samples import check_samples
from podlab.kubernetes.inventory import COLUMNS, enrich
from podlab.watcher.containers import TrackedContainer
from podlab.watcher.runtime import WatcherOptions
from podlab.watcher.samples import SampleArrays, SampleFetcher, match_containers
from tests.support.synthetic import EPOCH
from tests.support.watching import ManualClock, Table, make_watched

START = EPOCH.to_pydatetime()
ROW = st.tuples(st.sampled_from("ab"), st.sampled_from([None, "1", "2", "3"]), st.integers(-3, 20))
LIFE = st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.integers(0, 15))


def track(lives: list[tuple[str, str, int]]) -> list[TrackedContainer]:
    containers = []
    for number, (pod, uid, second) in enumerate(lives, 1):
        started_at = START + timedelta(seconds=second)
        containers.append(
            TrackedContainer(make_watched(pod, uid, started_at).containers[0], started_at, number, 0.0, 0.0)
        )
    return containers


def make_rows(rows: list[tuple[str, str | None, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["pod", "pod_uid", "second"])
    table = table.assign(
        time=EPOCH + pd.to_timedelta(table["second"], unit="s"), namespace="lab", container="main", rx_bytes=1
    )
    return check_samples(table.drop(columns="second"), where="test")


def naive(samples: pd.DataFrame, containers: list[TrackedContainer]) -> list[tuple[object, ...]]:
    known = pd.DataFrame(
        {
            "cluster": "local", "node": None, "namespace": "lab", "image": None, "image_size_bytes": np.nan,
            "container": "main", "pod": [tracked.view.pod for tracked in containers],
            "pod_uid": [tracked.view.pod_uid for tracked in containers],
            "started_at": pd.to_datetime([tracked.started_at for tracked in containers], utc=True),
        }
    )  # fmt: skip
    known = known.astype({name: dtype for name, dtype in COLUMNS.items() if name in known})
    filled = enrich(samples.drop(columns="started_at"), known)
    filled = filled[filled["started_at"].notna()]
    return list(filled[["time", "pod", "pod_uid", "started_at"]].itertuples(index=False, name=None))


def watched_since(newest_s: list[float], now_s: float) -> tuple[list[TrackedContainer], Table]:
    """Make containers with their newest samples, and a database."""
    containers = track([(f"pod-{number}", str(number), 0) for number in range(len(newest_s))])
    for tracked, at_s in zip(containers, newest_s, strict=True):
        tracked.newest_s = START.timestamp() + at_s
    return containers, Table(make_rows([("nobody", "1", 0)]), ManualClock(START.timestamp() + now_s))


def row_numbers(samples: SampleArrays) -> list[int]:
    rows = samples.rows(pd.DataFrame(), np.zeros(len(samples), np.int64), np.zeros(len(samples)), np.zeros(0, np.int64))
    return np.asarray(rows.values["rx_bytes"]).tolist()  # noqa: PD011


def fetcher(table: Table) -> SampleFetcher:
    return SampleFetcher(table.open, ("rx_bytes",), WatcherOptions(), table.clock.as_clock())


def ask(newest_s: list[float], now_s: float) -> list[tuple[float, int]]:
    """Give since when and of how many pods a round asks, where so much is known of each."""
    containers, table = watched_since(newest_s, now_s)
    fetcher(table).fetch(containers, lambda _: None)
    assert len({name for _, _, names in table.asked for name in names}) == len(newest_s)
    return [(now_s - (since - START.timestamp()), len(names)) for since, _, names in table.asked]


def ask_unnamed(newest_s: list[float], now_s: float) -> list[tuple[float, int]]:
    """Give the same where nobody needs to be named; 0 is a question for all."""
    containers, table = watched_since(newest_s, now_s)
    fetcher(table).fetch(containers, lambda _: None, unnamed=True)
    return [(now_s - (since - START.timestamp()), len(names)) for since, _, names in table.asked]


def test_of_very_many_nobody_is_named_where_all_are_watched_and_little_is_missing() -> None:
    assert ask_unnamed([990.0] * 1200 + [500.0] * 10, 1000.0) == [(40.0, 0), (530.0, 10)]
    assert ask_unnamed([990.0] * 500, 1000.0) == [(40.0, 500)]
    assert ask_unnamed([500.0] * 1500, 1000.0) == [(530.0, 500)] * 3


def test_few_are_asked_for_at_once_however_much_each_needs() -> None:
    assert ask([1000.0] * 60 + [900.0] * 20 + [680.0] * 20, 1000.0) == [(350.0, 100)]


def test_many_do_not_read_the_past_of_who_needs_much() -> None:
    assert ask([990.0] * 400 + [500.0] * 10, 1000.0) == [(40.0, 400), (530.0, 10)]


def test_of_very_many_so_many_are_asked_for_at_once_as_the_server_takes_well() -> None:
    assert ask([990.0] * 1200, 1000.0) == [(40.0, 500), (40.0, 500), (40.0, 200)]


def test_a_restarted_container_of_which_only_its_last_life_was_seen_is_no_trouble() -> None:
    containers = track([("a", "1", 100)])
    at_s = START.timestamp() + 105
    table = Table(make_rows([("a", "1", 99)]), ManualClock(at_s))
    taken: list[SampleArrays] = []
    found = fetcher(table).fetch(containers, taken.append)
    assert (found.sent, found.error, found.failed, taken) == (True, None, set(), [])
    assert len(table.asked) == 1


@settings(max_examples=60)
@given(
    rows=st.lists(ROW, min_size=1, max_size=25),
    lives=st.lists(LIFE, min_size=1, max_size=5, unique_by=lambda life: (life[0], life[1], life[2])),
)
def test_each_row_is_of_the_container_that_an_inventory_names(
    rows: list[tuple[str, str | None, int]], lives: list[tuple[str, str, int]]
) -> None:
    samples, containers = make_rows(rows), track(lives)
    samples = samples.assign(rx_bytes=np.arange(len(samples)))  # which row it is
    found = match_containers(samples, containers, ("rx_bytes",))
    by_number = {tracked.number: tracked for tracked in containers}
    matched = [
        (samples["time"].iloc[row], samples["pod"].iloc[row], by_number[number].view.pod_uid,
         pd.Timestamp(by_number[number].started_at))
        for number, row in zip(found.number.tolist(), row_numbers(found), strict=True)
    ]  # fmt: skip
    assert matched == naive(samples, containers)
