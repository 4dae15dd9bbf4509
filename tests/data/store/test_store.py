"""Data sets in object stores, by fsspec."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from podlab.data.recordings import read_recording
from podlab.data.store import append, open_dataset
from podlab.data.store.files import is_dataset_path, url_of
from podlab.errors import InputError
from tests.support.synthetic import make_samples

WITHOUT = """
import sys
sys.modules["fsspec"] = None
from pathlib import Path
from podlab.cli import main
from podlab.data.recordings import read_recording, write_recording
from tests.support.synthetic import make_samples

folder = Path(sys.argv[1])
write_recording(make_samples(("nginx",), deployments_per_service=1, seconds=5), folder)
assert len(read_recording([folder])) == 5
sys.exit(main(["dataset", "show", "s3://bucket/fleet"]))
"""


@pytest.fixture
def url() -> Iterator[Path]:
    yield Path("memory://bucket/fleet")
    fsspec.filesystem("memory").store.clear()


def test_a_path_keeps_its_url() -> None:
    assert url_of(Path("s3://bucket/a/b")) == "s3://bucket/a/b"
    assert url_of(Path("file:///tmp/a")) == "file:///tmp/a"
    assert url_of(Path("a/b:c")) is None
    assert is_dataset_path(Path("s3://bucket/a.parquet"))
    assert not is_dataset_path(Path("nowhere"))
    assert is_dataset_path(Path("nowhere"), new=True)


def test_an_object_store_gives_back_what_it_was_given(url: Path, tmp_path: Path) -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=10)
    for place in (url, tmp_path / "fleet"):
        append(samples.iloc[:15], place)
        append(samples.iloc[15:], place)
    pd.testing.assert_frame_equal(read_recording([url]), read_recording([tmp_path / "fleet"]))
    assert open_dataset(url).digest == open_dataset(tmp_path / "fleet").digest


def test_a_changed_object_is_refused_by_name(url: Path) -> None:
    append(make_samples(("nginx",), deployments_per_service=1, seconds=10), url)
    name = open_dataset(url).partitions[0].name
    stored = fsspec.filesystem("memory")
    content = stored.cat_file(f"/bucket/fleet/{name}")
    stored.pipe_file(f"/bucket/fleet/{name}", content[:-1] + b"\0")
    with pytest.raises(InputError, match=rf"memory://bucket/fleet/{name}: was changed since it was written"):
        read_recording([url])


def test_nothing_there_and_no_driver(url: Path) -> None:
    with pytest.raises(InputError, match="memory://bucket/fleet: no data set is there"):
        read_recording([url])
    with pytest.raises(InputError, match="nosuch://a/b: no driver for such a URL"):
        read_recording([Path("nosuch://a/b")])


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="a password does not belong into an address") as caught:
        read_recording([Path("ftp://me:secret@host/fleet")])
    assert "secret" not in str(caught.value)


def test_local_folders_work_without_fsspec(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "fleet")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "podlab: s3://bucket/fleet: object stores need fsspec; "
        "install podlab's extra `scale`: pip install podlab[scale]\n"
    )
