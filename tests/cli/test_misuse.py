"""What every command says when it is called wrongly: one line that a user can act on, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("collect", "--out", "x.parquet", "--since", "600"), "--since"),
        (("collect", "--out", "x.parquet", "--since", "99999999999d"), "--since"),
        (("collect", "--out", "x.parquet", "--interval", "60"), "--interval"),
        (("collect", "--out", "x.parquet", "--influxdb-url", "here"), "--influxdb-url"),
        (("evaluate", "x.parquet", "--iterations", "100000"), "--iterations"),
        (("evaluate", "x.parquet", "--training-ratio", "2"), "--training-ratio"),
        (("watch", "--sinks", "nobody"), "--sinks"),
    ],
)
def test_a_bad_value_is_told_by_the_option_that_it_was_given_with(
    call: Call, words: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = call(*words)
    assert called.exit_code == 2
    assert called.err.startswith(f"podlab: {option}: ")
    assert option in call(words[0], "--help").out
