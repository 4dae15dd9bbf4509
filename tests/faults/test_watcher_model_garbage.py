"""The model's folder gets garbage while the watcher runs, and a sound bundle again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from podlab.identify import fit
from podlab.model import bundle
from tests.support.bundles import write_bundle
from tests.support.synthetic import make_samples
from tests.support.watching import make_bench, pods_of
from tests.watcher.test_loop import truth

GARBAGE: dict[str, Callable[[Path], object]] = {
    "another manifest": lambda folder: (folder / "manifest.json").write_bytes(b"\x00garbage"),
    "a changed file": lambda folder: (folder / "model.json").write_bytes(b"{}"),
    "half of it": lambda folder: (folder / "model.json").unlink(),
    "nothing": shutil.rmtree,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_the_old_model_goes_on_and_it_shows(samples: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    folder = write_bundle(tmp_path / "model")
    here = make_bench(samples, folder)
    before = here.watcher.model.name
    pods = pods_of(samples)
    here.appear(*pods[:3])
    here.run(0)
    GARBAGE[kind](folder)
    here.appear(*pods[3:])
    here.run(60)
    assert dict(here.announced()) == truth(samples)
    assert here.watcher.model.name == before
    assert str(folder) in str(here.watcher.model.refused)
    assert "podlab_model_refused 1.0" in here.watcher.metrics.text().decode()
    shutil.rmtree(folder, ignore_errors=True)
    write_bundle(folder)
    here.run(0)
    assert here.watcher.model.refused is None


def test_a_sound_bundle_takes_its_place_and_nothing_is_announced_again(samples: pd.DataFrame, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "model")
    here = make_bench(samples, folder)
    pods = pods_of(samples)
    here.appear(*pods[:3])
    here.run(40)
    assert len(here.lines) == 3
    # Other services in front: every number means another service now.
    training = make_samples(("apache", "nginx", "redis"), deployments_per_service=2, seconds=15)
    bundle.save(fit(training, jobs=1), folder, name="other")
    here.appear(*pods[3:])
    here.run(50)
    assert here.watcher.model.name.startswith("other@")
    assert [line["model"].partition("@")[0] for line in here.lines] == ["small"] * 3 + ["other"] * 3
    assert dict(here.announced()) == truth(samples)
    assert {line["event"] for line in here.lines} == {"identified"}


def test_what_the_new_model_does_not_know_stands(samples: pd.DataFrame, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "model")
    here = make_bench(samples, folder)
    here.appear(*pods_of(samples))
    here.run(40)
    training = make_samples(("apache", "mysql"), deployments_per_service=2, seconds=15)
    bundle.save(fit(training, jobs=1), folder, name="other")
    here.run(50)
    assert here.watcher.active == 0
    assert dict(here.announced()) == truth(samples)
    assert len(here.lines) == 6
