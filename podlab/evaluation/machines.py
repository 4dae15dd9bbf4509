"""The same containers on another machine: faster or slower, with other caches, pages and file systems."""

from __future__ import annotations

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE

#: The largest factor of each series; the smallest is its inverse. CPU: what two common processors differ by in the same
#: work. Resident memory: allocators, threads by core, page size. Faults and reads: warm or cold caches, read-ahead.
_FACTORS = {
    "cpu": 2.0,
    "memory_rss_bytes": 1.25,
    "cache": 2.0,
    "memory_page_faults": 1.5,
    "memory_major_page_faults": 4.0,
    "rootfs_used_bytes": 1.1,
    "logsfs_used_bytes": 1.1,
    "volume_used_bytes": 1.1,
    "rx_bytes": 1.1,
    "tx_bytes": 1.1,
    "io_read_bytes": 4.0,
    "io_write_bytes": 1.5,
}
#: The largest offset of each level: what the kernel and the runtime charge to every container, and a file system's
#: blocks and metadata.
_OFFSETS_BYTES = {"cache": 4 * 2**20, "rootfs_used_bytes": 2**16, "logsfs_used_bytes": 2**14}


def move_to_another_machine(samples: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw another machine and give the samples that it would have shown.

    One factor is drawn for each series, evenly on a log scale, and for some levels one offset: all containers moved to
    the same machine. Both CPU columns share theirs. Memory beyond what is resident (caches, the kernel's part) has its
    own, so that resident memory stays below the working set, and that below all memory. Time is not stretched: a start
    takes as long as it took.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    rng : Generator
        Draws the machine.

    Returns
    -------
    DataFrame
        A copy with the same columns, types and missing values.
    """
    factor = {name: float(np.exp(rng.uniform(-np.log(most), np.log(most)))) for name, most in _FACTORS.items()}
    offset = {name: float(rng.uniform(0, most)) for name, most in _OFFSETS_BYTES.items()}
    moved: dict[str, pd.Series] = {}
    for name in samples:
        if name in CATALOGUE and (CATALOGUE[name].family == "cpu" or name in factor):
            how = "cpu" if CATALOGUE[name].family == "cpu" else name
            moved[name] = _as_before(samples[name] * factor[how] + offset.get(how, 0.0), samples[name])
    for name in ("memory_working_set_bytes", "memory_usage_bytes"):
        if name in samples:
            # Where nobody knows how much of it is resident, all counts as such.
            resident = samples.get("memory_rss_bytes", samples[name])
            beyond = (samples[name] - resident) * factor["cache"] + offset["cache"]
            moved[name] = _as_before(resident * factor["memory_rss_bytes"] + beyond, samples[name])
    return samples.assign(**moved)


def _as_before(values: pd.Series, before: pd.Series) -> pd.Series:
    """Round to whole units and give a series the type that it had."""
    return values.round().clip(lower=0).astype(before.dtype)
