"""What the database is asked for where anomalies are looked for, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.watcher import anomalies
from podlab.watcher import samples as fetching
from tests.support.anomalous import make_anomaly_bench, status_of, watched
from tests.support.watching import make_bench, make_watched, pods_of


def test_a_round_asks_once_for_all_that_are_identified_and_never_twice(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    names = set(anomalous["pod"])
    for _ in range(35):
        here.table.asked.clear()
        here.run(0)
        asked = [pod for _, _, pods in here.table.asked for pod in pods]
        assert sorted(asked) == sorted(names)
        assert len(here.table.asked) <= 2  # those that are looked at, and the others


def test_where_a_round_is_too_short_for_all_each_has_its_turn(
    normal: pd.DataFrame, model_with_detectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_anomaly_bench(normal, model_with_detectors, settle_s=0.0)
    here.appear(*pods_of(normal))
    here.run(60)
    monkeypatch.setattr(fetching, "MOST_PODS", 2)
    fetch = here.table.fetch

    def slowly(*words: Any, **named: Any) -> pd.DataFrame:
        here.clock.at_s += 11.0  # longer than a round
        return fetch(*words, **named)

    monkeypatch.setattr(here.table, "fetch", slowly)
    asked = []
    for _ in range(6):
        here.table.asked.clear()
        here.run(0)
        asked.append([pods for _, _, pods in here.table.asked])
    assert all(len(each) == 1 for each in asked)
    assert set.union(*asked[0], *asked[1], *asked[2]) == set(normal["pod"])
    assert set.union(*asked[3], *asked[4], *asked[5]) == set(normal["pod"])


def test_decisions_do_not_wait_for_the_samples_of_everybody(
    normal: pd.DataFrame, model_with_detectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_anomaly_bench(normal, model_with_detectors, settle_s=5.0)
    first, *later = pods_of(normal)
    here.appear(first)
    here.run(60)
    here.appear(*later)
    fetch, told = here.table.fetch, [0]

    def noted(*words: Any, **named: Any) -> pd.DataFrame:
        told[0] = len(here.lines)
        return fetch(*words, **named)

    monkeypatch.setattr(here.table, "fetch", noted)
    for _ in range(4):
        here.run(0)
        assert told == [len(here.lines)]  # when the round's last question, of those who are scored, was asked
    assert len(here.lines) == 6


def test_nobody_is_named_where_all_are_watched_unless_that_brings_too_much(
    normal: pd.DataFrame, model_with_detectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_anomaly_bench(normal, model_with_detectors, settle_s=0.0, all_pods=True)
    here.appear(*pods_of(normal))
    here.run(60)
    monkeypatch.setattr(fetching, "MOST_PODS", 4)
    here.table.asked.clear()
    here.run(0)
    assert [pods for _, _, pods in here.table.asked] == [set()]
    monkeypatch.setattr(anomalies, "_MOST_ROWS", 10)
    here.run(0)
    here.table.asked.clear()
    here.run(0)
    assert sorted(len(pods) for _, _, pods in here.table.asked) == [2, 4]


def test_without_the_setting_nobody_is_scored_or_asked_for(anomalous: pd.DataFrame, model_with_detectors: Path) -> None:
    here = make_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(440)
    assert {line["event"] for line in here.lines} == {"identified"}
    assert here.watcher.monitor is None
    [told] = {json.dumps(each["watched"]) for each in status_of(here).console.containers()}
    assert told == '"off"'


def test_places_are_used_again_and_room_is_made(model_with_detectors: Path, normal: pd.DataFrame) -> None:
    some = normal[normal["time"] < normal["time"].min() + pd.Timedelta(seconds=40)]
    copies = [some.assign(pod=some["pod"] + f"-{n}", pod_uid=some["pod_uid"] + f"-{n}") for n in range(60)]
    many = pd.concat(copies, ignore_index=True)
    here = make_anomaly_bench(many, model_with_detectors)
    pods = pods_of(many)
    here.appear(*pods)
    here.run(40)
    assert {each["watched"] for each in watched(here).values()} == {"watching"}
    assert len(watched(here)) == 360
    monitor = here.watcher.monitor
    assert monitor is not None
    room = monitor.room
    here.vanish(*pods)
    here.run(0)
    later = [make_watched(f"{pod.name}-b", f"{pod.uid}-b", pod.containers[0].started_at) for pod in pods]
    here.appear(*later)
    here.run(0)
    assert monitor.room == room
