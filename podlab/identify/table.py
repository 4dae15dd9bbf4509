"""One feature row per container instance, with who it is and its labels beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.features.features import extract
from podlab.features.windows import Rows, cut


@dataclass(frozen=True)
class FeatureTable:
    """A feature matrix and whose rows they are.

    Attributes
    ----------
    X : array of float32 (n_containers, n_features)
        NaN where a container has no value of a series.
    names : tuple of str
        One per feature.
    containers : DataFrame
        One line per row of ``X``: identity, labels where the samples have them, ``seconds_observed`` and ``usable``
        (whether any feature has a value).
    """

    X: NDArray[np.float32]
    names: tuple[str, ...]
    containers: pd.DataFrame


def table(samples: pd.DataFrame | Rows, horizon_s: float | None, columns: Sequence[str] | None = None) -> FeatureTable:
    """Compute the features of every container's first seconds.

    Parameters
    ----------
    samples : DataFrame or Rows
        A checked samples table, or what :func:`podlab.features.windows.read_rows` made of it.
    horizon_s : float or None
        Only rows in [start, start + horizon) count; None: all rows.
    columns : sequence of str, optional
        Metric columns to use; by default all that the table has.

    Returns
    -------
    FeatureTable
        One row for every container instance of ``samples``, in order of appearance.
    """
    windows = cut(samples, horizon_s=horizon_s, columns=columns)
    matrix, names = extract(windows)
    containers = windows.containers.assign(seconds_observed=windows.sighting.observed_s, usable=windows.usable)
    return FeatureTable(matrix, names, containers)
