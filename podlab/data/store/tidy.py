"""Removing what killed writers left in a data set: files that nobody reads and that only take room."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from podlab.data.store.manifest import append_of, manifest_name, read_appends, time_of
from podlab.data.store.store import open_store, url_of
from podlab.errors import InputError


def tidy(
    path: Path | str,
    *,
    older_than: timedelta = timedelta(days=1),
    dry_run: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, int]:
    """Remove the files of appends that were begun long ago and never became whole, and old working files.

    Rows that readers see are never touched. A writer that is still at work after ``older_than`` would lose what it
    wrote: its append then names files that are missing.

    Parameters
    ----------
    path : Path or str
        The data set's folder, or its URL.
    older_than : timedelta
        How long ago an append must have begun.
    dry_run : bool
        Remove nothing.
    clock : callable
        Gives the time.

    Returns
    -------
    dict of str to int
        Bytes of the files removed, by name.

    Raises
    ------
    InputError
        If the folder is not there or no data set, or a file cannot be removed.
    """
    store = open_store(path)
    if url_of(path) is None and not Path(path).exists():
        raise InputError("no such folder", where=store.where, hint="name the folder of a data set")
    files = store.names()
    appends = read_appends(store, files)
    if files and not appends:
        raise InputError("is not a data set", where=store.where, hint="name the folder of one")
    before = clock() - older_than
    dead = {name for name, each in appends.items() if each.state == "begun" and time_of(name) < before}
    found = {name: size for name, size in files.items() if append_of(name) in dead}
    found |= store.working_files(before)
    # A manifest goes after its partitions: while it is there, nobody takes them for strangers.
    found |= {manifest_name(name): files[manifest_name(name)] for name in sorted(dead)}
    if not dry_run:
        for name in found:
            store.remove(name)
    return found
