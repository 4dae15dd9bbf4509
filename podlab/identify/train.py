"""Fitting the experts and what their votes mean, on deployments held out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.features.features import extract, feature_names
from podlab.features.windows import Rows, Sighting, cut, series_of, sight
from podlab.identify.augment import draw_intervals_s, draw_machines, drop_columns, move_to_machines, thin
from podlab.identify.calibration import Calibration, Condition, add_votes, calibrate, log_votes
from podlab.identify.grow import grow_forest
from podlab.identify.identifier import Identifier
from podlab.identify.labelled import choose_columns, read_labelled
from podlab.identify.looks import Look, choose_looks, stretch_begins
from podlab.identify.proximity import service_proximity
from podlab.identify.similarity import similarity_of
from podlab.identify.space import lay_out
from podlab.identify.verdict import Expert
from podlab.progress import Progress

log = logging.getLogger(__name__)

_TREES = 200
_TREES_HELD_OUT = 60
_FOLDS = 5
#: A thinned copy keeps at least this many rows of a look.
_FEWEST_THINNED = 2
#: A copy weighs next to nothing beside what was recorded: that chooses the splits, copies only refine the leaves and
#: teach where missing values go. With half of the weight they cost 3 points where nothing is missing; without them
#: 20 points are lost where file systems are.
_COPY_WEIGHT = 1e-6
#: The copy on other machines must choose splits as well: at next to no weight trees ask for what only this machine
#: shows, and 11 points are lost on others. With this weight it is 6, and nothing where the machine is the same.
_MOVED_WEIGHT = 0.25
#: Its number beside those of the conditions: nobody can see from samples that they come from another machine.
_MOVED = len(Condition)
#: Training containers kept for proximity, at most.
_MOST_KNOWN = 2000


def fit(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    group: str = "deployment",
    horizons_s: Sequence[float] | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Identifier:
    """Train on labelled containers.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the column ``service``.
    services : sequence of str, optional
        Learn only these; by default all that are there. Unlabelled containers are left out.
    group : str
        Column whose values are held out as a whole: rows of one group never stand on both sides.
    horizons_s : sequence of float, optional
        Seconds since the start that get an expert, if half the containers show a sample by then; by default, and where
        none is left, chosen by what the samples can show.
    columns : sequence of str, optional
        Metric columns to learn from; by default all that are there.
    seed : int
        Same samples and seed, same model.
    jobs : int, optional
        Processes for the forests; by default all cores.
    progress : callable, optional
        Called with steps done, steps in all, and what is being done.

    Returns
    -------
    Identifier
        Calibrated on deployments held out.

    Raises
    ------
    InputError
        If labels or groups are missing, or there are not two services and two groups.
    """
    rows, names, truth, groups = read_labelled(samples, services, group)
    used = choose_columns(rows, columns)
    sighting = sight(rows)
    looks = choose_looks(sighting, horizons_s)
    folds = deal_folds(groups, truth, seed)
    if len(set(groups)) < 2:
        raise InputError(
            f"one {group} only, nothing can be held out", where=f"column {group!r}",
            hint="record at least two, or name another column with --group",
        )  # fmt: skip

    from joblib import delayed

    from podlab.parallel import is_spread, side_by_side

    # One after another here, where each forest has all cores; at once where other machines lend theirs.
    learn: dict[str, Any] = {"services": len(names), "seed": seed, "jobs": 1 if is_spread() else jobs}

    def work() -> Iterator[Any]:
        for look in looks:
            data = _training_set(rows, sighting, look, used, seed)
            for fold in np.unique(folds):
                yield delayed(_hold_out)(data, truth, folds, fold, **learn)
            yield delayed(_fit_expert)(data, np.ones(len(data.owner), dtype=bool), truth, **learn)

    each = len(np.unique(folds)) + 1
    if progress is not None:
        progress(0, each * len(looks), looks[0].name)
    done = side_by_side(work(), [look.name for look in looks for _ in range(each)], jobs=1, progress=progress)
    experts = {look.name: done[(number + 1) * each - 1] for number, look in enumerate(looks)}
    held_out = {
        look.name: _join_folds(done[number * each : (number + 1) * each - 1], folds)
        for number, look in enumerate(looks)
    }
    calibrations, scores = _calibrate(looks, held_out, truth, groups)
    near = [each.near[Condition.RECORDED] for each in held_out.values()]
    scores = {"containers": len(truth), "groups": len(set(groups)), **scores}
    return Identifier(
        services=names, columns=used, features=feature_names(series_of(used)), looks=looks, experts=experts,
        calibrations=calibrations, similarity=similarity_of(near, truth, len(names)),
        interval_s=sighting.typical_interval_s, seed=seed, scores=scores,
    )  # fmt: skip


def deal_folds(groups: NDArray[np.str_], truth: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Deal whole groups to folds so that each service's groups spread over them (n_containers,)."""
    names, number = np.unique(groups, return_inverse=True)
    main = np.array([np.bincount(truth[number == n]).argmax() for n in range(names.size)])
    order = np.lexsort((np.random.default_rng([seed, 1]).permutation(names.size), main))
    fold = np.empty(names.size, dtype=np.intp)
    fold[order] = np.arange(names.size) % min(_FOLDS, names.size)
    return fold[number]


@dataclass(frozen=True)
class _TrainingSet:
    """Windows of one look: as recorded first, then copies; who they are of, and their weights."""

    X: NDArray[np.float32]
    owner: NDArray[np.intp]
    copy: NDArray[np.intp]
    weight: NDArray[np.float64]
    names: tuple[str, ...]


def _training_set(rows: Rows, sighting: Sighting, look: Look, columns: Sequence[str], seed: int) -> _TrainingSet:
    rng = np.random.default_rng([seed, 2, round(look.length_s * 1000), look.kind == "birth"])
    intervals_s = draw_intervals_s(sighting.interval_s, look.length_s / _FEWEST_THINNED, rng)
    # A container moves to the same machine in all looks, so that what their experts say of it belongs together. Of the
    # other copies, half are moved.
    moving = np.random.default_rng([seed, 4])
    machine = draw_machines(len(rows.containers), moving)
    stays = moving.random(len(rows.containers)) < 0.5
    plain, moved, owner = _windows(rows, sighting, look, columns, machine)
    seldom, seldom_moved, seldom_owner = _windows(thin(rows, intervals_s, rng), sighting, look, columns, machine)
    mixed = np.where(stays[owner, None], plain, moved)
    seldom = np.where(stays[seldom_owner, None], seldom, seldom_moved)
    names = feature_names(series_of(columns))
    parts = {
        Condition.RECORDED: (plain, owner, 1.0),
        _MOVED: (moved, owner, _MOVED_WEIGHT),
        Condition.SELDOM: (seldom, seldom_owner, _COPY_WEIGHT),
        Condition.LACKING: (drop_columns(mixed, names, rng), owner, _COPY_WEIGHT),
        Condition.SELDOM_AND_LACKING: (drop_columns(seldom, names, rng), seldom_owner, _COPY_WEIGHT),
    }
    return _TrainingSet(
        X=np.concatenate([part for part, _, _ in parts.values()]),
        owner=np.concatenate([part for _, part, _ in parts.values()]),
        copy=np.concatenate([np.full(len(part), number) for number, (_, part, _) in parts.items()]),
        weight=np.concatenate([np.full(len(part), weight) for _, part, weight in parts.values()]),
        names=names,
    )


def _windows(
    rows: Rows, sighting: Sighting, look: Look, columns: Sequence[str], machine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Features of the look's windows, the same on other machines, and the containers they are of.

    Windows without a value are left out.
    """
    if look.kind == "birth":
        begins = [np.where(sighting.from_birth, 0.0, np.nan)]
    else:
        begins = stretch_begins(sighting, look.length_s) or [sighting.first_s]
    plain, moved, owners = [], [], []
    for begin_s in begins:
        windows = cut(rows, horizon_s=look.length_s, begin_s=np.nan_to_num(begin_s), columns=columns)
        usable = windows.usable & ~np.isnan(begin_s)
        elsewhere = replace(windows, cells=move_to_machines(windows.cells, windows.series, machine))
        plain.append(extract(windows)[0][usable])
        moved.append(extract(elsewhere)[0][usable])
        owners.append(np.flatnonzero(usable))
    return np.concatenate(plain), np.concatenate(moved), np.concatenate(owners)


def _fit_expert(
    data: _TrainingSet, chosen: NDArray[np.bool_], truth: NDArray[np.intp], *, services: int, seed: int,
    jobs: int | None, trees: int = _TREES,
) -> Expert:  # fmt: skip
    X, y = data.X[chosen], truth[data.owner[chosen]]
    forest = grow_forest(X, y, data.weight[chosen], data.names, services=services, trees=trees, seed=seed, jobs=jobs)
    recorded = data.copy[chosen] == Condition.RECORDED
    known = np.flatnonzero(recorded)
    known = known[np.sort(np.random.default_rng([seed, 3]).permutation(known.size)[:_MOST_KNOWN])]
    known = known[np.argsort(y[known], kind="stable")]
    # What differs between machines shall be no great distance.
    units = np.flatnonzero(recorded | (data.copy[chosen] == _MOVED))
    space = lay_out(X[known], y[known], forest.importance(X.shape[1]), usual=(X[units], y[units]))
    return Expert(forest, forest.leaves(X[known]), y[known].astype(np.int16), space)


@dataclass(frozen=True)
class _HeldOut:
    """Log-votes, proximities and closeness of windows whose deployment the forest had not seen.

    All are (n_conditions + 1, n_containers, n_services), the last as recorded but on other machines; NaN where a
    container has no window.
    """

    votes: NDArray[np.float64]
    near: NDArray[np.float64]
    closeness: NDArray[np.float64]


def _hold_out(
    data: _TrainingSet, truth: NDArray[np.intp], folds: NDArray[np.intp], fold: int, *, services: int, seed: int,
    jobs: int | None,
) -> _HeldOut:  # fmt: skip
    """Judge the windows of one fold by a forest that learned from the others."""
    votes, near, closeness = np.full((3, _MOVED + 1, truth.size, services), np.nan)
    inside = folds[data.owner] != fold
    learned = np.unique(truth[data.owner[inside]])
    if learned.size >= 2:
        expert = _fit_expert(data, inside, truth, services=services, seed=seed, jobs=jobs, trees=_TREES_HELD_OUT)
        for number in range(_MOVED + 1):
            # Where a container has several stretches, one stands for it: the last.
            test = ~inside & (data.copy == number) & np.isin(truth[data.owner], learned)
            leaves = expert.forest.leaves(data.X[test])
            votes[number, data.owner[test]] = log_votes(expert.forest.predict_from(leaves))
            near[number, data.owner[test]] = service_proximity(leaves, expert.leaves, expert.service, services)
            closeness[number, data.owner[test]] = expert.space.closeness_to_each(data.X[test], services)
    own = folds == fold
    return _HeldOut(votes[:, own], near[:, own], closeness[:, own])


def _join_folds(parts: Sequence[_HeldOut], folds: NDArray[np.intp]) -> _HeldOut:
    """Put the containers of all folds, which :func:`_hold_out` gave one by one, into their order."""
    order = np.argsort(np.argsort(folds, kind="stable"), kind="stable")
    votes, near, closeness = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order]
        for name in ("votes", "near", "closeness")
    )
    return _HeldOut(votes, near, closeness)


def _calibrate(
    looks: Sequence[Look], held_out: dict[str, _HeldOut], truth: NDArray[np.intp], groups: NDArray[np.str_]
) -> tuple[dict[tuple[str, ...], tuple[Calibration, ...]], dict[str, object]]:
    births = [look.name for look in looks if look.kind == "birth"]
    pairs = [tuple(dict.fromkeys(pair)) for pair in combinations_with_replacement(births, 2)]
    pairs += [(look.name,) for look in looks if look.kind == "midlife"]
    calibrations: dict[tuple[str, ...], tuple[Calibration, ...]] = {}
    scores: dict[str, float | None] = {}
    for names in pairs:
        votes = add_votes([held_out[name].votes for name in names])
        near = np.mean([held_out[name].near for name in names], axis=0)
        closeness = np.mean([held_out[name].closeness for name in names], axis=0)
        shown = ~np.isnan(votes[:, :, 0])
        views: dict[int, list[int]] = {condition: [condition] for condition in Condition}
        views[Condition.RECORDED] = [Condition.RECORDED, _MOVED]
        calibrations[names] = tuple(
            calibrate(
                np.concatenate([votes[n][shown[n]] for n in views[c]]),
                np.concatenate([truth[shown[n]] for n in views[c]]),
                np.concatenate([groups[shown[n]] for n in views[c]]),
                np.concatenate([near[n][shown[n]] for n in views[c]]),
                np.concatenate([closeness[n][shown[n]] for n in views[c]]),
                len(names),
                as_seen=int(shown[c].sum()),
            )
            for c in Condition
        )
        recorded = shown[Condition.RECORDED]
        answer = votes[Condition.RECORDED][recorded].argmax(axis=1)
        scores["+".join(names)] = _macro_f1(truth[recorded], answer)
    return calibrations, {"macro_f1_held_out": scores}


def _macro_f1(truth: NDArray[np.intp], answer: NDArray[np.intp]) -> float | None:
    if not truth.size:
        return None
    f1 = []
    for service in np.unique(truth):
        hit = np.sum((truth == service) & (answer == service))
        f1.append(2 * hit / (np.sum(truth == service) + np.sum(answer == service)))
    return float(np.mean(f1))
