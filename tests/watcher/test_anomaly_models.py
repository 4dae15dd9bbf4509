"""Whose detectors watch a container: another model, another decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from msgspec import structs

from podlab.detect import DetectorLibrary
from podlab.errors import InputError
from podlab.model import bundle
from podlab.watcher.containers import PredictionSummary
from tests.support.anomalous import alarms, make_anomaly_bench, pod_of, watched
from tests.support.models import small_identifier, small_library
from tests.support.watching import pods_of


def save(folder: Path, name: str, library: DetectorLibrary | None) -> None:
    bundle.save(small_identifier(), folder, name=name, library=library)


def test_another_model_closes_alarms_that_stand_and_begins_anew(anomalous: pd.DataFrame, tmp_path: Path) -> None:
    folder, pod = tmp_path / "model", pod_of(anomalous, "redis")
    save(folder, "first", small_library())
    here = make_anomaly_bench(anomalous, folder)
    here.appear(*pods_of(anomalous))
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
    here = make_anomaly_bench(normal, folder)
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
    normal: pd.DataFrame, model_with_detectors: Path
) -> None:
    here = make_anomaly_bench(normal, model_with_detectors)
    here.appear(*pods_of(normal))
    here.run(30)
    tracked = next(
        tracked
        for tracked in here.watcher.registry.containers()
        if tracked.decision and tracked.decision.service == "redis"
    )
    assert tracked.decision is not None
    pod, prediction = (
        tracked.view.pod,
        PredictionSummary((("nginx", 0.7), ("redis", 0.3)), (), True, 0.1, 60.0, "small@1"),
    )
    tracked.decision = structs.replace(tracked.decision, service="nginx", revisions=1, seen=prediction.pack())
    here.run(0)
    assert watched(here)[pod]["donors"] == [["nginx", 0.7], ["redis", 0.3]]
    like = structs.replace(prediction, similar=(("redis", 0.9),))
    tracked.decision = structs.replace(tracked.decision, service=None, revisions=2, seen=like.pack())
    here.run(0)
    assert (watched(here)[pod]["donors"], watched(here)[pod]["watched"]) == ([["redis", 0.9]], "watching")
    hardly_like = structs.replace(prediction, similar=(("redis", 0.2),))
    tracked.decision = structs.replace(tracked.decision, service=None, revisions=3, seen=hardly_like.pack())
    here.run(0)
    assert (watched(here)[pod]["donors"], watched(here)[pod]["watched"]) == ([], "unknown")
