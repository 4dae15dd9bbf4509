"""Every sample of every container is scored once, as `podlab score` would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from podlab.data.catalogue import Family
from podlab.detect import Scorer, StepScores
from podlab.errors import InputError
from podlab.watcher import anomalies
from tests.support.anomalous import alarms, make_anomaly_bench, pod_of, score_naively, watched
from tests.support.models import small_library
from tests.support.watching import Bench, pods_of

Scores = dict[tuple[str, float], float]


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

    monkeypatch.setattr(anomalies, "Scorer", Recorded)
    return kept


def naive(here: Bench, samples: pd.DataFrame) -> Scores:
    donors = {
        line["pod"]: (pd.Timestamp(line["decided_at"]).timestamp(), line["service"])
        for line in here.lines
        if line["event"] == "identified"
    }
    return {(pod, at_s): score for pod, at_s, score in score_naively(samples, small_library(), donors)}


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
    scores: list[tuple[int, float, float]], anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    samples = apart(anomalous)
    here = make_anomaly_bench(samples, model_with_detectors)
    here.appear(*pods_of(samples))
    here.run(440)
    check_scores(scores, here, samples)


def test_a_database_that_was_down_is_caught_up_with_and_nothing_is_scored_twice(
    scores: list[tuple[int, float, float]], anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    samples = apart(anomalous)
    here = make_anomaly_bench(samples, model_with_detectors)
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
    scores: list[tuple[int, float, float]], anomalous: pd.DataFrame, model_with_detectors: Path, name: str
) -> None:
    samples = apart(anomalous)
    here = make_anomaly_bench(samples, model_with_detectors)
    here.appear(*pods_of(samples))
    here.run(100)
    here.table.late = {name: 13.0}
    here.run(340)
    check_scores(scores, here, samples)


def test_many_samples_of_which_a_read_sees_only_a_part_are_scored_whole(
    anomalous: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    pod, begin_s = pod_of(anomalous, "redis"), anomalous["started_at"].iloc[0].timestamp()
    here.appear(*pods_of(anomalous))
    here.run(100)
    here.table.fault = InputError("down")
    here.run(90)
    here.table.fault = None
    memory = [name for name in anomalous if str(name).startswith(("memory", "cpu"))]
    here.table.late = dict.fromkeys(memory, 1000.0)  # all that an agent had to write in this time
    here.run(0)
    here.table.late = {}
    here.run(0)
    [anomalous] = [line for line in here.lines if line["event"] == "anomalous"]
    assert anomalous["pod"] == pod
    assert 150 <= pd.Timestamp(anomalous["since"]).timestamp() - begin_s < 160


def test_a_metric_that_ended_is_not_waited_for_in_vain(anomalous: pd.DataFrame, model_with_detectors: Path) -> None:
    begin, pod = anomalous["started_at"].iloc[0], pod_of(anomalous, "redis")
    ended = anomalous.assign(
        rx_bytes=anomalous["rx_bytes"].where(anomalous["time"] < begin + pd.Timedelta(seconds=100))
    )
    here = make_anomaly_bench(ended, model_with_detectors)
    here.appear(*pods_of(ended))
    here.run(200)
    assert alarms(here.lines) == [("anomalous", pod)]
    assert watched(here)[pod]["watched"] == "anomalous"


def test_no_further_back_than_the_window(anomalous: pd.DataFrame, model_with_detectors: Path) -> None:
    here = make_anomaly_bench(anomalous, model_with_detectors)
    here.appear(*pods_of(anomalous))
    here.run(100)
    here.table.fault = InputError("down")
    here.run(900)
    here.table.fault = None
    here.table.asked.clear()
    here.run(0)
    assert min(since for since, _, _ in here.table.asked) >= here.clock.at_s - 10 - 600
