"""Adapting a fitted identifier to a few labelled containers of one's own, without the recordings it was trained on.

Own containers are counted in the leaves of the base's trees that they fall into, so that what is unlike elsewhere moves
the answer (after Segev et al. 2017, "Learn on Source, Refine on Target", IEEE TPAMI 39:1811-1824), weighed so that
services are equal, as in the training; a service that the base does not know has its own containers only. Trees grown
on own containers alone may join the product of experts. How much own containers count is what tells own deployments
held out best: little where the base is good, most where it was made for something else. The result is an identifier
like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.features.features import feature_names
from podlab.features.rows import observation_spans
from podlab.features.windows import series_of
from podlab.identify.calibration import FEWEST_DEPLOYMENTS, Calibration, Condition, ConformalQuantiles
from podlab.identify.classifier import ForestModel, TrainingSet, service_similarity
from podlab.identify.forest import Forest, Members, distinct, fit_subspace_forest, join_forests
from podlab.identify.novelty import OodScore
from podlab.identify.observation import ObservationWindow
from podlab.identify.selection import OPTIONAL_SERIES, window_to_compare
from podlab.identify.training import (
    HeldOut,
    assign_folds,
    calibrate_windows,
    hold_out,
    join_folds,
    select_labelled,
    training_set,
)
from podlab.progress import Progress

if TYPE_CHECKING:
    from podlab.identify.identifier import Identifier

#: What an own container counts in a leaf, next to one of the base's, times how many there are of a service: one alone
#: misleads more often than it helps where the base is good.
_LEAST_WEIGHT = 0.3
#: More than that, and trees grown on own containers alone, where that tells more held-out ones right.
_STRONGER: tuple[tuple[float, Members | None], ...] = (
    (1.0, None), (3.0, None), (3.0, "one"), (10.0, "subspaces"),
)  # fmt: skip
#: All own containers of a service that the base does not know count as so many times the base's of one service.
_WEIGHT_OF_NEW = 3.0
_OWN_TREES = 60


def adapt(
    base: Identifier, samples: pd.DataFrame, *, services: Sequence[str] | None, group: str, seed: int,
    progress: Progress | None = None,
) -> list[tuple[str, dict[str, Any]]]:  # fmt: skip
    """Compute the attributes of an adapted identifier; :meth:`Identifier.adapt` explains the parameters.

    Returns
    -------
    list of tuple of (str, dict)
        First those of the identifier itself, then by name of the set those of its reduced ones.
    """
    if not all(isinstance(each, ForestModel) for each in base.horizon_models.values()):
        what = "only models of podlab's own forest can be adapted"
        raise InputError(what, where=base.model, hint="fit without a base")
    if not any(name in samples and samples[name].notna().any() for name in base.columns):
        what = "the samples have none of the model's columns"
        raise InputError(what, where=base.model, hint=f"it was trained on {', '.join(base.columns)}")
    rows, own, number, groups = select_labelled(samples, services, group, base.columns, fewest=1)
    spans = observation_spans(rows)
    every = tuple(sorted({*base.services, *own}))
    place = np.array([every.index(name) for name in base.services])
    truth = np.array([every.index(name) for name in own])[number]
    folds = assign_folds(groups, truth, seed)
    parts = {"": base, **base.reduced}
    total, done = sum(len(part.windows) for part in parts.values()), 0
    metrics = [name for name in rows.metrics if rows.valid[name].any()]

    def make_data(part: Identifier, window: ObservationWindow) -> TrainingSet:
        data = training_set(rows, rows, spans, window, part.columns, seed)
        names = feature_names(series_of(part.columns))
        return replace(data, X=data.X[:, [names.index(each) for each in part.features]], names=part.features)

    def fit_to(model: Any, weight: float, grown: Members | None) -> Callable[[TrainingSet], ForestModel]:
        how: dict[str, Any] = {"services": len(every), "weight": weight, "grown": grown, "seed": seed}
        return lambda data: _adapt_model(model, data, truth, place, **how)

    def predict_held_out(data: TrainingSet, fit: Callable[[TrainingSet], ForestModel]) -> HeldOut:
        known = {"services": len(every), "known": place.tolist()}
        return join_folds([hold_out(data, truth, folds, fold, fit, **known) for fold in np.unique(folds)], folds)

    suited, right = base.for_columns(metrics), []
    for window in (window_to_compare(suited.windows), *suited.windows):
        if len((data := make_data(suited, window)).X):
            break
    ways = ((_LEAST_WEIGHT * len(truth) / len(own), None), *_STRONGER)
    for way in ways:
        found = predict_held_out(data, fit_to(suited.horizon_models[window.name], *way))
        right.append((found.logits[Condition.RECORDED].argmax(axis=1) == truth).sum())
    way = ways[int(np.argmax(right))]
    fitted = []
    for name, part in parts.items():
        models, held_out = {}, {}
        for window in part.windows:
            if progress is not None:
                progress(done, total, f"{window.name} {name}".rstrip())
            data, fit = make_data(part, window), fit_to(part.horizon_models[window.name], *way)
            models[window.name], held_out[window.name] = fit(data), predict_held_out(data, fit)
            done += 1
        lacking = set(series_of(part.columns)) - set(series_of(tuple(metrics))) - OPTIONAL_SERIES
        calibrations, scores = calibrate_windows(part.windows, held_out, truth, groups)
        near = service_similarity([each.proximity[Condition.RECORDED] for each in held_out.values()], truth, len(every))
        near[np.ix_(place, place)] = part.similarity
        attributes = {
            "services": every,
            "columns": part.columns,
            "features": part.features,
            "windows": part.windows,
            "horizon_models": models,
            "calibrations": {
                names: _calibrations(before, calibrations[names], place, len(every), lacking=bool(lacking))
                for names, before in part.calibrations.items()
            },
            "similarity": near,
            "interval_s": max(part.interval_s, spans.typical_interval_s),
            "scores": {
                "containers": len(truth),
                "groups": len(set(groups)),
                "own_weight": way[0],
                "own_trees": way[1],
                **scores,
            },
        }
        fitted.append((name, attributes))
    return fitted


def _adapt_model(
    base: ForestModel, data: TrainingSet, truth: NDArray[np.intp], place: NDArray[np.intp], *, services: int,
    weight: float, grown: Members | None, seed: int,
) -> ForestModel:  # fmt: skip
    """Adapt the model of one observation window; where own containers show nothing in it, it only knows of them."""
    data = data.only(data.weight > 0)
    y = truth[data.owner]
    wide = np.zeros((len(base.forest.distributions), services))
    wide[:, place] = base.forest.distributions
    forest, near = replace(base.forest, distributions=wide), base.neighbours
    recorded = np.flatnonzero(data.copy == Condition.RECORDED)
    leaves, known = forest.leaves(data.X), base.leaves
    before = np.bincount(place[near.service], minlength=services)
    own = np.bincount(y[recorded], minlength=services)
    if len(y):
        each = np.where(before > 0, weight, _WEIGHT_OF_NEW) * before[place].mean() / (before + own).clip(1)
        forest = _count_in_leaves(forest, known, leaves, y, data.weight * each[y])
    if grown is not None and np.unique(y).size >= 2:
        trees = fit_subspace_forest(
            data.X, y, data.weight, data.names,
            services=services, trees=_OWN_TREES, seed=seed, members=grown, jobs=1,
        )  # fmt: skip
        # The base's containers are in no leaf of these trees: what they would show there is not known.
        known = np.hstack([known, np.tile(trees.roots + forest.inner.size, (len(known), 1))]).astype(np.int32)
        forest = join_forests([forest, trees])
        leaves = forest.leaves(data.X)
    service = np.concatenate([place[near.service], y[recorded]]).astype(np.int16)
    order = np.argsort(service, kind="stable")
    points = np.concatenate([near.points, data.X[recorded][:, near.feature] / near.scale])
    neighbours = replace(near, points=points[order], service=service[order])
    return ForestModel(neighbours, forest, np.concatenate([known, leaves[recorded]])[order])


def _count_in_leaves(
    forest: Forest,
    known: NDArray[np.int32],
    leaves: NDArray[np.int32],
    y: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> Forest:
    """Count containers (n,) in the leaves (n, n_trees) they fall into, beside those (n_known, n_trees) of before."""
    before = np.maximum(np.bincount(known.reshape(-1), minlength=forest.inner.size), 1)
    leaf, number = np.unique(leaves, return_inverse=True)
    added = np.zeros((leaf.size, forest.distributions.shape[1]))
    np.add.at(added, (number.reshape(-1), np.repeat(y, leaves.shape[1])), np.repeat(weight, leaves.shape[1]))
    added += forest.distributions[forest.child[2 * leaf + 1]] * before[leaf, None]
    distributions, row = distinct(np.concatenate([forest.distributions, added / added.sum(axis=1, keepdims=True)]))
    row = row.astype(np.int32)
    child = forest.child.copy()
    outer = np.flatnonzero(~forest.inner)
    child[2 * outer + 1] = row[child[2 * outer + 1]]
    child[2 * leaf + 1] = row[len(forest.distributions) :]
    return replace(forest, child=child, distributions=distributions)


def _calibrations(
    before: tuple[Calibration, ...],
    own: tuple[Calibration, ...],
    place: NDArray[np.intp],
    services: int,
    *,
    lacking: bool,
) -> tuple[Calibration, ...]:
    """Calibrate each condition on own containers held out, where there are enough; else as the base was.

    Own samples that lack columns of the model (``lacking``) show what it does then, not with all of them.
    """
    found = [_widen(each, place, services) for each in before]
    first = int(Condition.INCOMPLETE) if lacking else 0
    for condition, each in zip(range(first, len(found)), own, strict=False):
        if each.ood_score.scores.size >= FEWEST_DEPLOYMENTS:
            found[condition] = each
    return tuple(found)


def _widen(before: Calibration, place: NDArray[np.intp], services: int) -> Calibration:
    """Let a calibration know of new services: in the middle of the others, with nothing promised."""
    medians = np.tile(np.median(before.ood_score.medians, axis=1)[:, None], (1, services))
    medians[:, place] = before.ood_score.medians
    lowest = np.full(services, before.quantiles.lowest.min())
    lowest[place] = before.quantiles.lowest
    basis = np.zeros(services, dtype=np.int8)
    basis[place] = before.quantiles.basis
    ood_score = OodScore(medians, before.ood_score.deviations, before.ood_score.scores)
    return Calibration(before.temperature, ood_score, ConformalQuantiles(lowest, basis), before.claim_score)
