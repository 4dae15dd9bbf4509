"""What was announced survives a restart, a torn line and a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from podlab.errors import InputError
from podlab.watcher.containers import DecisionRecord, PredictionSummary
from podlab.watcher.notify import StateStore


def entry(key: str, service: str | None = "redis", revisions: int = 0) -> DecisionRecord:
    return DecisionRecord(key, service, "confident" if service else "unseen", revisions, 1_767_600_000.0, 20.0)


def test_a_restart_reads_what_was_recorded_and_the_last_word_counts(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "state" / "announced.jsonl")
    store.record([entry("a"), entry("b", None)])
    store.record([entry("a", "nginx", revisions=1)])
    again = StateStore(tmp_path / "state" / "announced.jsonl")
    assert again.get("a") == entry("a", "nginx", revisions=1)
    assert again.get("b") == entry("b", None)
    assert again.get("c") is None


@settings(max_examples=40)
@given(cut=st.integers(1, 400))
def test_a_kill_in_the_middle_of_a_line_loses_that_line_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("store") / "announced.jsonl"
    StateStore(path).record([entry("a"), entry("b"), entry("c")])
    whole = path.read_bytes()
    path.write_bytes(whole[: -min(cut, len(whole))])
    kept = whole[: -min(cut, len(whole))].count(b"\n")
    torn = StateStore(path)
    assert torn.size in (kept, kept + 1)  # the last one is whole where only its line break was cut off
    torn.record([entry("d")])
    assert StateStore(path).get("d") == entry("d")
    assert StateStore(path).size == torn.size


def test_the_file_is_written_anew_before_it_grows_without_bound(tmp_path: Path) -> None:
    path = tmp_path / "announced.jsonl"
    store = StateStore(path)
    for number in range(5000):
        store.record([entry(f"{number}")])
        store.forget([f"{number - 10}"])
    assert path.read_bytes().count(b"\n") < 1100
    assert StateStore(path).size < 1100
    assert StateStore(path).get("4999") == entry("4999")


def test_the_file_never_passes_its_limit_and_keeps_the_newest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "announced.jsonl"
    most_bytes = 20_000
    store = StateStore(path, most_bytes=most_bytes)
    for number in range(400):
        store.record([structs.replace(entry(f"container-{number}"), at_s=1e9 + number)])
        assert path.stat().st_size <= most_bytes
    assert store.size == 400  # in memory it knows all that run
    again = StateStore(path, most_bytes=most_bytes)
    assert 80 < again.size < 400
    assert all(again.get(f"container-{number}") for number in range(400 - again.size, 400))
    [warning] = caplog.messages
    assert "may be announced again after a restart" in warning


def test_without_a_file_it_is_kept_in_memory() -> None:
    store = StateStore(None)
    store.record([entry("a")])
    assert store.get("a") == entry("a")
    store.keep(["b"])
    assert store.size == 0


def test_what_an_entry_was_decided_from_must_be_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "announced.jsonl"
    whole = structs.replace(
        entry("a"), seen=PredictionSummary((("redis", 0.9),), (), True, 0.1, 20.0, "small@1").pack()
    )
    StateStore(path).record([whole, structs.replace(entry("b"), seen=b"no look"), entry("c")])
    store = StateStore(path)
    assert [store.get(key) for key in "abc"] == [whole, None, entry("c")]
    assert "1 broken lines are left out" in caplog.text


def test_a_file_of_somebody_else_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("what I must not forget\n")
    with pytest.raises(InputError, match=r"notes\.txt: contains something else; choose another watch_state"):
        StateStore(path)
    assert path.read_text() == "what I must not forget\n"


def test_a_path_that_is_a_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose another watch_state"):
        StateStore(tmp_path)
