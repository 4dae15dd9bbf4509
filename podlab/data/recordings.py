"""Recordings: samples tables in files and data sets. Parquet is written; Parquet and CSV are read."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from podlab.data import MOST_TRAINING_ROWS
from podlab.data.catalogue import AGES, CATALOGUE, CONTAINER_KEY
from podlab.data.draws import ROLES, role_of
from podlab.data.samples import before_faults, check_samples, check_text, to_frame
from podlab.data.store import append, is_dataset_path, open_dataset
from podlab.data.store.containers import TRAINING_S, sample_datasets
from podlab.data.store.files import url_of
from podlab.data.units import format_count
from podlab.errors import InputError, first_line
from podlab.files import atomic_file, read_csv_bytes, readable, refuse_unwritable, sha256_of, table_format
from podlab.progress import Progress

log = logging.getLogger(__name__)

#: One recording or several.
Paths = Path | str | Sequence[Path | str]
#: Where the recordings that come with podlab are.
SHIPPED: Final = Path(__file__).parents[2] / "data" / "recordings"
_PARQUET_MAGIC: Final = b"PAR1"
# Head and tail magic and the length of the footer: less is no whole Parquet file.
_PARQUET_MIN_BYTES: Final = 12
#: What containers that are not trained on were recorded for, in words.
_TEST_ROLES: Final = {"unknown": "of unknown services", "faults": "with faults", "normal": "with normal events"}
_MISSING_WORDS: Final = pa.array(["NaN", "nan", "NA", "<NA>", "null", "None"])


def load(name: str, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Load a recording that comes with podlab, such as ``second`` or ``second-faults``.

    Parameters
    ----------
    name : str
        The file's name in ``data/recordings`` without its suffix.
    columns : sequence of str, optional
        As for :func:`read_recording`.

    Raises
    ------
    InputError
        If there is no such recording; the error lists those there are.
    """
    path = SHIPPED / f"{name}.parquet"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.parquet")))
        raise InputError(f"no recording {name!r}", where=str(SHIPPED), hint=f"there are {known or 'none'}")
    return read_recording(path, columns=columns)


def read_recording(paths: Paths, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read recordings into one samples table.

    Parameters
    ----------
    paths : Path, str or sequence of them
        Parquet files, recognised by their content, files named ``.csv``, or data sets: folders or URLs of them.
    columns : sequence of str, optional
        The metrics to read; identity and labels always are. All by default. Metrics that a file does not
        have are absent or missing in the result.

    Returns
    -------
    DataFrame
        The rows of all files with the union of their columns, checked, sorted by container and time.

    Raises
    ------
    InputError
        If a file or partition cannot be read or is not a samples table; the error names it.
    """
    named = _as_list(paths)
    return _join([_read_one(path, columns) for path in named], named)


def read_with_role(path: Path | str) -> pd.DataFrame:
    """Read one recording, with the column ``role`` if the file's name ends in one (``-unknown``, ``-faults``).

    Raises InputError as :func:`read_recording` does.
    """
    samples = _read_one(path, None)
    role = None if is_dataset_path(path) else role_of(path)
    if role is None or "role" in samples:
        return samples
    return samples.assign(role=pd.Series(role, index=samples.index, dtype="str"))


def read_training(
    paths: Paths,
    *,
    most_rows: int = MOST_TRAINING_ROWS,
    head_s: float = TRAINING_S,
    services: Sequence[str] | None = None,
    group: str = "deployment",
    include: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read recordings to learn from: all that they hold, or as much of data sets as fits.

    Containers that were recorded for tests are left out: those of unknown services, with faults, and with normal
    events that look like faults. So are rows from a container's first anomaly on. A warning says how many.

    Parameters
    ----------
    paths : Path, str or sequence of them
        As for :func:`read_recording`. Files are read whole.
    most_rows : int
        If data sets have more rows than this together, containers are drawn from them:
        :func:`podlab.data.store.containers.sample_datasets` tells how, and what the other parameters mean.
    include : sequence of {"unknown", "faults", "normal"}
        Roles of containers to keep all the same.

    Returns
    -------
    DataFrame
        A checked samples table without the column ``role``.

    Raises
    ------
    InputError
        As :func:`read_recording` does; if nothing is left, or nothing in data sets that are too large is labelled.
    """
    for role in include:
        if role not in ROLES:
            raise InputError(f"no role {role!r}", where="--include", hint=f"choose from {', '.join(_TEST_ROLES)}")
    named = _as_list(paths)
    datasets = [open_dataset(path) for path in named if is_dataset_path(path)]
    rows = sum(dataset.rows for dataset in datasets)
    if rows <= most_rows:
        samples = _join([read_with_role(path) for path in named], named)
        return _leave_out_tests(samples, include, ", ".join(map(str, named)))
    skipped = [role for role in _TEST_ROLES if role not in include]
    drawn = sample_datasets(
        datasets,
        most_rows=most_rows,
        head_s=head_s,
        services=services,
        group=group,
        skipped_roles=skipped,
        seed=seed,
        progress=progress,
    )
    where = ", ".join(dataset.where for dataset in datasets)
    log.warning("%s: %d of %d rows are drawn to learn from; --most-rows allows for more", where, len(drawn), rows)
    plain = [path for path in named if not is_dataset_path(path)]
    samples = pd.concat([drawn, *map(read_with_role, plain)], ignore_index=True)
    return _leave_out_tests(check_samples(samples, where=where), include, where)


def _leave_out_tests(samples: pd.DataFrame, include: Sequence[str], where: str) -> pd.DataFrame:
    """Leave out containers recorded for tests and rows from a fault on, and say how many."""
    role = samples["role"] if "role" in samples else pd.Series(pd.NA, index=samples.index, dtype="str")
    if (odd := role[role.notna() & ~role.isin(ROLES)]).size:
        # Taken as "known", a misspelt role would have a model trained on what it is to be tested on.
        raise InputError(f"no role {odd.iloc[0]!r:.60}", where=where, hint=f"column 'role' has {', '.join(ROLES)}")
    skipped = [each for each in _TEST_ROLES if each not in include]
    test = role.isin(skipped).to_numpy(bool)
    faulty = np.zeros(len(samples), dtype=bool) if "faults" in include else ~before_faults(samples) & ~test
    if test.any() or faulty.any():
        containers = role[test & ~samples.duplicated(list(CONTAINER_KEY)).to_numpy()].value_counts()
        counted = {each: format_count(containers[each], "container") for each in skipped if each in containers}
        parts = [f"{number} {_TEST_ROLES[each]}" for each, number in counted.items()]
        parts += [f"{int(faulty.sum())} rows from an anomaly on"] if faulty.any() else []
        roles = [each for each in skipped if each in containers or (each == "faults" and faulty.any())]
        told, hint = f"not used for training: {', '.join(parts)}", f"--include {','.join(roles)} uses them"
        if (test | faulty).all():
            raise InputError(f"no rows left; {told}", where=where, hint=hint)
        log.warning("%s: %s; %s", where, told, hint)
        samples = samples[~(test | faulty)].reset_index(drop=True)
    return samples.drop(columns="role", errors="ignore")


def _join(tables: list[pd.DataFrame], named: Sequence[Path | str]) -> pd.DataFrame:
    if not tables:
        raise InputError("no recording given", hint="name at least one file")
    if len(tables) == 1:
        return tables[0]
    return check_samples(pd.concat(tables, ignore_index=True), where=", ".join(map(str, named)))


def _as_list(paths: Paths) -> list[Path | str]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _read_one(path: Path | str, columns: Sequence[str] | None) -> pd.DataFrame:
    if is_dataset_path(path):
        return open_dataset(path).read(metrics=columns)
    left_out = set(CATALOGUE).difference(columns) if columns is not None else set()
    return check_samples(_read_file(Path(path), left_out), where=str(path))


def fingerprint(path: Path | str) -> tuple[str, int]:
    """Give the SHA-256 and the size in bytes of a recording, a file or a data set; InputError if it cannot be read."""
    if is_dataset_path(path):
        dataset = open_dataset(path)
        return dataset.digest, dataset.bytes
    with readable(path):
        return sha256_of(Path(path)), Path(path).stat().st_size


def refuse_recording(path: Path) -> None:
    """See before long work whether a recording can be written there; nothing is made. Raises InputError if not."""
    if not is_dataset_path(path, new=True):
        table_format(path)
    if url_of(path) is None:
        refuse_unwritable(path)


def write_recording(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a samples table as a file, Parquet or CSV by its suffix, or add it to a data set; whole or not at all.

    The same table gives the same file with the same version of pyarrow.

    Parameters
    ----------
    frame : DataFrame
        A samples table.
    path : Path or str
        The file to write; one that is there is replaced. A folder, a URL, or a new name without a suffix means a
        data set, to which the rows are added.

    Raises
    ------
    InputError
        If the table is not a samples table, the disk is full, the folder cannot be written, or the suffix is another.
    """
    if is_dataset_path(path, new=True):
        append(frame, path)
        return
    as_csv = table_format(Path(path)) == "csv"
    table = pa.Table.from_pandas(check_samples(frame, where=str(path)), preserve_index=False)
    with atomic_file(Path(path)) as temporary:
        if as_csv:
            pyarrow.csv.write_csv(table, temporary)
            return
        # pandas' own metadata names its version: without it the bytes depend on the samples alone.
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def _read_file(path: Path, left_out: set[str]) -> pd.DataFrame:
    where = str(path)
    with readable(path), path.open("rb") as file:
        head = file.read(len(_PARQUET_MAGIC))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_PARQUET_MAGIC)))
        tail = file.read(len(_PARQUET_MAGIC))
    if size == 0:
        raise InputError("the file is empty", where=where, hint="collect or record again")
    if head == _PARQUET_MAGIC:
        if tail != _PARQUET_MAGIC or size < _PARQUET_MIN_BYTES:
            raise InputError("a truncated Parquet file", where=where, hint="copy or record it again")
        table = _read_parquet(path, left_out)
    elif path.suffix.lower() == ".csv":
        table = _read_csv(path, left_out)
    else:
        raise InputError("not a Parquet file", where=where, hint="give a Parquet file, or a CSV file named .csv")
    return to_frame(table)


def _read_parquet(path: Path, left_out: set[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _refuse_repeated(schema.names, str(path))
            _refuse_nested(schema, str(path))
            return check_text(file.read([name for name in schema.names if name not in left_out]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a column's name
        what = f"a damaged Parquet file: {first_line(error)}"
        raise InputError(what, where=str(path), hint="copy or record it again") from error


def _read_csv(path: Path, left_out: set[str]) -> pa.Table:
    """Read a CSV file; values that are no numbers stay text, for the check to name with their row."""
    try:
        content, separator, skipped = read_csv_bytes(path)
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        rows = csv.reader(islice(text, skipped, None), delimiter=separator)
        names = next(row for row in rows if row)  # empty lines are passed over, here as below
        _refuse_repeated(names, str(path))
        table = pyarrow.csv.read_csv(
            io.BytesIO(content),
            # One thread knows the number of a bad row.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, skip_rows=skipped),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                # As text: a pod may be named `1e5` or `null`, and guessed types change within a file.
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                include_columns=[name for name in names if name not in left_out],
            ),
        )
    except (pa.ArrowException, csv.Error, OSError, ValueError, StopIteration) as error:
        raise InputError(f"not a readable CSV file: {first_line(error)}", where=str(path)) from error
    for position, name in enumerate(table.column_names):
        if name in CATALOGUE:
            table = table.set_column(position, name, _parse_numbers(table[name], CATALOGUE[name].kind == "counter"))
        elif name in AGES.values():
            table = table.set_column(position, name, _parse_numbers(table[name], integers=False))
    return table


def _parse_numbers(text: pa.ChunkedArray, integers: bool) -> pa.ChunkedArray:
    text = pc.if_else(pc.is_in(text, value_set=_MISSING_WORDS), None, text)
    try:
        return text.cast(pa.int64() if integers else pa.float64())
    except pa.ArrowInvalid:
        return text


def _refuse_repeated(names: Sequence[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"column {name!r} is there twice", where=where)


def _refuse_nested(schema: pa.Schema, where: str) -> None:
    for name in schema.names:
        if pa.types.is_nested(schema.field(name).type):
            raise InputError(f"column {name!r} holds lists or records, not single values", where=where)
