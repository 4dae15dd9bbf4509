"""The table of draws beside a recording: one row a deployment, so that anything can be left out by what was drawn.

A recording ``NAME.parquet`` has its table in ``NAME-draws.csv``; the recordings of other roles that were made with it
(``NAME-unknown.parquet`` and so on) share that table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from podlab.errors import InputError
from podlab.files import atomic_file

Role = Literal["known", "unknown", "faults", "normal"]
#: What a deployment is recorded for, and with it, which file it goes to.
ROLES: Final[tuple[Role, ...]] = ("known", "unknown", "faults", "normal")
#: What a column of a knob's values is called: ``knob:NAME``.
KNOB_PREFIX: Final = "knob:"
#: What came of a deployment.
RECORDED, DIED, NOT_STARTED = "recorded", "died", "not started"
#: Columns that every table of draws has, in this order.
FIRST_COLUMNS: Final = (
    "deployment",
    "role",
    "service",
    "site",
    "release",
    "version",
    "pattern",
    "profile",
    "outcome",
    "attempts_died",
)
#: A knob with more values than this is left out by thirds of its values, not value by value.
MOST_VALUES: Final = 5
#: Columns of a table of draws whose words mean the same whatever the service.
SHARED_DRAWS: Final = (
    "release", "pattern", "data_in", "launcher", "earlier_run", "page_cache", "closed_loop", "load_begins", "probe_by",
)  # fmt: skip
_THIRDS: Final = ("low", "middle", "high")


def role_of(recording: Path | str) -> Role | None:
    """Read from a file's name what it was recorded for; None if the name does not say."""
    stem = Path(recording).stem
    return next((role for role in ROLES if stem.endswith(f"-{role}")), None)


def draws_file(recording: Path) -> Path:
    """Name the table of draws that belongs to a recording, whichever role it holds."""
    stem = recording.stem
    for role in ROLES:
        stem = stem.removesuffix(f"-{role}")
    return recording.with_name(f"{stem}-draws.csv")


def read_draws(path: Path) -> pd.DataFrame:
    """Read a table of draws; every value of a knob is text.

    Raises InputError if it cannot be read, or a column is missing.
    """
    try:
        table = pd.read_csv(path, dtype={"version": "str"}, low_memory=False)
    except (OSError, ValueError) as error:
        raise InputError(str(error), where=str(path)) from error
    for column in FIRST_COLUMNS:
        if column not in table:
            raise InputError(f"column {column!r} is missing", where=str(path))
    knobs = [str(column) for column in table.columns if str(column).startswith(KNOB_PREFIX)]
    return table.astype(dict.fromkeys(knobs, "str")).assign(
        **{column: table[column].astype("str").where(table[column].notna()) for column in knobs}
    )


def find_draws(recordings: Sequence[Path]) -> pd.DataFrame:
    """Read the tables of draws beside recordings, files and data sets, some of which may have none.

    One row a deployment; empty, with the column ``deployment`` alone, where no recording has a table. Raises InputError
    if a table cannot be read.
    """
    files = dict.fromkeys(draws_file(Path(path)) for path in recordings)
    tables = [read_draws(file) for file in files if file.is_file()]
    if not tables:
        return pd.DataFrame({"deployment": pd.Series(dtype="str")})
    return pd.concat(tables, ignore_index=True).drop_duplicates("deployment", ignore_index=True)


def write_draws(draws: pd.DataFrame, path: Path) -> None:
    """Write a table of draws, or remove the one that is there if nothing was drawn."""
    if draws.empty:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as temporary:
        draws.to_csv(temporary, index=False)


def join_draws(containers: pd.DataFrame, draws: pd.DataFrame) -> pd.DataFrame:
    """Put beside each container (n_containers,) what was drawn for its ``deployment``.

    The columns of the draws that the containers lack are added, missing for a deployment without a draw. The values of
    a knob are those that :func:`knob_words` gives.
    """
    new = [column for column in draws.columns if column not in containers]
    if "deployment" not in containers or not new:
        return containers
    table = draws.drop_duplicates("deployment").set_index("deployment")
    told = table[new].reindex(containers["deployment"]).set_axis(containers.index)
    services = containers["service"] if "service" in containers else pd.Series("", index=containers.index)
    knobs = [column for column in new if column.startswith(KNOB_PREFIX)]
    words = {column: knob_words(told[column], services) for column in knobs}
    return pd.concat([containers, told.assign(**words)], axis=1)


def knob_words(values: pd.Series, services: pd.Series) -> pd.Series:
    """Turn a knob's values (n,) into the few words that it can be left out by; it means something within a service.

    They are the values themselves; where a service has more than :data:`MOST_VALUES` and all are numbers, the third of
    them that each is in: ``low``, ``middle`` or ``high``.

    Examples
    --------
    >>> values = pd.Series(["8", "16", "24", "32", "48", "64"], dtype="str")
    >>> knob_words(values, pd.Series(["redis"] * 6)).tolist()
    ['low', 'low', 'middle', 'middle', 'high', 'high']
    """
    words = values.astype("str").where(values.notna())
    for _, own in words.dropna().groupby(services):
        numbers = pd.to_numeric(own, errors="coerce")
        if own.nunique() > MOST_VALUES and numbers.notna().all():
            third = pd.cut(numbers.rank(pct=True), [0, 1 / 3, 2 / 3, 1], labels=list(_THIRDS)).astype("str")
            words = words.where(~words.index.isin(own.index), third)
    return words
