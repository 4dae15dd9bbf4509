"""Which containers and metric columns of a samples table can be learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.features.windows import Rows, read_rows


def read_labelled(
    samples: pd.DataFrame, services: Sequence[str] | None, group: str
) -> tuple[Rows, tuple[str, ...], NDArray[np.intp], NDArray[np.str_]]:
    """Keep the labelled containers; give their rows, the services, and each container's service and group.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    services : sequence of str, optional
        Keep only these; by default all that are there.
    group : str
        Column that tells independent deployments apart.

    Returns
    -------
    tuple of (Rows, tuple of str, array of int (n_containers,), array of str (n_containers,))
        Services are numbered by their place in the second.

    Raises
    ------
    InputError
        If labels or groups are missing, a service is not there, or there are not two services.
    """
    if "service" not in samples or samples["service"].isna().all():
        raise InputError(
            "no container is labelled", where="column 'service'", hint="label the recording before training on it"
        )
    there = sorted(samples["service"].dropna().unique())
    absent = [service for service in services or () if service not in there]
    if absent:
        raise InputError(
            f"service {absent[0]!r} is not in the samples", where="services", hint=f"there are {', '.join(there)}"
        )
    names = tuple(sorted(set(services))) if services else tuple(there)
    if len(names) < 2:
        raise InputError(
            f"one service only ({names[0]})", where="column 'service'", hint="give recordings of at least two services"
        )
    if group not in samples or samples.loc[samples["service"].isin(names), group].isna().any():
        raise InputError(
            "is missing, or missing in labelled rows", where=f"column {group!r}",
            hint="name a column that tells independent deployments apart with --group",
        )  # fmt: skip
    rows = read_rows(samples[samples["service"].isin(names)])
    if group not in rows.containers:
        raise InputError(
            "tells samples apart, not deployments", where=f"column {group!r}",
            hint=f"name another with --group, of {', '.join(map(str, rows.containers))}",
        )  # fmt: skip
    if not (rows.offset_s >= 0).any():
        raise InputError(
            "every sample lies before its container's start", where="column 'started_at'",
            hint="give time and started_at in the same time zone",
        )  # fmt: skip
    truth = rows.containers["service"].map({name: n for n, name in enumerate(names)}).to_numpy(dtype=np.intp)
    return rows, names, truth, rows.containers[group].astype(str).to_numpy(dtype=str)


def choose_columns(rows: Rows, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Name the metric columns to learn from, of those wanted (by default all) the ones that have a value.

    Raises
    ------
    InputError
        If none has.
    """
    chosen = [name for name in FEATURE_METRICS if columns is None or name in columns]
    used = tuple(name for name in chosen if name in rows.metrics and rows.valid[name].any())
    if not used:
        raise InputError(
            "no metric to learn from has a value", where="columns", hint=f"there are {', '.join(rows.metrics)}"
        )
    return used
