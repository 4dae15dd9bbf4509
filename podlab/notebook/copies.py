"""More containers than were recorded: copies with other pods, other starts and other values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS
from podlab.data.samples import INSTANCE_KEY, check_samples

#: When the first day of copies begins.
START = pd.Timestamp("2026-01-01T00:00:00Z")
#: How far a copy's values are off, as the spread of their logarithms; all of a container's by the same factor.
_STRAY = 0.05


def copy_containers(recording: pd.DataFrame, number: int, day: int) -> pd.DataFrame:
    """Copy all of a recording's containers: other pods, other starts within one day, other values.

    Parameters
    ----------
    recording : DataFrame
        A checked samples table.
    number : int
        Of the copy; stands in the pods' names, and draws what is drawn.
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
    factor = rng.lognormal(0, _STRAY, (code.max() + 1, len(FEATURE_METRICS)))
    values = {}
    for column, name in enumerate(FEATURE_METRICS):
        if name not in recording:
            continue
        scaled = recording[name].to_numpy(np.float64, na_value=np.nan) * factor[code, column]
        counter = CATALOGUE[name].kind == "counter"
        values[name] = pd.array(np.floor(scaled), dtype="Int64") if counter else scaled
    began = pd.Series(start[code], index=recording.index)
    names = recording["pod"] + f"-{number}"
    return recording.assign(time=began + age, started_at=began, pod=names, pod_uid=names, **values)


def many_containers(recording: pd.DataFrame, number: int) -> pd.DataFrame:
    """Make a table of so many containers out of a recording, one copy of it a day.

    Parameters
    ----------
    recording : DataFrame
        A checked samples table.
    number : int
        How many containers.

    Returns
    -------
    DataFrame
        A checked samples table.
    """
    each = recording.groupby(list(INSTANCE_KEY), dropna=False).ngroups
    copies = [copy_containers(recording, copy, copy) for copy in range(-(-number // each))]
    return check_samples(first_containers(pd.concat(copies, ignore_index=True), number), where="copies")


def first_containers(samples: pd.DataFrame, number: int) -> pd.DataFrame:
    """Keep so many containers of a table."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    return samples[code < number].reset_index(drop=True)


def beginnings(samples: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Keep the first seconds of each container."""
    born = samples["started_at"].fillna(samples.groupby("pod")["time"].transform("min"))
    return samples[samples["time"] < born + pd.Timedelta(seconds=seconds)].reset_index(drop=True)
