"""Work on a Dask scheduler's workers: the same results, also when workers die; and no Dask for who does not use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from joblib import delayed

from podlab import identify
from podlab.cli import main
from podlab.data.store import append, open_dataset
from podlab.errors import InputError
from podlab.identify.dataset import identify_dataset
from podlab.identify.storage import to_files
from podlab.parallel import in_turn, is_spread, side_by_side, use_scheduler
from tests.support.instances import make_containers, small_files
from tests.support.synthetic import make_samples

NO_DASK = """
import sys
sys.modules["distributed"] = sys.modules["dask"] = None
from podlab.cli import main
code = main(["identify", sys.argv[1], "--model", sys.argv[2]])
assert code == 0, code
assert main(["fit", sys.argv[1], "--out", "model", "--scheduler", "local"]) == 2
"""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two workers, each a process of its own; the scheduler's address."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def kill_once(marker: str, number: int) -> int:
    """Kill the process that works on the first piece, the first time."""
    if number == 0 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def work_for_a_while() -> int:
    """Work long enough for the other worker to be asked as well; give the process."""
    sum(range(10_000_000))
    return os.getpid()


def test_a_killed_worker_costs_its_pieces_only(scheduler: str, tmp_path: Path) -> None:
    with use_scheduler(scheduler):
        assert is_spread()
        found = side_by_side([delayed(kill_once)(str(tmp_path / "killed"), n) for n in range(6)], [""] * 6)
    assert found == [0, 1, 4, 9, 16, 25]
    assert (tmp_path / "killed").exists()
    assert not is_spread()


def test_fit_gives_the_same_model_though_a_worker_is_killed(scheduler: str) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=30, interval_s=2)
    learn: dict[str, Any] = {"samples": samples, "horizons_s": (10,)}
    here = to_files(identify.fit(**learn))
    dead: list[int] = []

    def kill_a_worker(done: int, total: int, what: str = "") -> None:
        if done and not dead:
            with Client(scheduler, set_as_default=False) as client:
                dead.append(next(iter(client.run(os.getpid).values())))
            os.kill(dead[0], signal.SIGKILL)

    with use_scheduler(scheduler):
        there = to_files(identify.fit(**learn, progress=kill_a_worker))
    assert dead
    assert there == here


def test_identify_gives_the_same_answers_in_the_same_order(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make_samples(("nginx", "mysql", "redis"), deployments_per_service=3, seconds=40, interval_s=2)
    identifier = identify.fit(training, horizons_s=(10,), jobs=1)
    with small_files(50, 60):
        append(make_containers(), tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    assert len(dataset.partitions) > 6
    monkeypatch.setattr("podlab.data.store.containers.SHARE_ROWS", 100)
    here = [answer for part in identify_dataset(identifier, dataset) for answer in part.answers]
    with use_scheduler(scheduler):
        there = [answer for part in identify_dataset(identifier, dataset) for answer in part.answers]
    assert len(here) == 13
    assert there == here


def test_results_come_as_their_turn_comes(scheduler: str) -> None:
    with use_scheduler(scheduler):
        turn = in_turn((delayed(abs)(-n) for n in range(50)), 50)
        assert [next(turn) for _ in range(3)] == [0, 1, 2]
        assert list(turn) == list(range(3, 50))


def test_so_many_workers_of_this_machine_as_asked_for() -> None:
    with use_scheduler("local:2"):
        pids = side_by_side([delayed(work_for_a_while)() for _ in range(6)], [""] * 6)
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    for wrong in ("local:0", "local:many", "local:"):
        with pytest.raises(InputError, match=f"--scheduler {wrong}: .* is not a number of w"), use_scheduler(wrong):
            pass


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podlab.parallel._ANSWER_S", 1)
    said = r"--scheduler tcp://127\.0\.0\.1:1: no scheduler answers: .*; check the address"
    with pytest.raises(InputError, match=said), use_scheduler("tcp://127.0.0.1:1"):
        pass


def test_other_workers_are_refused(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podlab.__version__", "99")
    said = r"its workers have podlab .*, here is 99; give them the same image"
    with pytest.raises(InputError, match=said), use_scheduler(scheduler):
        pass


def test_nobody_else_needs_or_loads_dask(tmp_path: Path) -> None:
    append(make_samples(("nginx", "redis"), deployments_per_service=3, seconds=30, interval_s=2), tmp_path / "fleet")
    assert main(["fit", str(tmp_path / "fleet"), "--out", str(tmp_path / "model"), "--horizons", "10s"]) == 0
    done = subprocess.run(
        [sys.executable, "-c", NO_DASK, str(tmp_path / "fleet"), str(tmp_path / "model")],
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "podlab: --scheduler: needs Dask; install podlab's extra `scale`: pip install podlab[scale]\n"
    )
