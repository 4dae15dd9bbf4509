"""What a few labels of one's own are worth: a model adapted to them, beside its base and beside own labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.cross_validation import Model, cross_validate
from podlab.evaluation.dataset import LabelledSamples, read_dataset
from podlab.evaluation.splits import Split, unit_column
from podlab.identify import Identifier
from podlab.progress import Progress

#: What is compared: in :func:`compare_own_labels`, the column ``model``.
BASE, OWN, BOTH = "base model", "own labels alone", "base and own labels"
#: How many labelled deployments of each service, besides none.
LABELS: Final = (1, 2, 5)


@dataclass
class AdaptedModel:
    """A fitted identifier that takes part in :func:`podlab.evaluation.cross_validate`: it learns by being adapted.

    Parameters
    ----------
    base : Identifier
        Stays as it is.
    learns : bool
        False: it predicts without having learned anything.
    group : str
        Column with the independent deployments.
    """

    base: Identifier
    learns: bool = True
    group: str = "deployment"
    adapted_: Identifier = field(init=False, repr=False)

    def fit(self, samples: pd.DataFrame, /) -> Self:
        """Adapt the identifier of the samples' columns; the others would not be asked."""
        there = [name for name in FEATURE_METRICS if name in samples and samples[name].notna().any()]
        own = self.base.for_columns(there)
        self.adapted_ = own.adapt(samples, group=self.group) if self.learns else own
        return self

    def predict(self, samples: pd.DataFrame, /, *, horizon_s: float | None = None) -> pd.DataFrame:
        """See :meth:`podlab.evaluation.cross_validation.Model.predict`."""
        return self.adapted_.predict(samples, horizon_s=horizon_s)


def compare_own_labels(
    base: Identifier, samples: pd.DataFrame, labels: Sequence[int] = LABELS, *, horizons_s: Sequence[float] = (60.0,),
    draws: int = 5, group: str = "deployment", seed: int = 0, jobs: int | None = None,
    cache: Path | str | None = None, progress: Progress | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Label some deployments of each service, adapt a model to them, and let it predict the others.

    Raises InputError if no service has more deployments than are labelled at most.

    Parameters
    ----------
    base : Identifier
        Trained elsewhere.
    samples : DataFrame
        A checked samples table of one's own, all labelled; the labels of some are used.
    labels : sequence of int
        How many deployments of each service are labelled.
    horizons_s : sequence of float
        Seconds since the start that are predicted from.
    draws : int
        How often they are drawn. In one draw all numbers of labels are tested on the same deployments.
    group : str
        Column with the deployments.
    seed, jobs, cache, progress
        As for :func:`podlab.evaluation.cross_validate`.

    Returns
    -------
    DataFrame
        As :func:`podlab.evaluation.cross_validate` gives it, with the column ``labels``; ``model`` is :data:`BASE` (0
        labels), :data:`OWN` or :data:`BOTH`.
    """
    if not labels or min(labels) < 1 or draws < 1:
        raise InputError("give at least one number of labels, and one draw", where="own labels")
    dataset = read_dataset(samples)
    splits = {count: [_draw(dataset, count, max(labels), group, [seed, draw]) for draw in range(draws)]
              for count in sorted(set(labels))}  # fmt: skip
    options: dict[str, Any] = {"seed": seed, "jobs": jobs, "cache": cache, "progress": progress}
    fresh = Identifier(group=group, horizons_s=[each.length_s for each in base.windows if each.kind == "startup"])
    models: dict[str, Identifier | Model] = {OWN: fresh, BOTH: AdaptedModel(base, group=group)}
    before = {BASE: AdaptedModel(base, learns=False)}
    found = [cross_validate(dataset, splits[min(labels)], horizons_s, before, **options).assign(labels=0)]
    for count, own in splits.items():
        told = cross_validate(dataset, own, horizons_s, models, what=f"{count} labels", **options)
        found.append(told.assign(labels=count))
    return pd.concat(found, ignore_index=True)


def _draw(dataset: LabelledSamples, labelled: int, most: int, group: str, seed: list[int]) -> Split:
    """Label so many deployments of each service; test those that are not labelled even if most are."""
    unit = unit_column(dataset.containers, group)
    first = dataset.containers[[unit, "service"]].drop_duplicates(unit)
    order = first.iloc[np.random.default_rng(seed).permutation(len(first))]
    place = dataset.containers[unit].map(dict(zip(order[unit], order.groupby("service").cumcount(), strict=True)))
    train, test = (np.flatnonzero(chosen) for chosen in (place < labelled, place >= most))
    if not test.size:
        raise InputError(f"no service has more than {most} deployments", where="own labels", hint="label fewer")
    return Split(train, test)
