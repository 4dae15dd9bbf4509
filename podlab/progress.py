"""Long work: how far it is, and ending it in order when the system asks for it."""

from __future__ import annotations

import html
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, Protocol, TextIO

#: How often long work prints a line of progress where there is no terminal.
LINE_INTERVAL_S = 30.0
#: How often the line in a notebook changes.
_BAR_INTERVAL_S: Final = 1.0
_MINUTE_S: Final = 60
_LEAST_KNOWN_S: Final = 5.0


class Progress(Protocol):
    """Called after each step: how many are done, of how many (0: nobody knows), and what is going on."""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Report one step."""


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, as CI sends it, stop a run as Ctrl-C does; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def show_progress(title: str, stream: TextIO | None = None) -> Iterator[Progress]:
    """Show how far long work is, and the time left: a bar on a terminal or in a notebook, else a line now and then.

    Parameters
    ----------
    title : str
        What is done.
    stream : text file, optional
        Where to; stderr by default.

    Examples
    --------
    >>> with podlab.show_progress("fit") as progress:  # doctest: +SKIP
    ...     identifier = podlab.Identifier().fit(samples, progress=progress)
    """
    stream = stream or sys.stderr
    steps = _Steps(title)
    if stream.isatty():
        shown = _show_bar(steps)
    elif stream is sys.stderr and _in_notebook():
        shown = _print_states(steps, _NotebookLine(), _BAR_INTERVAL_S)
    else:
        shown = _print_states(steps, lambda line: print(line, file=stream, flush=True), LINE_INTERVAL_S)
    with shown as report:
        yield report


class _Steps:
    """How far the work is, and how long what is left of it will take if it goes on as it went."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.done, self.total, self.what = 0, 0, ""
        self._began_s = self._phase_began_s = time.monotonic()

    def __call__(self, done: int, total: int, what: str = "") -> None:
        if total != self.total or done < self.done:  # another phase, whose steps take another time
            self._phase_began_s = time.monotonic()
        self.done, self.total, self.what = done, total, what

    def describe(self) -> str:
        now_s = time.monotonic()
        steps = f"{self.done}/{self.total}" if self.total else ""
        words = " ".join(part for part in (self.title, self.what, steps) if part)
        taken_s = now_s - self._phase_began_s
        left = ""
        if 0 < self.done < self.total and taken_s > _LEAST_KNOWN_S:
            left = f", about {_in_words(taken_s / self.done * (self.total - self.done))} left"
        return f"{words}, {_in_words(now_s - self._began_s)}{left}"


def _in_words(duration_s: float) -> str:
    return f"{duration_s:.0f} s" if duration_s < 2 * _MINUTE_S else f"{duration_s / _MINUTE_S:.0f} min"


@contextmanager
def _show_bar(steps: _Steps) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left:"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(steps.title, total=None)

        def report(done: int, total: int, what: str = "") -> None:
            bar.update(task, completed=done, total=total or None, description=f"{steps.title} {what}".strip())

        yield report


@contextmanager
def _print_states(steps: _Steps, write: Any, interval_s: float) -> Iterator[Progress]:
    ended = threading.Event()

    def print_state() -> None:
        # A thread of its own: one step, such as a notebook's cell, may take minutes.
        while not ended.wait(interval_s):
            write(steps.describe())

    printer = threading.Thread(target=print_state, daemon=True)
    printer.start()
    try:
        yield steps
    finally:
        ended.set()
        printer.join()
        if close := getattr(write, "close", None):
            close()


def _in_notebook() -> bool:
    """Tell whether this runs in a kernel of Jupyter, without loading any of it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _NotebookLine:
    """One line of a cell's output that changes, and goes when the work has ended."""

    def __init__(self) -> None:
        self._ipython: Any = import_module("IPython.display")  # which every kernel has loaded
        self._shown: Any = None

    def __call__(self, line: str) -> None:
        text = self._ipython.HTML(f"<progress></progress> {html.escape(line)}")
        if self._shown is None:
            self._shown = self._ipython.display(text, display_id=True)
        else:
            self._shown.update(text)

    def close(self) -> None:
        if self._shown is not None:
            self._shown.update(self._ipython.HTML(""))
