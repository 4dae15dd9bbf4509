"""What commands print: JSON lines, tables, and progress: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from podlab.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


#: How often long work prints a line of progress where there is no terminal.
LINE_INTERVAL_S = 30.0


def escape_what_cannot_be_shown() -> None:
    """Let text that a terminal or file cannot take (ASCII in cron, names that are no UTF-8) be escaped, not lost."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    # NaN is no JSON; allow_nan=False turns a mistake of ours into an error instead of a line nobody can read.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    sys.stdout.write(text + "\n")


def describe_recording(samples: pd.DataFrame, path: Path) -> dict[str, object]:
    """Describe a recording that was written, as JSON values."""
    from podlab.data.samples import INSTANCE_KEY

    return {
        "file": str(path),
        "rows": len(samples),
        "containers": int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups),
        "since": samples["time"].min().isoformat(),
        "until": samples["time"].max().isoformat(),
    }


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table that fits the terminal; numbers stand to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    listed = [tuple(row) for row in rows]
    for position, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[position], int | float) for row in listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_cell(value) for value in row))
    # Piped into a file a row stays one line, however long.
    width = None if sys.stdout.isatty() else 1_000
    Console(width=width, markup=False, highlight=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@contextmanager
def show_progress(title: str, stream: TextIO | None = None) -> Iterator[Progress]:
    """Show a bar with the time left on a terminal; elsewhere, as in a log file, a line from time to time."""
    stream = stream or sys.stderr
    with _show_bar(title) if stream.isatty() else _print_lines(title, stream, LINE_INTERVAL_S) as report:
        yield report


@contextmanager
def _show_bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int, what: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{title} {what}".strip())

        yield report


@contextmanager
def _print_lines(title: str, stream: TextIO, interval_s: float) -> Iterator[Progress]:
    state, ended, began_s = "", threading.Event(), time.monotonic()

    def report(done: int, total: int, what: str = "") -> None:
        nonlocal state
        state = f"{what} {done}/{total}".strip()

    def print_state() -> None:
        # A thread of its own: one step, such as a notebook's cell, may take minutes.
        while not ended.wait(interval_s):
            print(f"{title} {state}, {time.monotonic() - began_s:.0f} s".replace(" ,", ","), file=stream, flush=True)

    printer = threading.Thread(target=print_state, daemon=True)
    printer.start()
    try:
        yield report
    finally:
        ended.set()
        printer.join()
