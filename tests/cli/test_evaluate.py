"""`podlab evaluate` as a user reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podlab.data.recordings import write_recording
from tests.support.command import Call
from tests.support.synthetic import draw_design, make_samples


def test_a_service_that_could_not_be_tested_is_named(call: Call, tmp_path: Path) -> None:
    samples = make_samples(("mysql", "nginx", "redis"), deployments_per_service=2, seconds=12)
    write_recording(samples[samples["deployment"] != "nginx-1"], tmp_path / "a.parquet")
    done = call("evaluate", tmp_path / "a.parquet", "--horizons", "10s", "--no-controls")
    assert done.exit_code == 0
    assert "5 deployments of 3 services; guessing gives 0.500" in done.out
    assert done.out.splitlines()[-1] == "not tested, because there are too few different values of deployment: nginx"
    write_recording(samples, tmp_path / "b.parquet")
    assert "not tested" not in call("evaluate", tmp_path / "b.parquet", "--horizons", "10s", "--no-controls").out


def test_a_life_is_also_judged_by_what_comes_later(call: Call, tmp_path: Path) -> None:
    write_recording(make_samples(("mysql", "nginx"), deployments_per_service=2, seconds=90), tmp_path / "a.parquet")
    words = ("evaluate", tmp_path / "a.parquet", "--horizons", "10s", "--folds", "2", "--no-controls")
    done = call(*words, "--midlife", "20s,300s", "--group", "pod")
    assert done.exit_code == 0, done.err
    assert "split by pod, no deployment divided: 4 deployments of 2 services" in done.out
    assert "segments mid-run, split by deployment" in done.out
    assert "no container was recorded long enough for a window of 300 s mid-run" in done.out
    [told] = call(*words, "--midlife", "20s", "--json").lines
    [line] = told["midlife"]
    assert (line["condition"], line["n_deployments"]) == ("20 s", 4)
    assert 0 <= line["macro_f1"] <= 1
    assert "--midlife" in call(*words, "--midlife", "soon").err


def test_a_cadence_of_a_kubelet_is_a_condition_of_its_own(call: Call, tmp_path: Path) -> None:
    write_recording(make_samples(("mysql", "nginx"), deployments_per_service=2, seconds=50), tmp_path / "a.parquet")
    words = ("evaluate", tmp_path / "a.parquet", "--folds", "2", "--no-controls", "--kubelet-cadence")
    done = call(*words, "--horizons", "10s,40s", "--json")
    assert done.exit_code == 0, done.err
    [line] = done.lines[0]["kubelet_cadence"]
    assert (line["condition"], line["n_deployments"]) == ("40 s", 4)
    assert "midlife" not in done.lines[0]
    refused = call(*words, "--horizons", "10s")
    assert refused.exit_code == 2
    assert "--kubelet-cadence: no horizon is longer than 20 s" in refused.err


@pytest.fixture
def designed(tmp_path: Path) -> Path:
    """A recording of two sites with its table of draws."""
    samples, draws = draw_design(
        make_samples(("mysql", "nginx", "redis"), deployments_per_service=6, seconds=12), sites=("alpha", "bravo")
    )
    write_recording(samples, tmp_path / "r.parquet")
    draws.to_csv(tmp_path / "r-draws.csv", index=False)
    return tmp_path / "r.parquet"


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("site", "each site left out in turn"),
        ("profile", "profiles split into folds, no deployment divided"),
        ("knob:engine", "each knob:engine left out in turn"),
    ],
)
def test_what_was_drawn_can_be_left_out(call: Call, designed: Path, group: str, kind: str) -> None:
    done = call("evaluate", designed, "--horizons", "10s", "--no-controls", "--group", group, "--json")
    assert done.exit_code == 0
    told = json.loads(done.out)
    assert told["split"]["kind"] == kind
    assert told["untested"] == (["nginx", "redis"] if group == "knob:engine" else [])


def test_a_knob_that_nobody_drew_is_refused(call: Call, designed: Path) -> None:
    done = call("evaluate", designed, "--group", "knob:size")
    assert done.exit_code == 2
    assert "no 'knob:size' to split by" in done.err
    assert "knob:workers" in done.err
