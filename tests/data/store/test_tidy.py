"""What killed writers left is removed, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from podlab.data.recordings import read_recording
from podlab.data.store import append, open_dataset, vacuum
from podlab.data.store.files import FORMAT, Append, encode, manifest_name, open_store
from podlab.errors import InputError
from podlab.files import WORKING
from tests.data.store.test_append import KILLED
from tests.support.synthetic import make_samples


def kill_a_writer(folder: Path) -> None:
    """Let a writer begin, write a partition, and be killed."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], timeout=600)
    assert done.returncode == -signal.SIGKILL


def later(**by: float) -> datetime:
    return datetime.now(UTC) + timedelta(**by)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    append(make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=10), tmp_path / "fleet")
    return tmp_path / "fleet"


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_whole_stays_and_the_rest_goes(fleet: Path) -> None:
    before, whole = read_recording([fleet]), files_of(fleet)
    kill_a_writer(fleet)
    torn = fleet / "cluster=local" / f"{WORKING}abc" / "part.parquet"  # killed while it wrote a file
    torn.parent.mkdir()
    torn.write_bytes(b"PAR1")
    left = files_of(fleet) - whole
    assert len(left) == 3
    assert set(vacuum(fleet, clock=lambda: later(days=2), dry_run=True)) == left
    assert files_of(fleet) == whole | left
    assert sum(vacuum(fleet, clock=lambda: later(days=2)).values()) > 1000
    assert files_of(fleet) == whole
    assert not torn.parent.exists()
    pd.testing.assert_frame_equal(read_recording([fleet]), before)
    assert vacuum(fleet, clock=lambda: later(days=2)) == {}


def test_a_writer_that_may_be_at_work_is_left_alone(fleet: Path) -> None:
    kill_a_writer(fleet)
    there = files_of(fleet)
    assert vacuum(fleet, clock=lambda: later(hours=23)) == {}
    assert files_of(fleet) == there


def test_it_goes_on_where_it_was_interrupted(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = files_of(fleet)
    kill_a_writer(fleet)
    removed: list[Path] = []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        path.rename(path.with_name("gone"))

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        vacuum(fleet, clock=lambda: later(days=2))
    monkeypatch.undo()
    removed[0].with_name("gone").unlink()
    assert removed[0].suffix == ".parquet"  # while its manifest is there, nobody takes the rest for strangers
    assert open_dataset(fleet).rows == 20
    vacuum(fleet, clock=lambda: later(days=2))
    assert files_of(fleet) == whole


def test_object_stores_are_tidied_too() -> None:
    url = Path("memory://bucket/fleet")
    try:
        append(make_samples(("nginx",), deployments_per_service=1, seconds=10), url)
        store = open_store(url)
        whole = store.names()
        begun = "1000000000000000000-0123456789ab"
        store.write(manifest_name(begun), encode(Append(FORMAT, "begun")))
        store.write(f"cluster=local/day=2001-09-09/{begun}.0.parquet", b"PAR1")
        assert len(vacuum(url)) == 2
        assert store.names() == whole
    finally:
        fsspec.filesystem("memory").store.clear()


def test_a_folder_that_is_not_there_is_no_tidy_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flet: no such folder; name the folder of a data set"):
        vacuum(tmp_path / "flet")


def test_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a data set; name the folder of one"):
        vacuum(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
