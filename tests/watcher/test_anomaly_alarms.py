"""An anomaly is announced when it begins and when it is over, once, and shown meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.watcher.notify import StateStore
from tests.support.anomalous import alarms, make_anomaly_bench, make_containers, overload, pod_of, status_of, watched
from tests.support.watching import Bench, RecordingSink, make_watched, pods_of


def test_an_anomaly_is_told_with_what_drives_it_and_when_it_is_over(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(440)
    pod = pod_of(anomalous, "redis")
    assert alarms(here.lines) == [("anomalous", pod), ("anomaly-over", pod)]
    begun, over = here.lines[-2:]
    begin_s = anomalous["started_at"].iloc[0].timestamp()
    assert 150 <= pd.Timestamp(begun["since"]).timestamp() - begin_s < 160
    assert 10 <= pd.Timestamp(begun["time"]).timestamp() - pd.Timestamp(begun["since"]).timestamp() <= 35
    assert "cpu_usage_nanocores" in {driver["signal"] for driver in begun["drivers"]}
    assert begun["message"].startswith("main is not as usual for redis since 08:02:3")
    assert "CPU use is " in begun["message"]
    assert " millicores before, usual " in begun["message"]
    assert (begun["service"], begun["donors"], begun["reason"]) == (
        "redis",
        [["redis", pytest.approx(1, abs=0.1)]],
        None,
    )
    assert over["reason"] == "usual again"
    assert over["message"].startswith("main is as usual for redis again; it was not for ")
    text = here.watcher.metrics.text().decode()
    assert 'podlab_anomalies_total{kind="anomalous",service="redis"} 1.0' in text
    assert 'podlab_scored_containers{state="watching"} 6.0' in text
    assert 'podlab_scored_containers{state="anomalous"} 0.0' in text


def test_replicas_that_are_anomalous_together_are_told_of_once(
    normal: pd.DataFrame, model_with_detectors: Path
) -> None:
    pods = normal.loc[normal["service"] == "redis", "pod"].unique()[:2].tolist()
    replicas = normal.assign(pod=normal["pod"].replace(dict(zip(pods, ("cache-0", "cache-1"), strict=True))))
    both = overload(overload(replicas, "cache-0", 150.0, 300.0), "cache-1", 150.0, 300.0)
    here = make_anomaly_bench(both, model_with_detectors)
    here.appear(*pods_of(both))
    here.run(440)
    told = [line for line in here.lines if line["event"] in ("anomalous", "anomaly-over")]
    assert [line["event"] for line in told] == ["anomalous", "anomaly-over"]
    assert [line["replicas"] for line in told] == [2, 2]
    assert told[0]["message"].startswith("main in 2 replicas is not as usual for redis since")


def test_how_each_is_watched_stands_in_json_and_on_the_page(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(0)
    assert {each["watched"] for each in watched(here).values()} == {"warming-up"}
    here.run(180)
    status, pod = status_of(here), pod_of(anomalous, "redis")
    told = {str(each["pod"]): each for each in status.console.containers()}
    assert told[pod]["watched"] == "anomalous"
    assert told[pod]["anomaly"]["since"].startswith("2026-01-05T08:02:3")  # type: ignore[index]
    assert {each["watched"] for name, each in told.items() if name != pod} == {"watching"}
    assert {each["donors"][0][0] for each in told.values()} == {"nginx", "redis"}  # type: ignore[index]
    overview: Any = status.overview("")
    assert overview["anomalous"] == 1
    first = overview["containers"][0]
    assert (first["pod"], first["flags"], first["donors"][0][0]) == (pod, ["anomalous"], "redis")


def test_one_that_ends_while_it_is_anomalous_is_closed_without_a_word(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    pod = pod_of(anomalous, "redis")
    pods = {each.name: each for each in pods_of(anomalous)}
    here.appear(*pods.values())
    here.run(190)
    assert alarms(here.lines) == [("anomalous", pod)]
    old = pods[pod].containers[0]
    here.appear(make_watched(pod, pods[pod].uid, old.started_at, state="ended"))
    here.run(0)
    assert watched(here)[pod]["watched"] == "off"
    here.vanish(pods[pod])
    here.run(200)
    assert alarms(here.lines) == [("anomalous", pod)]


def test_an_alarm_of_a_container_without_samples_is_closed_with_that_reason(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    begin, pod = anomalous["started_at"].iloc[0], pod_of(anomalous, "redis")
    here = make_anomaly_bench(anomalous[anomalous["time"] < begin + pd.Timedelta(seconds=190)], model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(780)
    assert alarms(here.lines) == [("anomalous", pod)]
    assert watched(here)[pod]["watched"] == "anomalous"
    here.run(20)
    assert alarms(here.lines) == [("anomalous", pod), ("anomaly-over", pod)]
    assert here.lines[-1]["reason"] == "no samples come any more"


def test_a_restarted_container_is_another_one(
    normal: pd.DataFrame, anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    pod, begin, later_by = pod_of(anomalous, "redis"), anomalous["started_at"].iloc[0], pd.Timedelta(seconds=230)
    own = normal[normal["pod"] == pod]
    restarted = own.assign(time=own["time"] + later_by, started_at=begin + later_by)
    lives = pd.concat([anomalous[anomalous["time"] < begin + later_by], restarted], ignore_index=True)
    here = make_anomaly_bench(lives, model_with_detectors)
    [old] = [each for each in pods_of(anomalous) if each.name == pod]
    here.appear(old)
    here.run(190)
    later = make_watched(pod, old.uid, (begin + later_by).to_pydatetime())
    here.appear(later)
    here.run(0)
    assert [each["watched"] for each in watched(here).values()] == ["warming-up"]
    here.run(230)
    [again] = watched(here).values()
    assert again["watched"] in ("watching", "unknown")
    assert alarms(here.lines) == [("anomalous", pod)]


@pytest.mark.parametrize("told_by", ["store", "events"])
def test_an_alarm_that_stands_is_not_told_again_after_a_restart(
    normal: pd.DataFrame, model_with_detectors: Path, tmp_path: Path, told_by: str
) -> None:
    pod, path = pod_of(normal, "redis"), tmp_path / "announced.jsonl"
    anomalous = overload(normal, pod, 150.0, 300.0)
    events = RecordingSink()

    def start(**options: Any) -> Bench:
        store = StateStore(path) if told_by == "store" else StateStore(None)
        return make_anomaly_bench(
            anomalous, model_with_detectors, store=store, sinks=[events] * (told_by == "events"), **options
        )

    first = start()
    first.appear(*pods_of(anomalous))
    first.run(190)
    assert alarms(first.lines) == [("anomalous", pod)]
    second = start(begin_s=first.clock.at_s)
    second.appear(*pods_of(anomalous))
    second.run(50)
    assert watched(second)[pod]["watched"] == "anomalous"
    second.run(180)
    assert alarms(second.lines) == [("anomaly-over", pod)]
    third = start(begin_s=second.clock.at_s)
    third.appear(*pods_of(anomalous))
    third.run(30)
    assert alarms(third.lines) == []


def test_a_watcher_that_does_not_lead_leaves_what_was_told_and_goes_on_from_there(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(230, leading=False, announced_before_s=here.clock.at_s + 10_000)
    assert here.lines == []
    here.run(200)
    assert alarms(here.lines) == [("anomaly-over", pod_of(anomalous, "redis"))]


def test_flapping_is_told_once_in_ten_minutes_with_how_often_it_was(model_with_detectors: Path) -> None:
    lives = make_containers(1000.0)
    pod = pod_of(lives, "redis")
    for begin_s in (150.0, 300.0, 450.0, 800.0):
        lives = overload(lives, pod, begin_s, begin_s + 40.0)
    here = make_anomaly_bench(lives, model_with_detectors)
    here.appear(*pods_of(lives))
    here.run(1010)
    told = [line for line in here.lines if line["event"] in ("anomalous", "anomaly-over") and line["pod"] == pod]
    assert [line["event"] for line in told] == ["anomalous", "anomaly-over"] * 2
    assert [line["untold"] for line in told if line["event"] == "anomalous"] == [0, 2]
    assert "(2 more since the last announced one)" in told[2]["message"]
    assert len({line["id"] for line in told}) == 4
