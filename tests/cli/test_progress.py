"""Progress without a terminal: a line from time to time, also while one step takes long."""

import io
import threading

import pytest

from podlab.progress import show_progress


class LogFile(io.StringIO):
    """A stream that lets a test wait until lines name a step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step = step
        self.named_twice = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.getvalue().count(self.step) >= 2:
            self.named_twice.set()
        return written


def test_a_log_file_gets_lines_while_one_step_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podlab.progress.LINE_INTERVAL_S", 0.001)
    log = LogFile("train 03_evaluate 3/7, ")
    with show_progress("train", log) as progress:
        progress(3, 7, "03_evaluate")
        assert log.named_twice.wait(60)


def test_short_work_prints_nothing_into_a_log_file() -> None:
    log = LogFile("fit")
    with show_progress("fit", log) as progress:
        progress(1, 2, "half")
    assert log.getvalue() == ""
