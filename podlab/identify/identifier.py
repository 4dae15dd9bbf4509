"""The fitted model: which experts look at which container, and what their votes add up to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE
from podlab.errors import InputError
from podlab.features.windows import Rows, cut, read_rows
from podlab.identify.answer import Answer, put_into_words
from podlab.identify.calibration import Calibration
from podlab.identify.looks import MAX_STRETCHES, Look
from podlab.identify.verdict import Expert, Verdict

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Identifier:
    """Tells which service runs in a container.

    Attributes
    ----------
    services : tuple of str
        What it can answer, in the order of the experts' votes.
    columns : tuple of str
        The metric columns that it learned from.
    features : tuple of str
        Names of the features, in the order in which the forests count them.
    looks : tuple of Look
        What the experts look at, births before mid-life, short before long.
    experts : mapping of str to Expert
        By the look's name.
    calibrations : mapping of tuple of str to tuple of Calibration
        By the names of the looks whose votes are added; one for each :class:`Condition`.
    similarity : array of float64 (n_services, n_services)
        How alike services are, symmetric, 1 with itself: :func:`podlab.identify.similarity.similarity_of`.
    interval_s : float
        The training's typical sampling interval.
    seed : int
        That all chance in the training came from.
    scores : dict
        What held-out deployments gave during the training.
    model : str
        ``name@digest``, once saved.
    """

    services: tuple[str, ...]
    columns: tuple[str, ...]
    features: tuple[str, ...]
    looks: tuple[Look, ...]
    experts: Mapping[str, Expert]
    calibrations: Mapping[tuple[str, ...], tuple[Calibration, ...]]
    similarity: FloatArray
    interval_s: float
    seed: int
    scores: dict[str, object] = field(default_factory=dict)
    model: str = "unsaved@"

    def identify(
        self,
        samples: pd.DataFrame,
        *,
        horizon_s: float | None = None,
        metrics: Collection[str] | None = None,
        left_out: NDArray[np.int64] | None = None,
    ) -> list[Answer]:
        """Answer for every container instance of a samples table.

        Parameters
        ----------
        samples : DataFrame
            A checked samples table, with whatever columns and sampling interval; other columns than the model's
            are not looked at, and of the model's some may be missing.
        horizon_s : float, optional
            Use only rows in [start, start + horizon); by default all.
        metrics : collection of str, optional
            The metric columns of which there is any value, where these samples are a part of more.
        left_out : array of int64 (n_containers,), optional
            How many rows of each container, in order of appearance, are not among the samples: see :meth:`reach`.

        Returns
        -------
        list of Answer
            In the order of the containers' appearance. A container without a value of any of the model's columns
            gets no service, no candidates, confidence 0 and novelty 1.

        Raises
        ------
        InputError
            If the horizon is not positive, or the table has none of the model's columns.
        """
        if horizon_s is not None and not horizon_s > 0:
            raise InputError("the horizon must be longer than 0", where="horizon")
        there = samples.columns if metrics is None else metrics
        if not any(column in there for column in self.columns):
            raise InputError(
                "the samples have none of the model's columns",
                where=self.model,
                hint=f"it was trained on {', '.join(self.columns)}",
            )
        rows = read_rows(samples)
        if horizon_s is not None:
            rows = rows.take((rows.offset_s >= 0) & (rows.offset_s < horizon_s))
        verdict = Verdict(self, rows, metrics=metrics, left_out=left_out)
        verdict.collect()
        return put_into_words(
            rows.containers,
            verdict.sighting.observed_s,
            self.services,
            verdict.probability,
            verdict.proximity,
            verdict.novelty,
            shortlist=verdict.shortlist,
            promise=verdict.promise,
            usable=usable(rows, self.columns, horizon_s),
            columns=columns_shown(rows, self.columns),
            model=self.model,
        )

    def reach(self, horizon_s: float | None = None) -> tuple[float, float]:
        """Tell how many of a container's first and of its last seconds :meth:`identify` looks at."""
        if horizon_s is not None:
            return horizon_s, 0.0
        births_s, stretches_s = (
            max((look.length_s for look in self.looks if look.kind == kind), default=0.0)
            for kind in ("birth", "midlife")
        )
        return births_s, MAX_STRETCHES * stretches_s


def usable(rows: Rows, columns: Sequence[str], horizon_s: float | None) -> BoolArray:
    """Tell whether a container shows a value of any series made from these columns (n_containers,).

    The same as :attr:`podlab.features.windows.Windows.usable` of rows inside the horizon, mostly without cutting
    windows.
    """
    shown = np.zeros(len(rows.containers), dtype=bool)
    for name in rows.metrics:
        if name in columns and CATALOGUE[name].kind == "gauge":
            shown[rows.code[rows.valid[name]]] = True  # a level is there from its first value on
    rest = ~shown
    if rest.any():
        shown[rest] = cut(rows.only(rest), horizon_s=horizon_s, columns=columns).usable
    return shown


def columns_shown(rows: Rows, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Name those of the columns of which each container shows a value (n_containers,)."""
    there = [name for name in columns if name in rows.valid]
    shown = np.zeros((len(rows.containers), len(there)), dtype=bool)
    begins = np.flatnonzero(np.diff(rows.code, prepend=-1))
    for number, name in enumerate(there):
        if begins.size:
            shown[rows.code[begins], number] = np.logical_or.reduceat(rows.valid[name], begins)
    # Mostly all show the same ones, and share one tuple.
    told: dict[bytes, tuple[str, ...]] = {}
    for own in shown:
        if (key := own.tobytes()) not in told:
            told[key] = tuple(compress(there, own.tolist()))
    return [told[own.tobytes()] for own in shown]
