"""A source from outside: its file and an entry point are all that it takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from podlab.cli import main
from podlab.config import load_settings
from podlab.data.recordings import read_recording
from podlab.errors import InputError
from podlab.plugins import SOURCES

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_source.py"


def install(site: Path, monkeypatch: pytest.MonkeyPatch, /, **entry_points: str) -> None:
    """Put what `pip install` of a package with these entry points would into a folder of the search path."""
    info = site / "somebodys_sources-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-sources\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[podlab.sources]", *lines, ""]))
    monkeypatch.syspath_prepend(str(site))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "site")
    install(tmp_path / "site", monkeypatch, folder="custom_source:FolderSource", influxdb="custom_source:FolderSource")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METRICS_FOLDER", str(tmp_path))
    return tmp_path


def test_podlab_collects_from_it(folder: Path) -> None:
    now = pd.Timestamp.now("UTC").floor("s")
    times = [now - pd.Timedelta(seconds=s) for s in (7200, 60, 50)]
    rows = {"time": times, "namespace": "shop", "pod": "db-0", "container": "db", "memory_usage_bytes": [1.0, 2.0, 3.0]}
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    out = folder / "samples.parquet"
    assert main(["collect", "--source", "folder", "--since", "600s", "--cluster", "east", "--inventory", "no",
                 "--out", str(out)]) == 0  # fmt: skip
    samples = read_recording([out])
    assert samples["memory_usage_bytes"].tolist() == [2.0, 3.0]
    assert set(samples["cluster"]) == {"east"}


@pytest.mark.usefixtures("folder")
def test_it_is_a_setting_like_others_and_takes_nobodys_name() -> None:
    assert SOURCES.names() == ("influxdb", "prometheus", "kubelet", "folder")
    assert load_settings(metrics_source="folder").metrics_source == "folder"
    assert SOURCES.load("influxdb").__module__ == "podlab.live"


def test_one_that_cannot_be_imported_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, broken="no_such_module_anywhere:Source")
    with pytest.raises(InputError, match=r"source of metrics 'broken' \(no_such_module_anywhere:Source\): cannot"):
        SOURCES.load("broken")


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"'carbon' is not a source of metrics; known are influxdb, prometheus, kubelet"
    ):
        SOURCES.load("carbon")
