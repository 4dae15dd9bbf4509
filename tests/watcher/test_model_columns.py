"""What is fetched is what the model reads, and decisions are those of ``podlab identify`` on the same samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.catalogue import FEATURE_METRICS, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.errors import InputError
from podlab.identify import fit
from podlab.model import bundle
from tests.support.models import small_library
from tests.support.synthetic import make_samples
from tests.support.watching import Bench, make_bench, pods_of, starting_together

SERVICES = ("nginx", "redis")
FEW = ("cpu_usage_core_nanoseconds", "memory_rss_bytes", "threads", "rx_packets")


def save(folder: Path, name: str, columns: tuple[str, ...], *, detectors: bool = False) -> Path:
    training = make_samples(SERVICES, deployments_per_service=2, seconds=15, columns=columns)
    bundle.save(fit(training, jobs=1), folder, name=name, library=small_library() if detectors else None)
    return folder


@pytest.fixture(scope="module")
def everything() -> pd.DataFrame:
    """Containers with every metric that is measured."""
    made = make_samples(SERVICES, deployments_per_service=3, seconds=60, seed=5, columns=MEASURED_METRICS)
    return starting_together(made)


def announced_and_identified(here: Bench, model: Path, samples: pd.DataFrame) -> None:
    identifier = bundle.load(model).identifier
    for line in here.lines:
        own = samples[(samples["pod"] == line["pod"]) & (samples["time"] <= pd.Timestamp(line["decided_at"]))]
        # The API's starts are in whole seconds.
        own = own.assign(started_at=own["started_at"].dt.floor("s")).reset_index(drop=True)
        [said] = identifier.identify(own)
        wanted = said.to_json() | {"candidates": {name: round(p, 6) for name, p in list(said.candidates.items())[:3]}}
        for name in ("service", "confidence", "candidates", "novelty", "known", "seconds_observed"):
            assert line[name] == pytest.approx(wanted[name], abs=1e-6), name


@pytest.mark.parametrize("columns", [FEATURE_METRICS, FEW])
def test_decisions_are_those_of_identify(everything: pd.DataFrame, tmp_path: Path, columns: tuple[str, ...]) -> None:
    model = save(tmp_path / "model", "some", columns)
    here = make_bench(everything, model)
    here.appear(*pods_of(everything))
    here.run(60)
    assert len(here.lines) == everything["pod"].nunique()
    assert set(columns) <= set(here.table.metrics) <= set(columns) | set(ORIGINAL_METRICS)
    announced_and_identified(here, model, everything)


def test_detectors_read_what_they_learned_from_as_well(everything: pd.DataFrame, tmp_path: Path) -> None:
    model = save(tmp_path / "model", "some", FEW, detectors=True)
    assert set(make_bench(everything, model, anomalies=True).table.metrics) == {*FEW, *small_library().metrics}
    assert not {"rx_bytes", "io_read_bytes"} & set(make_bench(everything, model).table.metrics)


def test_another_model_is_given_what_it_reads_without_a_restart(everything: pd.DataFrame, tmp_path: Path) -> None:
    model = save(tmp_path / "model", "first", FEW)
    here = make_bench(everything, model)
    here.appear(*pods_of(everything)[:2])
    here.run(0)
    before = here.table.metrics
    save(model, "second", FEATURE_METRICS)
    here.table.fault = InputError("the certificates cannot be read")
    here.run(0)
    assert here.table.metrics == before
    here.table.fault = None
    here.appear(*pods_of(everything)[2:])
    here.run(40)
    assert set(FEATURE_METRICS) == set(here.table.metrics)
    assert {line["model"].partition("@")[0] for line in here.lines} == {"second"}
    truth = dict(everything[["pod", "service"]].drop_duplicates().itertuples(index=False))
    assert dict(here.announced()) == truth
