"""More containers than were recorded, and what work on them costs: what the notebook about scale measures with."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from math import floor, log10
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.detect import DetectorLibrary
from podlab.detect.scoring import score_rows
from podlab.features.rows import read_rows

#: When the first day of copies begins.
START: Final = pd.Timestamp("2026-01-01T00:00:00Z")
#: Standard deviation of the logarithm of the factor by which all values of a copied container differ.
_SPREAD: Final = 0.05
#: One time step is too short to be measured alone.
_STEPS: Final = 10


def copy_containers(recording: pd.DataFrame, number: int, day: int) -> pd.DataFrame:
    """Copy all of a recording's containers: other pods, other starts within one day, other values.

    Parameters
    ----------
    recording : DataFrame
        A checked samples table.
    number : int
        Of the copy; part of the pods' names, and the seed.
    day : int
        Counted from :data:`START`.

    Returns
    -------
    DataFrame
        With as many rows as the recording.
    """
    rng = np.random.default_rng([7, number])
    by_pod = recording.groupby("pod", sort=False)
    code = by_pod.ngroup().to_numpy()
    start = START + pd.to_timedelta(day * 86_400 + rng.uniform(0, 86_400, code.max() + 1).round(3), unit="s")
    age = recording["time"] - recording["started_at"].fillna(by_pod["time"].transform("min"))
    factor = rng.lognormal(0, _SPREAD, (code.max() + 1, len(ORIGINAL_METRICS)))
    values = {}
    for column, name in enumerate(ORIGINAL_METRICS):
        if name not in recording:
            continue
        scaled = recording[name].to_numpy(np.float64, na_value=np.nan) * factor[code, column]
        counter = CATALOGUE[name].kind == "counter"
        values[name] = pd.array(np.floor(scaled), dtype="Int64") if counter else scaled
    began = pd.Series(start[code], index=recording.index)
    names = recording["pod"] + f"-{number}"
    return recording.assign(time=began + age, started_at=began, pod=names, pod_uid=names, **values)


def many_containers(recording: pd.DataFrame, number: int) -> pd.DataFrame:
    """Make a samples table of so many containers out of a recording, one copy of it a day."""
    each = recording.groupby(list(INSTANCE_KEY), dropna=False).ngroups
    copies = [copy_containers(recording, copy, copy) for copy in range(-(-number // each))]
    return check_samples(first_containers(pd.concat(copies, ignore_index=True), number), where="copies")


def first_containers(samples: pd.DataFrame, number: int) -> pd.DataFrame:
    """Keep so many containers of a table."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    return samples[code < number].reset_index(drop=True)


def first_seconds(samples: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Keep the first seconds of each container."""
    begin = samples["started_at"].fillna(samples.groupby("pod")["time"].transform("min"))
    return samples[samples["time"] < begin + pd.Timedelta(seconds=seconds)].reset_index(drop=True)


def first_deployments(samples: pd.DataFrame, number: int) -> pd.DataFrame:
    """Keep so many labelled deployments of each service."""
    labelled = samples[samples["service"].notna()]
    turn = labelled.groupby("service")["deployment"].transform(lambda names: names.factorize()[0])
    return labelled[turn < number].reset_index(drop=True)


def sizes_up_to(most: int, *, steps: int = 5, least: int = 2) -> list[int]:
    """Give sizes in even ratios, from a thirtieth of the most.

    Examples
    --------
    >>> sizes_up_to(3000, steps=3)
    [100, 548, 3000]
    """
    return [int(size) for size in np.unique(np.geomspace(max(least, most / 30), most, steps).round())]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Measure the processor time that a function takes in this process."""
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


def score_step_cpu_s(samples: pd.DataFrame, library: DetectorLibrary) -> float:
    """Measure the processor time of scoring one sample of each container by its service's detector, all at once."""
    names = list(library.detectors)
    scored = score_rows(read_rows(samples), library, lambda container, _: [(names[container % len(names)], 1.0)])
    next(scored)  # allocates, and chooses the detectors
    before_s = time.process_time()
    steps = sum(1 for _ in islice(scored, _STEPS))
    return (time.process_time() - before_s) / max(steps, 1)


def two_digits(value: float) -> str:
    """Write a number with two significant digits and without an exponent.

    Examples
    --------
    >>> two_digits(30_412.0), two_digits(6.66), two_digits(0.0123), two_digits(0.0)
    ('30,000', '6.7', '0.012', '0')
    """
    if value == 0:
        return "0"
    digits = 1 - floor(log10(abs(value)))
    return f"{round(value, digits):,.{max(digits, 0)}f}"
