"""The example of a detector of one's own: it is saved, loaded and scores, and is refused where nobody registered it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from podlab.cli import main
from podlab.detect import components
from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import replace_file

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/contract/fixtures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that the example writes, run as a user would."""
    out = tmp_path_factory.mktemp("band") / "model"
    example, *arguments = "examples/custom_detector.py", FIXTURES / "train.parquet", FIXTURES / "model", out
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, ROOT / example, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout
    return out


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(components.COMPONENTS, "_codecs", dict(components.COMPONENTS._codecs))


def test_a_model_of_an_unknown_kind_is_refused_in_one_line(folder: Path) -> None:
    with pytest.raises(InputError, match="unknown kind 'quantile-band'") as caught:
        bundle.load(folder)
    assert "\n" not in str(caught.value)
    assert "register_detector" in str(caught.value)


def test_an_installed_package_makes_it_deployable(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "site" / "band-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: band\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[podlab.detectors]\nquantile-band = custom_detector\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.delitem(sys.modules, "custom_detector", raising=False)
    out = tmp_path / "scores.parquet"
    assert main(["score", str(FIXTURES / "ask.parquet"), "--model", str(folder), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["samples"] > 0
    assert out.is_file()


@pytest.mark.parametrize("harm", [b"", b"\x00" * 100])
def test_arrays_that_are_none_are_refused(folder: Path, tmp_path: Path, harm: bytes) -> None:
    own = shutil.copytree(folder, tmp_path / "model")
    replace_file(own, "detectors.npz", harm)
    with pytest.raises(InputError) as caught:
        bundle.load(own)
    assert "\n" not in str(caught.value)
