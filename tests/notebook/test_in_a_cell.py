"""What a researcher meets in a cell: strings as paths, short reprs, mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from podlab.audit import cut_windows
from podlab.data import recordings
from podlab.data.recordings import read_recording, read_training, write_recording
from podlab.detect import fit_library
from podlab.errors import InputError
from podlab.features.rows import read_rows
from podlab.features.windows import make_windows
from podlab.identify import fit
from podlab.model import bundle
from tests.support.synthetic import make_samples


def test_strings_are_paths_and_reprs_are_short(tmp_path: Path) -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=65)
    file, folder = str(tmp_path / "a.parquet"), str(tmp_path / "model")
    write_recording(samples, file)
    for read in (read_recording, read_training):
        assert read(file).equals(read([file]))
        assert read(file).equals(read(Path(file)))
    identifier = fit(read_recording(file), horizons_s=(10.0,), jobs=1)
    library = fit_library(samples)
    assert library is not None
    info = bundle.save(identifier, folder, name="small", recordings=[file], library=library)
    loaded = bundle.load(folder)
    assert bundle.verify(folder).digest == loaded.digest
    rows, windows = read_rows(samples), make_windows(samples, horizon_s=10.0)
    shown = [identifier, library, library.pooled, info, loaded, rows, windows, *cut_windows(samples).values()]
    for each in shown:
        assert len(repr(each)) < 200, repr(each)[:300]
    assert repr(identifier).startswith("Identifier(2 services, ")
    assert repr(loaded).startswith("Bundle('small', 2 services, digest ")


def test_recordings_that_come_with_podlab_are_loaded_by_name() -> None:
    table = recordings.load("first", columns=["memory_usage_bytes"])
    assert table["deployment"].nunique() == 112
    with pytest.raises(InputError, match=r"no recording 'third'; there are .*first, second"):
        recordings.load("third")


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.run_cell("from podlab.data.recordings import read_recording\nread_recording('nowhere.parquet')")
    assert "InputError: nowhere.parquet: no such file" in (text := capsys.readouterr().out)
    assert text.count("\n") == 1
