"""A watcher's log beside the truth: what is read, what counts as right, and from when on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import watcher_log
from tests.support.decisions import STARTED_AT, line, write_log


def _truth(**services: str) -> pd.DataFrame:
    rows = [{"namespace": "lab", "pod": pod, "container": "main", "service": name} for pod, name in services.items()]
    return pd.DataFrame(rows * 2)


def _judged(tmp_path: Path, *lines: str, **services: str) -> pd.DataFrame:
    decisions = watcher_log.read_decisions([write_log(tmp_path / "log", *lines)])
    return watcher_log.join_truth(decisions, _truth(**services), unknown=["miner"])


def test_decisions_are_read_among_other_lines_and_sorted_by_time(tmp_path: Path) -> None:
    found = watcher_log.read_decisions([write_log(tmp_path / "log", line("b", 20, None), line("a", 10, "nginx"))])
    assert list(found["pod"]) == ["a", "b"]
    assert list(found["seconds"]) == [10.0, 20.0]
    assert list(found["service"].isna()) == [False, True]
    assert found["started_at"].iloc[0] == STARTED_AT


def test_a_decision_of_two_replicas_counts_once(tmp_path: Path) -> None:
    logs = [write_log(tmp_path / str(number), line("a", 10 + number, "nginx")) for number in range(2)]
    assert list(watcher_log.read_decisions(logs)["seconds"]) == [10.0]


def test_a_decision_before_the_start_is_one_at_the_start(tmp_path: Path) -> None:
    assert list(watcher_log.read_decisions([write_log(tmp_path / "log", line("a", -3, "nginx"))])["seconds"]) == [0.0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "holds no decision"),
        (['{"event": "identified", "pod": "a"}'], "log:6: a decision without 'cluster'"),
    ],
)
def test_a_log_that_tells_nothing_or_half_is_refused(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        watcher_log.read_decisions([write_log(tmp_path / "log", *lines)])
    assert words in str(caught.value)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        watcher_log.read_decisions([tmp_path / "nowhere"])


def test_what_is_right_wrong_given_up_and_never_seen(tmp_path: Path) -> None:
    judged = _judged(
        tmp_path,
        line("a", 10, "nginx"),
        line("b", 11, "nginx"),
        line("c", 12, None),
        line("d", 13, None),
        line("e", 14, "redis"),
        line("f", 120, None, reason="unseen"),
        line("g", 15, "nginx"),
        a="nginx", b="redis", c="redis", d="miner", e="miner", f="redis",
    )  # fmt: skip
    told = dict(zip(judged["pod"], judged["outcome"], strict=True))
    assert told == {"a": "right", "b": "wrong", "c": "unknown", "d": "right", "e": "wrong", "f": "no metrics"}


def test_truth_that_is_missing_or_contradicts_itself_is_none(tmp_path: Path) -> None:
    decisions = watcher_log.read_decisions([write_log(tmp_path / "log", line("a", 10, "nginx"))])
    twofold = pd.concat([_truth(a="nginx"), _truth(a="redis")])
    for samples in (_truth(b="nginx"), twofold, _truth(a="nginx").drop(columns="service")):
        with pytest.raises(InputError, match="no container has both"):
            watcher_log.join_truth(decisions, samples)


def test_the_last_word_counts_in_the_end_and_each_in_its_time(tmp_path: Path) -> None:
    judged = _judged(
        tmp_path,
        line("a", 2, "redis"),
        line("a", 4, "nginx", revisions=1),
        line("b", 3, "redis"),
        a="nginx", b="redis",
    )  # fmt: skip
    over_time = watcher_log.outcomes_over_time(judged).set_index("seconds")
    assert over_time["waiting"].tolist() == [1.0, 1.0, 0.5, 0.0, 0.0, 0.0]
    assert over_time["wrong"].tolist() == [0.0, 0.0, 0.5, 0.5, 0.0, 0.0]
    assert over_time["right"].tolist() == [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
    assert over_time.sum(axis=1).eq(1.0).all()
    last = watcher_log.last_decisions(judged).set_index("pod").loc["a"]
    assert (last["outcome"], last["revisions"], last["first_s"], last["seconds"]) == ("right", 1, 2.0, 4.0)


def test_a_restarted_container_is_another_one(tmp_path: Path) -> None:
    again = STARTED_AT + pd.Timedelta(minutes=5)
    judged = _judged(tmp_path, line("a", 10, "nginx"), line("a", 8, "redis", started_at=again), a="nginx")
    assert watcher_log.last_decisions(judged)["outcome"].tolist() == ["right", "wrong"]
