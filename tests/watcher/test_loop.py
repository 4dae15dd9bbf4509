"""The watcher's rounds: each container is identified once, from its metrics alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.identify.early import TriggerPolicy
from podlab.watcher.notify import StateStore
from tests.support.synthetic import make_samples
from tests.support.watching import RecordingSink, make_watched, pods_of, starting_together
from tests.watcher.conftest import MakeBench

NOBODY = "nobody"


def truth(samples: pd.DataFrame) -> dict[str, str]:
    return dict(samples[["pod", "service"]].drop_duplicates().itertuples(index=False))


def test_every_container_is_announced_once_and_rightly(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.run(100)
    assert dict(here.announced()) == truth(samples)
    assert len(here.lines) == samples["pod"].nunique()
    assert {line["event"] for line in here.lines} == {"identified"}


def test_an_announcement_says_what_identify_says(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    pod = pods_of(samples)[0]
    here.appear(pod)
    here.run(60)
    [line] = here.lines
    assert (line["namespace"], line["pod_uid"], line["container"]) == ("lab", pod.uid, "main")
    assert line["confidence"] >= 0.9
    assert line["candidates"][line["service"]] == line["confidence"]
    assert line["model"].startswith("small@")
    assert 0 < line["waited_s"] <= 30
    assert f"main is {line['service']}" in line["message"]


@pytest.mark.parametrize("delay_s", [0.0, 3.0, 17.0])
def test_a_decision_is_told_in_the_round_after_the_sample_it_rests_on_came(
    bench: MakeBench, samples: pd.DataFrame, delay_s: float
) -> None:
    here = bench()
    here.table.delay_s = delay_s
    here.appear(*pods_of(samples))
    here.run(100)
    assert len(here.lines) == 6
    for line in here.lines:
        came_at = pd.Timestamp(line["started_at"]) + pd.Timedelta(seconds=line["seconds_observed"] + delay_s)
        assert 0 <= (pd.Timestamp(line["decided_at"]) - came_at).total_seconds() <= 10


def test_a_round_asks_once_for_all(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    pods = pods_of(samples)
    here.appear(*pods)
    here.run(0)
    assert [names for _, _, names in here.table.asked] == [{pod.name for pod in pods}]


def test_samples_that_come_late_are_not_lost(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.table.delay_s = 25.0
    here.appear(*pods_of(samples))
    here.run(100)
    assert dict(here.announced()) == truth(samples)


def test_no_metrics_is_said_once_and_why(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples), make_watched(NOBODY, "1", samples["started_at"].iloc[0].to_pydatetime()))
    here.run(900)
    [line] = [line for line in here.lines if line["pod"] == NOBODY]
    assert (line["event"], line["service"], line["reason"]) == ("no-metrics", None, "unseen")
    assert line["message"] == "main: no metrics came within 120 s, so it cannot be identified"


def test_a_container_that_ended_without_a_sample_is_nothing_to_tell_of(bench: MakeBench) -> None:
    here = bench()
    start = here.table.samples["started_at"].iloc[0].to_pydatetime()
    here.appear(make_watched(NOBODY, "1", start))
    here.run(10)
    here.appear(make_watched(NOBODY, "1", start, state="ended"))
    here.run(200)
    assert here.lines == []


def test_metrics_that_come_after_the_time_was_up_turn_the_decision(bench: MakeBench, samples: pd.DataFrame) -> None:
    late = samples["pod"].iloc[0]
    here = bench(policy=TriggerPolicy(timeout_s=20.0))
    here.table.delay_s, here.table.delayed = 40.0, (late,)
    here.appear(*pods_of(samples))
    here.run(140)
    assert [line["event"] for line in here.lines if line["pod"] == late] == ["no-metrics", "revised"]
    assert dict(here.announced()) == truth(samples)  # the last word on each


def test_who_is_settled_is_asked_for_no_more_and_who_is_unknown_seldom(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench(settle_s=200.0)
    here.appear(*pods_of(samples), make_watched(NOBODY, "1", samples["started_at"].iloc[0].to_pydatetime()))
    here.run(1000)
    assert here.watcher.active == 1
    late = [(since, names) for since, _, names in here.table.asked if since > here.clock.at_s - 1000 + 300 - 600]
    assert all(names == {NOBODY} for _, names in late[-3:])
    rounds = 101
    assert len(here.table.asked) < rounds / 2


def test_who_is_decided_is_looked_at_ever_more_seldom_while_others_are_in_every_round(
    bench: MakeBench, samples: pd.DataFrame
) -> None:
    here = bench()
    known = sorted(samples["pod"].unique())
    here.appear(*pods_of(samples), make_watched(NOBODY, "1", samples["started_at"].iloc[0].to_pydatetime()))
    asked: dict[str, list[float]] = {pod: [] for pod in (*known, NOBODY)}
    begin_s = here.clock.at_s
    for _ in range(60):
        before, at_s = len(here.table.asked), here.clock.at_s
        here.run(0)
        for pod in {pod for _, _, names in here.table.asked[before:] for pod in names}:
            asked[pod].append(at_s - begin_s)
    for pod in known:
        decided_s = next(line["waited_s"] for line in here.lines if line["pod"] == pod)
        later = [at_s - decided_s for at_s in asked[pod] if at_s >= decided_s]
        # Nothing new comes after 100 s, which makes no look the less seldom.
        assert later[:4] == [0, 20, 60, 140]
    assert asked[NOBODY][:13] == [10.0 * number for number in range(13)]  # until the time is up


def test_what_was_missed_is_caught_up_within_bounds(bench: MakeBench, samples: pd.DataFrame) -> None:
    begin_s = samples["time"].min().timestamp() + 60
    here = bench(begin_s=begin_s, window_s=30.0)
    here.appear(*pods_of(samples))
    here.run(0)
    [(since, _, _)] = here.table.asked
    assert since == begin_s - 30
    assert all(
        tracked.prediction or (tracked.decision and tracked.decision.prediction)
        for tracked in here.watcher.registry.containers()
    )


def test_a_restart_announces_nothing_again_and_goes_on(bench: MakeBench, samples: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "announced.jsonl"
    first = bench(store=StateStore(path))
    pods = pods_of(samples)
    first.appear(*pods[:3])
    first.run(40)
    assert len(first.lines) == 3
    second = bench(store=StateStore(path), begin_s=first.clock.at_s)
    second.appear(*pods)
    second.run(0)
    known = [tracked for tracked in second.watcher.registry.containers() if tracked.decision is not None]
    prediction = {
        tracked.view.pod: tracked.decision.prediction
        for tracked in first.watcher.registry.containers()
        if tracked.decision
    }
    assert len(known) == 3
    assert {tracked.view.pod: tracked.decision.prediction for tracked in known if tracked.decision} == prediction
    assert all(tracked.decision.confidence >= 0.9 for tracked in known if tracked.decision)
    second.run(60)
    assert {pod for pod, _ in second.announced()} == {pod.name for pod in pods[3:]}
    assert dict(first.announced()) | dict(second.announced()) == truth(samples)


def test_a_restart_without_a_journal_is_silent_as_long_as_events_are_kept(
    bench: MakeBench, samples: pd.DataFrame
) -> None:
    events = RecordingSink()
    for _ in range(2):
        here = bench(sinks=[events])
        here.appear(*pods_of(samples))
        here.run(60)
    assert len(events.sent) == 6
    assert here.lines == []


def test_many_containers_with_bounded_memory(bench: MakeBench) -> None:
    some = starting_together(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=60, seed=9))
    copies = [some.assign(pod=some["pod"] + f"-{n}", pod_uid=some["pod_uid"] + f"-{n}") for n in range(300)]
    many = pd.concat(copies, ignore_index=True)
    here = bench(samples=many)
    here.appear(*pods_of(many))
    here.run(40)
    assert len(here.lines) == 1200
    assert dict(here.announced()) == truth(many)
    [rows] = here.watcher.metrics.history_rows.collect()[0].samples
    assert rows.value <= 120_000 + 2 * 1200
