"""How another cluster may show containers: for less time, later, more sparse, with fewer columns, on another machine.

A scenario changes samples only, as they would have been collected there, so that whatever identifies is tested from
outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, ORIGINAL_METRICS
from podlab.errors import InputError
from podlab.evaluation.dataset import LabelledSamples
from podlab.features.cadence import at_kubelet_cadence
from podlab.features.rows import observation_spans, read_rows

#: Groups of scenarios, in the order of reports.
START, LONG, MID_RUN, SPARSE = "since start", "since start, long ones", "mid-run", "sparse sampling"
KUBELET, COLUMNS, MACHINE, RECORDING = "kubelet", "fewer columns", "another machine", "another recording"
#: A container counts as seen for so long from here on: samples come with gaps.
_NEARLY = 0.98


@dataclass(frozen=True)
class Scenario:
    """How containers are seen.

    Attributes
    ----------
    group, name : str
        What is asked, and the condition; together they are unique.
    horizon_s : float, optional
        Seconds since the start that count; None: all.
    interval_s : float
        Time between samples, the first at a random moment in it; 0 as recorded.
    kubelet : bool
        Whether samples come as a kubelet measures them: :func:`podlab.features.cadence.at_kubelet_cadence`.
    segment_s : float
        Length of a segment of steady state that begins at a random moment after ``settled_s``; 0 for the start.
    settled_s : float
        Seconds since the start before which no segment begins.
    columns : tuple of str, optional
        The metric columns that there are; None: all.
    draws : int
        How many other machines are drawn; 0 stays on the recorded one.
    recorded_s : float
        Only containers that were recorded for so long.
    reference : str
        Name of the scenario that it is compared with, of whatever group; empty for none.
    """

    group: str
    name: str
    horizon_s: float | None = None
    interval_s: float = 0.0
    kubelet: bool = False
    segment_s: float = 0.0
    settled_s: float = 60.0
    columns: tuple[str, ...] | None = None
    draws: int = 0
    recorded_s: float = 0.0
    reference: str = ""


#: What other clusters have, by what is left out or left over.
FAMILY_SETS: dict[str, tuple[str, ...]] = {
    "no filesystem, no volume": ("cpu", "memory", "network", "io"),
    "no I/O": ("cpu", "memory", "network", "filesystem", "volume"),
    "CPU and memory": ("cpu", "memory"),
    "memory": ("memory",),
    "CPU and network": ("cpu", "network"),
}


def columns_of_set(name: str) -> tuple[str, ...]:
    """Name the metric columns of one of :data:`FAMILY_SETS`."""
    return tuple(column for column in ORIGINAL_METRICS if CATALOGUE[column].family in FAMILY_SETS[name])


def from_start(horizons_s: Sequence[float]) -> list[Scenario]:
    """List scenarios that show the first seconds since the start.

    Raises
    ------
    InputError
        If one is not positive.
    """
    if any(not horizon_s > 0 for horizon_s in horizons_s):
        raise InputError("a horizon must be longer than 0 s", where="horizons")
    return [Scenario(START, f"{each:g} s", float(each)) for each in horizons_s]


def apply_scenario(dataset: LabelledSamples, scenario: Scenario, rng: np.random.Generator) -> pd.DataFrame:
    """Give the samples as the scenario shows them, except for its horizon and its machines.

    Parameters
    ----------
    dataset : LabelledSamples
    scenario : Scenario
    rng : Generator
        Draws phases and the begins of segments, for each container.

    Returns
    -------
    DataFrame
        Indexed by the rows' positions in the data set; containers of which nothing is seen are missing.
    """
    count, code, offset_s = len(dataset.containers), dataset.code, dataset.offset_s()
    until_s = observation_spans(read_rows(dataset.samples)).until_s
    keep = (until_s >= _NEARLY * scenario.recorded_s)[code]
    if scenario.segment_s:
        latest_s = until_s / _NEARLY - scenario.segment_s
        begin_s = rng.uniform(scenario.settled_s, np.maximum(latest_s, scenario.settled_s))
        begin_s = np.where(latest_s >= scenario.settled_s, begin_s, np.inf)[code]
        keep &= (offset_s >= begin_s) & (offset_s < begin_s + scenario.segment_s)
    if scenario.interval_s:
        phase_s = rng.uniform(0.0, scenario.interval_s, count)
        keep &= _first_of_each_interval(code, offset_s - phase_s[code], scenario.interval_s)
    lost = [] if scenario.columns is None else [name for name in FEATURE_METRICS if name not in scenario.columns]
    samples = dataset.samples.drop(columns=lost, errors="ignore")
    if scenario.kubelet:
        samples = at_kubelet_cadence(samples, int(rng.integers(2**31)))
        return samples[keep[samples.index]]
    return samples[keep]


def _first_of_each_interval(code: IntArray, offset_s: FloatArray, interval_s: float) -> BoolArray:
    """Whether a row is its container's first in an interval; those before the first interval are in none (n_rows,)."""
    interval = np.floor(offset_s / interval_s)
    order = np.lexsort((offset_s, code))
    new = np.ones(order.size, dtype=bool)
    new[1:] = (np.diff(code[order]) != 0) | (np.diff(interval[order]) != 0)
    first = np.zeros(order.size, dtype=bool)
    first[order] = new
    return first & (interval >= 0)


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
