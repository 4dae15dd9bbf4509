"""Every sample of every container is scored once, as `podlab score` would, and what is anomalous is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from numpy.typing import NDArray

from podlab.data.catalogue import Family
from podlab.detect import DetectorLibrary, Scorer, StepScores
from podlab.errors import InputError
from podlab.kubernetes.informer import InformerStatus
from podlab.model import bundle
from podlab.watcher import gather
from podlab.watcher import monitor as module
from podlab.watcher.cases import Sight
from podlab.watcher.docket import Pace
from podlab.watcher.journal import Journal
from podlab.watcher.status import Status
from tests.support.models import small_identifier, small_library
from tests.support.strange import alarms, make_lives, pod_of, scored_naively, strain, vigilant, watched
from tests.support.watching import Bench, Deaf, make_bench, make_watched, pods_of

FEED = InformerStatus(True, 0.0, 0.0, 0.0, 0.0, 1, 1, 0, 1, None)
Scores = dict[tuple[str, float], float]


@pytest.fixture(scope="module")
def normal() -> pd.DataFrame:
    return make_lives()


@pytest.fixture(scope="module")
def strange(normal: pd.DataFrame) -> pd.DataFrame:
    """One pod of redis is strained from its age of 150 s to that of 220 s."""
    return strain(normal, pod_of(normal, "redis"), 150.0, 220.0)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float, float]]:
    """What the watcher scored: place, age and score."""
    kept: list[tuple[int, float, float]] = []

    class Recorded(Scorer):
        def score(
            self,
            which: NDArray[np.int64],
            time_s: NDArray[np.float64],
            age_s: NDArray[np.float64],
            values: Mapping[str, NDArray[Any]],
            valid: Mapping[str, NDArray[np.bool_]],
            ages: Mapping[Family, NDArray[np.float64]] | None = None,
        ) -> StepScores:
            said = super().score(which, time_s, age_s, values, valid, ages)
            kept.extend(zip(which.tolist(), age_s.tolist(), said.score.tolist(), strict=True))
            return said

    monkeypatch.setattr(module, "Scorer", Recorded)
    return kept


def naive(here: Bench, samples: pd.DataFrame) -> Scores:
    donors = {
        line["pod"]: (pd.Timestamp(line["decided_at"]).timestamp(), line["service"])
        for line in here.lines
        if line["event"] == "identified"
    }
    return {(pod, at_s): score for pod, at_s, score in scored_naively(samples, small_library(), donors)}


def by_pod(scores: list[tuple[int, float, float]], samples: pd.DataFrame) -> Scores:
    """Tell the pods of places by the times of their samples, which differ."""
    begin_s = samples["started_at"].iloc[0].floor("s").timestamp()
    pod_at = {round(row.time.timestamp(), 3): row.pod for row in samples[["time", "pod"]].itertuples()}
    found: Scores = {}
    for _, age_s, score in scores:
        at_s = round(begin_s + age_s, 3)
        assert (pod_at[at_s], at_s) not in found  # scored once
        found[pod_at[at_s], at_s] = score
    return found


def check_scores(scores: list[tuple[int, float, float]], here: Bench, samples: pd.DataFrame) -> None:
    """All samples were scored, and as each container alone."""
    wanted, found = naive(here, samples), by_pod(scores, samples)
    assert len(wanted) == len(samples)
    assert found.keys() == wanted.keys()
    np.testing.assert_allclose([found[key] for key in wanted], list(wanted.values()), rtol=0, atol=1e-9)
    assert max(wanted.values()) > 0.99


def apart(samples: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows of different pods at the same instant."""
    return samples[~samples["time"].duplicated(keep=False)].reset_index(drop=True)


def test_scores_are_those_of_each_container_scored_by_itself(
    scores: list[tuple[int, float, float]], strange: pd.DataFrame, watchful_model: Path
) -> None:
    samples = apart(strange)
    here = vigilant(samples, watchful_model)
    here.appear(*pods_of(samples))
    here.run(440)
    check_scores(scores, here, samples)


def test_a_database_that_was_down_is_caught_up_with_and_nothing_is_scored_twice(
    scores: list[tuple[int, float, float]], strange: pd.DataFrame, watchful_model: Path
) -> None:
    samples = apart(strange)
    here = vigilant(samples, watchful_model)
    here.appear(*pods_of(samples))
    here.run(100)
    here.table.fault = InputError("InfluxDB cannot be reached: Connection refused", where="http://db:8086")
    before = len(here.table.asked)
    here.run(190)
    assert len(here.table.asked) - before == 20  # once a round, though all wait
    assert here.watcher.database_error is not None
    here.table.fault = None
    here.run(140)
    assert here.watcher.database_error is None
    check_scores(scores, here, samples)
    # It came and went while nobody could see it: that is told in one line, with when it was.
    [(kind, pod)] = alarms(here.lines)
    assert (kind, pod) == ("anomaly-over", pod_of(samples, "redis"))


@pytest.mark.parametrize("name", ["memory_working_set_bytes", "rx_bytes", "cpu_usage_core_nanoseconds"])
def test_a_sample_is_scored_whole_though_a_part_of_it_comes_later(
    scores: list[tuple[int, float, float]], strange: pd.DataFrame, watchful_model: Path, name: str
) -> None:
    samples = apart(strange)
    here = vigilant(samples, watchful_model)
    here.appear(*pods_of(samples))
    here.run(100)
    here.table.late = {name: 13.0}
    here.run(340)
    check_scores(scores, here, samples)


def test_many_samples_of_which_a_read_sees_only_a_part_are_scored_whole(
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(strange, watchful_model)
    pod, begin_s = pod_of(strange, "redis"), strange["started_at"].iloc[0].timestamp()
    here.appear(*pods_of(strange))
    here.run(100)
    here.table.fault = InputError("down")
    here.run(90)
    here.table.fault = None
    memory = [name for name in strange if str(name).startswith(("memory", "cpu"))]
    here.table.late = dict.fromkeys(memory, 1000.0)  # all that an agent had to write in this time
    here.run(0)
    here.table.late = {}
    here.run(0)
    [anomalous] = [line for line in here.lines if line["event"] == "anomalous"]
    assert anomalous["pod"] == pod
    assert 150 <= pd.Timestamp(anomalous["since"]).timestamp() - begin_s < 160


def test_a_metric_that_ended_is_not_waited_for_in_vain(strange: pd.DataFrame, watchful_model: Path) -> None:
    begin, pod = strange["started_at"].iloc[0], pod_of(strange, "redis")
    ended = strange.assign(rx_bytes=strange["rx_bytes"].where(strange["time"] < begin + pd.Timedelta(seconds=100)))
    here = vigilant(ended, watchful_model)
    here.appear(*pods_of(ended))
    here.run(200)
    assert alarms(here.lines) == [("anomalous", pod)]
    assert watched(here)[pod]["watched"] == "anomalous"


def test_no_further_back_than_the_window(strange: pd.DataFrame, watchful_model: Path) -> None:
    here = vigilant(strange, watchful_model)
    here.appear(*pods_of(strange))
    here.run(100)
    here.table.fault = InputError("down")
    here.run(900)
    here.table.fault = None
    here.table.asked.clear()
    here.run(0)
    assert min(since for since, _, _ in here.table.asked) >= here.hands.at_s - 10 - 600


def test_an_anomaly_is_told_with_what_drives_it_and_when_it_is_over(
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(strange, watchful_model)
    here.appear(*pods_of(strange))
    here.run(440)
    pod = pod_of(strange, "redis")
    assert alarms(here.lines) == [("anomalous", pod), ("anomaly-over", pod)]
    begun, over = here.lines[-2:]
    begin_s = strange["started_at"].iloc[0].timestamp()
    assert 150 <= pd.Timestamp(begun["since"]).timestamp() - begin_s < 160
    assert 20 <= pd.Timestamp(begun["time"]).timestamp() - pd.Timestamp(begun["since"]).timestamp() <= 35
    assert "cpu_usage_nanocores" in {driver["signal"] for driver in begun["drivers"]}
    assert begun["message"].startswith("main is not as usual for redis since 08:02:3")
    assert "deviations above" in begun["message"]
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


def test_a_round_asks_once_for_all_that_are_identified_and_never_twice(
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(strange, watchful_model)
    here.appear(*pods_of(strange))
    names = set(strange["pod"])
    for _ in range(35):
        here.table.asked.clear()
        here.run(0)
        asked = [pod for _, _, pods in here.table.asked for pod in pods]
        assert sorted(asked) == sorted(names)
        assert len(here.table.asked) <= 2  # those that are looked at, and the others


def test_where_a_round_is_too_short_for_all_each_has_its_turn(
    normal: pd.DataFrame, watchful_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = vigilant(normal, watchful_model, pace=Pace(settle_s=0.0))
    here.appear(*pods_of(normal))
    here.run(60)
    monkeypatch.setattr(gather, "MOST_PODS", 2)
    fetch = here.table.fetch

    def slowly(*words: Any, **named: Any) -> pd.DataFrame:
        here.hands.at_s += 11.0  # longer than a round
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
    normal: pd.DataFrame, watchful_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = vigilant(normal, watchful_model, pace=Pace(settle_s=5.0))
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
    normal: pd.DataFrame, watchful_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = vigilant(normal, watchful_model, pace=Pace(settle_s=0.0), all_pods=True)
    here.appear(*pods_of(normal))
    here.run(60)
    monkeypatch.setattr(gather, "MOST_PODS", 4)
    here.table.asked.clear()
    here.run(0)
    assert [pods for _, _, pods in here.table.asked] == [set()]
    monkeypatch.setattr(module, "_MOST_ROWS", 10)
    here.run(0)
    here.table.asked.clear()
    here.run(0)
    assert sorted(len(pods) for _, _, pods in here.table.asked) == [2, 4]


def test_without_the_setting_nobody_is_scored_or_asked_for(strange: pd.DataFrame, watchful_model: Path) -> None:
    here = make_bench(strange, watchful_model)
    here.appear(*pods_of(strange))
    here.run(440)
    assert {line["event"] for line in here.lines} == {"identified"}
    assert here.watcher.monitor is None
    [told] = {json.dumps(each["watched"]) for each in Status(here.watcher, lambda: FEED).containers()}
    assert told == '"off"'


def test_how_each_is_watched_stands_in_json_and_on_the_page(strange: pd.DataFrame, watchful_model: Path) -> None:
    here = vigilant(strange, watchful_model)
    here.appear(*pods_of(strange))
    here.run(0)
    assert {each["watched"] for each in watched(here).values()} == {"warming-up"}
    here.run(180)
    status, pod = Status(here.watcher, lambda: FEED), pod_of(strange, "redis")
    told = {str(each["pod"]): each for each in status.containers()}
    assert told[pod]["watched"] == "anomalous"
    assert told[pod]["anomaly"]["since"].startswith("2026-01-05T08:02:3")  # type: ignore[index]
    assert {each["watched"] for name, each in told.items() if name != pod} == {"watching"}
    assert {each["donors"][0][0] for each in told.values()} == {"nginx", "redis"}  # type: ignore[index]
    page = status.page()
    assert "anomalous (redis" in page
    assert "in 1 containers" in page
    assert page.index(pod) < min(page.index(name) for name in told if name != pod)


def test_one_that_ends_while_it_is_anomalous_is_closed_without_a_word(
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(strange, watchful_model)
    pod = pod_of(strange, "redis")
    pods = {each.name: each for each in pods_of(strange)}
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
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    begin, pod = strange["started_at"].iloc[0], pod_of(strange, "redis")
    here = vigilant(strange[strange["time"] < begin + pd.Timedelta(seconds=190)], watchful_model)
    here.appear(*pods_of(strange))
    here.run(780)
    assert alarms(here.lines) == [("anomalous", pod)]
    assert watched(here)[pod]["watched"] == "anomalous"
    here.run(20)
    assert alarms(here.lines) == [("anomalous", pod), ("anomaly-over", pod)]
    assert here.lines[-1]["reason"] == "no samples come any more"


def test_a_restarted_container_is_another_one(strange: pd.DataFrame, watchful_model: Path) -> None:
    here = vigilant(strange, watchful_model)
    pod = pod_of(strange, "redis")
    [old] = [each for each in pods_of(strange) if each.name == pod]
    here.appear(old)
    here.run(190)
    later = make_watched(pod, old.uid, strange["started_at"].iloc[0].to_pydatetime() + pd.Timedelta(seconds=230))
    here.appear(later)
    here.run(0)
    assert [each["watched"] for each in watched(here).values()] == ["warming-up"]
    here.run(230)
    [again] = watched(here).values()
    assert again["watched"] in ("watching", "unknown")
    assert alarms(here.lines) == [("anomalous", pod)]


def test_places_are_used_again_and_room_is_made(watchful_model: Path, normal: pd.DataFrame) -> None:
    some = normal[normal["time"] < normal["time"].min() + pd.Timedelta(seconds=40)]
    copies = [some.assign(pod=some["pod"] + f"-{n}", pod_uid=some["pod_uid"] + f"-{n}") for n in range(60)]
    many = pd.concat(copies, ignore_index=True)
    here = vigilant(many, watchful_model)
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


@pytest.mark.parametrize("told_by", ["journal", "events"])
def test_an_alarm_that_stands_is_not_told_again_after_a_restart(
    normal: pd.DataFrame, watchful_model: Path, tmp_path: Path, told_by: str
) -> None:
    pod, path = pod_of(normal, "redis"), tmp_path / "announced.jsonl"
    strange = strain(normal, pod, 150.0, 300.0)
    events = Deaf()

    def start(**options: Any) -> Bench:
        journal = Journal(path) if told_by == "journal" else Journal(None)
        return vigilant(strange, watchful_model, journal=journal, sinks=[events] * (told_by == "events"), **options)

    first = start()
    first.appear(*pods_of(strange))
    first.run(190)
    assert alarms(first.lines) == [("anomalous", pod)]
    second = start(begin_s=first.hands.at_s)
    second.appear(*pods_of(strange))
    second.run(50)
    assert watched(second)[pod]["watched"] == "anomalous"
    second.run(180)
    assert alarms(second.lines) == [("anomaly-over", pod)]
    third = start(begin_s=second.hands.at_s)
    third.appear(*pods_of(strange))
    third.run(30)
    assert alarms(third.lines) == []


def test_a_watcher_that_does_not_lead_leaves_what_was_told_and_goes_on_from_there(
    strange: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(strange, watchful_model)
    here.appear(*pods_of(strange))
    here.run(230, leading=False, told_before_s=here.hands.at_s + 10_000)
    assert here.lines == []
    here.run(200)
    assert alarms(here.lines) == [("anomaly-over", pod_of(strange, "redis"))]


def test_flapping_is_told_once_in_ten_minutes_with_how_often_it_was(watchful_model: Path) -> None:
    lives = make_lives(1000.0)
    pod = pod_of(lives, "redis")
    for begin_s in (150.0, 300.0, 450.0, 800.0):
        lives = strain(lives, pod, begin_s, begin_s + 40.0)
    here = vigilant(lives, watchful_model)
    here.appear(*pods_of(lives))
    here.run(1010)
    told = [line for line in here.lines if line["event"] in ("anomalous", "anomaly-over") and line["pod"] == pod]
    assert [line["event"] for line in told] == ["anomalous", "anomaly-over"] * 2
    assert [line["untold"] for line in told if line["event"] == "anomalous"] == [0, 2]
    assert "(2 more since the last one told)" in told[2]["message"]
    assert len({line["id"] for line in told}) == 4


def save(folder: Path, name: str, library: DetectorLibrary | None) -> None:
    bundle.save(small_identifier(), folder, name=name, library=library)


def test_another_model_closes_alarms_that_stand_and_begins_anew(strange: pd.DataFrame, tmp_path: Path) -> None:
    folder, pod = tmp_path / "model", pod_of(strange, "redis")
    save(folder, "first", small_library())
    here = vigilant(strange, folder)
    here.appear(*pods_of(strange))
    here.run(190)
    save(folder, "second", replace(small_library(), threshold=3.0))
    here.run(0)
    closed = here.lines[-1]
    assert alarms(here.lines) == [("anomalous", pod), ("anomaly-over", pod)]
    assert closed["reason"] == "the model was replaced"
    assert "nobody knows whether it is as usual for redis, since the model was replaced" in closed["message"]
    assert {each["watched"] for each in watched(here).values()} == {"watching"}  # it goes on with the next sample


def test_a_model_without_detectors_watches_nobody_until_one_with_them_comes(
    normal: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save(folder, "first", small_library())
    here = vigilant(normal, folder)
    here.appear(*pods_of(normal))
    here.run(60)
    assert {each["watched"] for each in watched(here).values()} == {"watching"}
    save(folder, "second", None)
    here.run(20)
    assert {each["watched"] for each in watched(here).values()} == {"off"}
    assert {each["anomaly"] for each in watched(here).values()} == {None}
    save(folder, "third", small_library())
    here.table.fault = InputError("down")
    here.run(0)
    assert {each["watched"] for each in watched(here).values()} == {"warming-up"}
    here.table.fault = None
    here.run(0)
    assert {each["watched"] for each in watched(here).values()} <= {"watching", "anomalous"}


def test_a_revised_decision_changes_whose_detector_watches_and_it_shows(
    normal: pd.DataFrame, watchful_model: Path
) -> None:
    here = vigilant(normal, watchful_model)
    here.appear(*pods_of(normal))
    here.run(30)
    case = next(case for case in here.watcher.roster.cases() if case.verdict and case.verdict.service == "redis")
    assert case.verdict is not None
    pod, sight = case.container.pod, Sight((("nginx", 0.7), ("redis", 0.3)), (), True, 0.1, 60.0, "small@1")
    case.verdict = structs.replace(case.verdict, service="nginx", revisions=1, seen=sight.pack())
    here.run(0)
    assert watched(here)[pod]["donors"] == [["nginx", 0.7], ["redis", 0.3]]
    like = structs.replace(sight, similar=(("redis", 0.9),))
    case.verdict = structs.replace(case.verdict, service=None, revisions=2, seen=like.pack())
    here.run(0)
    assert (watched(here)[pod]["donors"], watched(here)[pod]["watched"]) == ([["redis", 0.9]], "watching")
    hardly_like = structs.replace(sight, similar=(("redis", 0.2),))
    case.verdict = structs.replace(case.verdict, service=None, revisions=3, seen=hardly_like.pack())
    here.run(0)
    assert (watched(here)[pod]["donors"], watched(here)[pod]["watched"]) == ([], "unknown")
