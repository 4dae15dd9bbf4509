"""Identifying all containers of a data set, which may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from podlab.data.store import Dataset
from podlab.data.store.carry import Reach
from podlab.data.store.index import Index, read_index
from podlab.data.store.spread import over_containers
from podlab.data.store.stream import Section, stream
from podlab.errors import InputError
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction


@dataclass(frozen=True)
class Identified:
    """Predictions, and what they rest on.

    Attributes
    ----------
    answers : list of Prediction
        In order of the containers' appearance.
    samples : DataFrame or None
        All rows of the containers, if they were asked for.
    metrics : frozenset of str or None
        The metrics that the whole data set has any value of; None where the samples are the whole.
    """

    answers: list[Prediction]
    samples: pd.DataFrame | None = None
    metrics: frozenset[str] | None = None


def metrics_in(identifier: Identifier, indexes: list[Index]) -> frozenset[str]:
    """Name the metrics that a data set has any value of.

    Raises
    ------
    InputError
        If none of them is a column of the model.
    """
    metrics = frozenset[str]().union(*(index.metrics for index in indexes))
    if not metrics & set(identifier.columns):
        raise InputError(
            "the samples have none of the model's columns",
            where=identifier.model,
            hint=f"it was trained on {', '.join(identifier.columns)}",
        )
    return metrics


def identify_dataset(
    identifier: Identifier, dataset: Dataset, *, horizon_s: float | None = None, whole: bool = False
) -> Iterator[Identified]:
    """Identify each container as soon as its last row has been read.

    The predictions are those that :meth:`Identifier.identify` makes of all rows at once, except for a container whose
    values all lie between its first and last seconds, which no model looks at: it counts as one without a value.

    Parameters
    ----------
    identifier : Identifier
        The model.
    dataset : Dataset
        The data set.
    horizon_s : float, optional
        As for :meth:`Identifier.identify`.
    whole : bool
        Keep every row of a container (with ``horizon_s``, those within it) until it is complete, not only those that
        the model looks at, and give them.

    Yields
    ------
    Identified
        Some containers; clusters one after another, and in each in the order of their ends.

    Raises
    ------
    InputError
        If a partition is not what its manifest says, or the data set has none of the model's columns.
    """
    indexes = [read_index(dataset, cluster) for cluster in dataset.clusters]
    metrics = metrics_in(identifier, indexes)
    work = partial(_identify, identifier=identifier, metrics=metrics, horizon_s=horizon_s, whole=whole)
    yield from over_containers(dataset, indexes, work)


def _identify(
    dataset: Dataset,
    section: Section,
    *,
    identifier: Identifier,
    metrics: frozenset[str],
    horizon_s: float | None,
    whole: bool,
) -> Iterator[Identified]:
    """Identify the containers of a section."""
    # With a horizon no row after it is needed, whether rows are wanted or not.
    reach = Reach() if whole and horizon_s is None else Reach(*identifier.reach(horizon_s))
    for batch in stream(dataset, section, metrics=identifier.columns, reach=reach):
        answers = identifier.identify(
            batch.samples,
            horizon_s=horizon_s,
            metrics=metrics,
            left_out=batch.left_out if horizon_s is None else None,  # a horizon's rows are all within reach
        )
        yield Identified(answers, batch.samples if whole else None, metrics)
