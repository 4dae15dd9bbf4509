"""Identifying all containers of a data set, which may be larger than memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from podlab.data.store import Dataset
from podlab.data.store.containers import Share, over_shares, read_shares, stream_containers
from podlab.errors import InputError
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction


@dataclass(frozen=True)
class Identified:
    """Predictions, and what they rest on."""

    answers: list[Prediction]  # in order of the containers' appearance
    samples: pd.DataFrame | None = None  # all rows of the containers, if they were asked for
    #: The metrics that the whole data set has any value of; None where the samples are the whole.
    metrics: frozenset[str] | None = None


def shares_for(identifier: Identifier, dataset: Dataset) -> tuple[list[Share], frozenset[str]]:
    """Divide a data set into shares, and name the metrics that it has any value of.

    Raises InputError if none of them is a column of the model, or a partition has no usable footer.
    """
    shares, metrics = read_shares(dataset)
    if not metrics & set(identifier.columns):
        what = "the samples have none of the model's columns"
        raise InputError(what, where=identifier.model, hint=f"it was trained on {', '.join(identifier.columns)}")
    return shares, metrics


def identify_dataset(
    identifier: Identifier, dataset: Dataset, *, horizon_s: float | None = None, whole: bool = False
) -> Iterator[Identified]:
    """Identify the containers of a data set share by share.

    The predictions are those that :meth:`Identifier.identify` makes of all rows at once, except for a container whose
    values all lie between its first and last seconds, which no model looks at: it counts as one without a value. Raises
    InputError if a partition is not what its manifest says, or the data set has none of the model's columns.

    Parameters
    ----------
    identifier : Identifier
        The model.
    dataset : Dataset
        The data set.
    horizon_s : float, optional
        As for :meth:`Identifier.identify`.
    whole : bool
        Read every row of a container (with ``horizon_s``, those within it), not only those that the model looks at,
        and give them.

    Yields
    ------
    Identified
        Some containers; clusters one after another, and in each those first that end in earlier partitions.
    """
    shares, metrics = shares_for(identifier, dataset)
    work = partial(_identify, identifier=identifier, metrics=metrics, horizon_s=horizon_s, whole=whole)
    yield from over_shares(dataset, shares, work)


def _identify(
    dataset: Dataset,
    share: Share,
    *,
    identifier: Identifier,
    metrics: frozenset[str],
    horizon_s: float | None,
    whole: bool,
) -> Iterator[Identified]:
    """Identify the containers of a share."""
    # With a horizon no row after it is needed, whether rows are wanted or not.
    head_s, tail_s = (math.inf, None) if whole and horizon_s is None else identifier.reach(horizon_s)
    for batch in stream_containers(dataset, share, metrics=identifier.columns, head_s=head_s, tail_s=tail_s):
        answers = identifier.identify(
            batch.samples,
            horizon_s=horizon_s,
            metrics=metrics,
            left_out=batch.left_out if horizon_s is None else None,  # a horizon's rows are all there
        )
        yield Identified(answers, batch.samples if whole else None, metrics)
