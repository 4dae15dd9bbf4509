"""Samples tables and Arrow: types, and a number for each container instance that fits into 64 bits."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from podlab.data.catalogue import CONTAINER_KEY
from podlab.data.samples import INSTANCE_KEY

#: Integers with gaps must not pass through float64, which rounds beyond 2**53.
PANDAS_TYPES: Final[dict[pa.DataType, Any]] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
#: Where a partition keeps the numbers of its instances: in the Parquet file's own metadata.
_IDS: Final = b"podlab.instances"

Ids = NDArray[np.uint64]


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn an Arrow table into a frame without rounding integers that have gaps."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=PANDAS_TYPES.get, ignore_metadata=True)
    return frame


def run_begins(table: pa.Table, columns: tuple[str, ...] = INSTANCE_KEY) -> NDArray[np.int64]:
    """Find where one of these columns differs from the row before, the first row included."""
    if not table.num_rows:
        return np.empty(0, dtype=np.int64)
    differs = np.zeros(table.num_rows, dtype=bool)
    differs[0] = True
    for name in columns:
        values = table[name].combine_chunks()
        if values.null_count == len(values):
            continue
        unlike = pc.not_equal(values[1:], values[:-1])
        if values.null_count:  # a comparison with a missing value is itself missing
            missing = values.is_null()
            unlike = pc.coalesce(unlike, pc.not_equal(missing[1:], missing[:-1]))
        differs[1:] |= unlike.to_numpy(zero_copy_only=False)
    return np.flatnonzero(differs)


def number_instances(table: pa.Table, begins: NDArray[np.int64]) -> Ids:
    """Give each run's container instance a number that depends on nothing but its identity (n_runs,).

    Two instances get the same number once in 10^5 data sets of 10^7 instances; they are then waited for together,
    and still told apart by their identity.
    """
    heads = table.select(list(INSTANCE_KEY)).take(begins)
    texts = [heads[name].to_pylist() for name in CONTAINER_KEY]
    started = heads["started_at"].cast(pa.int64()).to_pylist()
    out = np.empty(len(begins), dtype=np.uint64)
    for row, identity in enumerate(zip(*texts, started, strict=True)):
        out[row] = int.from_bytes(hashlib.blake2b(repr(identity).encode(), digest_size=8).digest(), "little")
    return out


def with_ids(table: pa.Table) -> pa.Table:
    """Write the numbers of a table's instances into its metadata."""
    ids = np.unique(number_instances(table, run_begins(table)))
    return table.replace_schema_metadata({_IDS: base64.b64encode(ids.astype("<u8").tobytes())})


def ids_of(schema: pa.Schema) -> Ids | None:
    """Read what :func:`with_ids` wrote; None where it is not there."""
    text = (schema.metadata or {}).get(_IDS)
    if text is None:
        return None
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8")
    except ValueError:
        return None
