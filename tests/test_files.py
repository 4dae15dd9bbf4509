"""Nobody ever sees half of a file, whatever happens while it is written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from podlab.config import load_settings
from podlab.data.labels import read_label_table
from podlab.data.recordings import read_recording
from podlab.errors import InputError
from podlab.files import (
    atomic_file,
    atomic_folder,
    names_inside,
    read_toml,
    refuse_inputs,
    refuse_unwritable,
    sha256_of,
    shorten_name,
)
from podlab.importing.readers import read_table
from podlab.notebook.run import read_notebook


def test_a_file_takes_its_place_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "file.txt"
    with atomic_file(target) as path:
        path.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["file.txt"]


@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path, there: bool) -> None:
    whole = tmp_path / "disk" / "whole.txt"
    if there:
        whole.parent.mkdir()
        whole.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to("disk/whole.txt")
    with atomic_file(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert whole.read_text() == "new"
    assert os.listdir(whole.parent) == ["whole.txt"]


def test_a_link_to_itself_is_no_traceback(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to("link.txt")
    refuse_inputs(link, [tmp_path / "in.txt", link.with_name("other.txt")])
    with atomic_file(link) as path:
        path.write_text("new")
    assert link.read_text() == "new"


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def write_half_and_fail() -> None:
        with atomic_file(target) as path:
            path.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half_and_fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_folder_that_is_called_as_a_home_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = Path("~") / "a.parquet"
    with atomic_file(target) as temporary:
        pq.write_table(pa.table({"x": [1]}), temporary)
    assert target.stat().st_size > 0


@pytest.mark.parametrize("leads_to", ["folder", "nowhere", "link"])
def test_a_link_is_no_folder_that_may_be_replaced(tmp_path: Path, leads_to: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / leads_to)
    with pytest.raises(InputError, match="link: is not a folder"):
        names_inside(tmp_path / "link")
    assert names_inside(tmp_path / "nowhere") == set()


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for content in ("first", "second"):
        with atomic_folder(target) as folder:
            (folder / content).write_text(content)
    assert os.listdir(target) == ["second"]
    assert os.listdir(tmp_path) == ["model"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()

    def write_half_and_fail() -> None:
        with atomic_folder(target) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half_and_fail()
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["model"]


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "file").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.EACCES, "no permission to write"),
    ],
)
def test_faults_of_the_disk_become_one_clear_line(tmp_path: Path, number: int, words: str) -> None:
    target = tmp_path / "file"

    def fail() -> None:
        with atomic_file(target):
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=words) as caught:
        fail()
    assert str(caught.value).startswith(f"{target}: ")
    assert os.listdir(tmp_path) == []


def test_a_file_where_a_folder_belongs_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def write_below_a_file() -> None:
        with atomic_file(tmp_path / "file" / "below") as path:
            path.touch()

    with pytest.raises(InputError, match="below: "):
        write_below_a_file()


def test_what_is_no_file_is_refused_before_any_work_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # as /dev/null is for root: a rename would take its place
    for name, words in (("folder", "is a folder, a file is needed"), ("pipe", "is not a plain file")):
        with pytest.raises(InputError, match=f"{name}: {words}"), atomic_file(tmp_path / name):
            pytest.fail("it began to write")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read_as_it_may_have_no_end(device: str, tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to(device)
    settings = load_settings(influxdb_password_file=path)
    for read in (
        read_toml, read_recording, read_label_table, lambda path: read_table(path, "csv"), read_notebook,
        lambda _: settings.secret("influxdb_password"),
    ):  # fmt: skip
        with pytest.raises(InputError, match="link: is a device, not a file"):
            read(path)


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unwritable(tmp_path / "new" / "deep" / "file.txt")
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(InputError, match=r"new/file: no permission to write; choose another folder"):
        refuse_unwritable(tmp_path / "new" / "file")


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"podlab")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"podlab").hexdigest()


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, writer: object) -> None:
    target = tmp_path / ("x" * 300)
    with pytest.raises(InputError, match="the name is too long for the file system; choose a shorter one"):
        refuse_unwritable(target)
    with pytest.raises(InputError, match="too long"), writer(target):  # type: ignore[operator]
        pass
    assert os.listdir(tmp_path) == []


def test_names_that_are_shortened_stay_different() -> None:
    names = ["é" * 150, "é" * 151, "x" * 200, "x" * 201, "x" * 202, "short"]
    short = [shorten_name(name) for name in names]
    assert len(set(short)) == len(names)
    assert max(len(name.encode()) for name in short) <= 200
    assert short[-1] == "short"
