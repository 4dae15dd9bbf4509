"""Data sets: what is appended comes back, in whatever pieces and by however many writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.recordings import fingerprint, read_recording, write_recording
from podlab.data.store import append, open_dataset, vacuum
from podlab.errors import InputError
from tests.support.synthetic import make_samples

WRITER = """
import sys
from pathlib import Path
from podlab.data.store import append
from tests.support.synthetic import make_samples

for number in range(4):
    seed = 10 * int(sys.argv[2]) + number
    append(make_samples(("nginx",), deployments_per_service=1, seconds=10, seed=seed), Path(sys.argv[1]))
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from podlab.data.store import append, files
from tests.support.synthetic import make_samples

write = files._LocalStore.write

def write_and_die(self, name, content):
    write(self, name, content)
    if name.endswith(".parquet"):
        os.kill(os.getpid(), signal.SIGKILL)

files._LocalStore.write = write_and_die
append(make_samples(("redis",), deployments_per_service=1, seconds=10), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    """Two clusters, and lives that cross midnight."""
    table = make_samples(("nginx", "mysql"), deployments_per_service=3, seconds=40)
    late = pd.Timestamp("2026-01-05T23:59:45Z") - table.groupby("pod")["started_at"].transform("first")
    table = table.assign(time=table["time"] + late, started_at=table["started_at"] + late)
    return table.assign(cluster=["east" if pod < "pod-8" else "we/st" for pod in table["pod"]])


def test_what_is_written_comes_back(samples: pd.DataFrame, tmp_path: Path) -> None:
    samples = read_again(samples, tmp_path)
    write_recording(samples, tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    assert {(each.cluster, each.day) for each in dataset.partitions} == {
        (cluster, day) for cluster in ("east", "we/st") for day in ("2026-01-05", "2026-01-06")
    }
    pd.testing.assert_frame_equal(read_recording([tmp_path / "fleet"]), samples)


@settings(max_examples=6)
@given(cuts=st.lists(st.integers(0, 239), max_size=3), shuffled=st.booleans())
def test_pieces_give_the_same_table_as_the_whole(
    samples: pd.DataFrame, cuts: list[int], shuffled: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    samples = read_again(samples, folder)
    rows = samples.sample(frac=1, random_state=len(cuts)) if shuffled else samples
    borders = sorted({0, *cuts, len(rows)})
    for begin, end in pairwise(borders):
        append(rows.iloc[begin:end], folder / "fleet")
    pd.testing.assert_frame_equal(read_recording([folder / "fleet"]), samples)


def test_rows_that_come_twice_count_once(samples: pd.DataFrame, tmp_path: Path) -> None:
    for _ in range(2):
        append(samples, tmp_path / "fleet")
    assert len(read_recording([tmp_path / "fleet"])) == len(samples)


def test_only_the_columns_asked_for_are_read(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "fleet")
    some = read_recording([tmp_path / "fleet"], columns=["rx_bytes"])
    assert "tx_bytes" not in some
    assert some["rx_bytes"].tolist() == read_again(samples, tmp_path)["rx_bytes"].tolist()


def test_days_without_a_column_have_no_value_of_it(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples[samples["cluster"] == "east"].drop(columns="rx_bytes"), tmp_path / "fleet")
    append(samples[samples["cluster"] == "we/st"], tmp_path / "fleet")
    back = read_recording([tmp_path / "fleet"])
    assert back["rx_bytes"].isna().tolist() == (back["cluster"] == "east").tolist()


def test_files_and_data_sets_are_read_together(samples: pd.DataFrame, tmp_path: Path) -> None:
    east = samples["cluster"] == "east"
    append(samples[east], tmp_path / "fleet")
    write_recording(samples[~east], tmp_path / "west.parquet")
    both = read_recording([tmp_path / "fleet", tmp_path / "west.parquet"])
    pd.testing.assert_frame_equal(both, read_again(samples, tmp_path))


def test_the_digest_names_the_rows_and_not_the_time_of_writing(samples: pd.DataFrame, tmp_path: Path) -> None:
    for name, day in (("a", 1), ("b", 2)):
        append(samples, tmp_path / name, clock=lambda day=day: datetime(2026, 1, day, tzinfo=UTC))
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    append(make_samples(("redis",), deployments_per_service=1, seconds=10), tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_several_processes_append_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "fleet")]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [writer.wait(timeout=600) for writer in writers] == [0, 0, 0]
    seeds = [10 * writer + number for writer in range(3) for number in range(4)]
    expected = {
        make_samples(("nginx",), deployments_per_service=1, seconds=10, seed=seed)["pod"].iloc[0] for seed in seeds
    }
    assert len(expected) == len(seeds)
    assert set(read_recording([tmp_path / "fleet"])["pod"]) == expected
    assert len(open_dataset(tmp_path / "fleet").partitions) == len(seeds)


def test_a_writer_killed_in_the_middle_adds_nothing_and_harms_nothing(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "fleet")
    before = read_recording([tmp_path / "fleet"])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "fleet")], timeout=600)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "fleet").rglob("*.parquet"))) > len(open_dataset(tmp_path / "fleet").partitions)
    pd.testing.assert_frame_equal(read_recording([tmp_path / "fleet"]), before)
    append(make_samples(("redis",), deployments_per_service=1, seconds=10), tmp_path / "fleet")
    assert len(read_recording([tmp_path / "fleet"])) > len(before)


def test_a_folder_with_other_things_is_left_alone(samples: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a data set; choose another folder"):
        append(samples, tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


def read_again(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Give the table as a single file gives it back."""
    write_recording(samples, folder / "whole.parquet")
    return read_recording([folder / "whole.parquet"])


def older_dataset(folder: Path, samples: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Append as an older podlab did, which took an empty text for a cluster's name."""
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["podlab.data.store.dataset"], "check_samples", lambda frame, *, where: frame)
        append(samples.assign(cluster=""), folder)


def test_an_empty_cluster_is_local_and_one_of_old_is_still_read(
    samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = append(samples.assign(cluster=""), tmp_path / "new")
    assert {each.cluster for each in added.partitions} == {"local"}
    older_dataset(tmp_path / "old", samples, monkeypatch)
    append(samples, tmp_path / "old")
    assert any(path.name == "cluster=" for path in (tmp_path / "old").iterdir())
    dataset = open_dataset(tmp_path / "old")
    dataset.verify()
    assert dataset.clusters == ("east", "local", "we/st")
    assert set(dataset.read()["cluster"]) == set(dataset.clusters)
    assert len(dataset.read()) == 2 * len(samples)
    vacuum(tmp_path / "old")


@pytest.mark.parametrize(
    "name", ["生产环境集群华东一区上海数据中心容器平台核心业务线测试环境" * 9, "x" * 300, "a/" * 150, "🙂" * 80]
)
def test_a_cluster_may_have_a_long_name(samples: pd.DataFrame, tmp_path: Path, name: str) -> None:
    few = samples[samples["pod"] == samples["pod"].iloc[0]]
    for cluster in (name, f"{name}2"):
        append(few.assign(cluster=cluster), tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    dataset.verify()
    assert dataset.clusters == (name, f"{name}2")
    assert len({partition.name.split("/")[0] for partition in dataset.partitions}) == 2
    assert set(dataset.read()["cluster"]) == {name, f"{name}2"}
