"""Fitting the experts and what their votes mean, on deployments held out.

Which containers and metric columns of a samples table can be learned from.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.features.features import feature_matrix, feature_names
from podlab.features.rows import ObservationSpans, Rows, observation_spans, read_rows
from podlab.features.windows import make_windows, series_of
from podlab.identify.augment import downsample, draw_hardware, draw_intervals_s, drop_columns, shift_hardware
from podlab.identify.calibration import Calibration, Condition, calibrate, combine_logits, to_logits
from podlab.identify.forest import fit_subspace_forest
from podlab.identify.identifier import HorizonModel, Identifier
from podlab.identify.novelty import fit_nearest_neighbours
from podlab.identify.observation import ObservationWindow, choose_windows, segment_starts
from podlab.identify.proximity import service_proximity, service_similarity
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
    rows, names, truth, groups = select_labelled(samples, services, group)
    used = choose_columns(rows, columns)
    spans = observation_spans(rows)
    looks = choose_windows(spans, horizons_s)
    folds = assign_folds(groups, truth, seed)
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
            data = _training_set(rows, spans, look, used, seed)
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
        services=names, columns=used, features=feature_names(series_of(used)), windows=looks, horizon_models=experts,
        calibrations=calibrations, similarity=service_similarity(near, truth, len(names)),
        interval_s=spans.typical_interval_s, seed=seed, scores=scores,
    )  # fmt: skip


def assign_folds(groups: NDArray[np.str_], truth: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
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


def _training_set(
    rows: Rows, spans: ObservationSpans, look: ObservationWindow, columns: Sequence[str], seed: int
) -> _TrainingSet:
    rng = np.random.default_rng([seed, 2, round(look.length_s * 1000), look.kind == "startup"])
    intervals_s = draw_intervals_s(spans.interval_s, look.length_s / _FEWEST_THINNED, rng)
    # A container moves to the same machine in all looks, so that what their experts say of it belongs together. Of the
    # other copies, half are moved.
    moving = np.random.default_rng([seed, 4])
    machine = draw_hardware(len(rows.containers), moving)
    stays = moving.random(len(rows.containers)) < 0.5
    plain, moved, owner = _windows(rows, spans, look, columns, machine)
    seldom, seldom_moved, seldom_owner = _windows(downsample(rows, intervals_s, rng), spans, look, columns, machine)
    mixed = np.where(stays[owner, None], plain, moved)
    seldom = np.where(stays[seldom_owner, None], seldom, seldom_moved)
    names = feature_names(series_of(columns))
    parts = {
        Condition.RECORDED: (plain, owner, 1.0),
        _MOVED: (moved, owner, _MOVED_WEIGHT),
        Condition.SPARSE: (seldom, seldom_owner, _COPY_WEIGHT),
        Condition.INCOMPLETE: (drop_columns(mixed, names, rng), owner, _COPY_WEIGHT),
        Condition.SPARSE_AND_INCOMPLETE: (drop_columns(seldom, names, rng), seldom_owner, _COPY_WEIGHT),
    }
    return _TrainingSet(
        X=np.concatenate([part for part, _, _ in parts.values()]),
        owner=np.concatenate([part for _, part, _ in parts.values()]),
        copy=np.concatenate([np.full(len(part), number) for number, (_, part, _) in parts.items()]),
        weight=np.concatenate([np.full(len(part), weight) for _, part, weight in parts.values()]),
        names=names,
    )


def _windows(
    rows: Rows, spans: ObservationSpans, look: ObservationWindow, columns: Sequence[str], machine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Features of the look's windows, the same on other machines, and the containers they are of.

    Windows without a value are left out.
    """
    if look.kind == "startup":
        begins = [np.where(spans.start_observed, 0.0, np.nan)]
    else:
        begins = segment_starts(spans, look.length_s) or [spans.first_s]
    plain, moved, owners = [], [], []
    for begin_s in begins:
        windows = make_windows(rows, horizon_s=look.length_s, begin_s=np.nan_to_num(begin_s), columns=columns)
        usable = windows.usable & ~np.isnan(begin_s)
        elsewhere = replace(windows, cells=shift_hardware(windows.cells, windows.series, machine))
        plain.append(feature_matrix(windows)[0][usable])
        moved.append(feature_matrix(elsewhere)[0][usable])
        owners.append(np.flatnonzero(usable))
    return np.concatenate(plain), np.concatenate(moved), np.concatenate(owners)


def _fit_expert(
    data: _TrainingSet, chosen: NDArray[np.bool_], truth: NDArray[np.intp], *, services: int, seed: int,
    jobs: int | None, trees: int = _TREES,
) -> HorizonModel:  # fmt: skip
    X, y = data.X[chosen], truth[data.owner[chosen]]
    forest = fit_subspace_forest(
        X, y, data.weight[chosen], data.names, services=services, trees=trees, seed=seed, jobs=jobs
    )
    recorded = data.copy[chosen] == Condition.RECORDED
    known = np.flatnonzero(recorded)
    known = known[np.sort(np.random.default_rng([seed, 3]).permutation(known.size)[:_MOST_KNOWN])]
    known = known[np.argsort(y[known], kind="stable")]
    # What differs between machines shall be no great distance.
    units = np.flatnonzero(recorded | (data.copy[chosen] == _MOVED))
    space = fit_nearest_neighbours(X[known], y[known], forest.importance(X.shape[1]), usual=(X[units], y[units]))
    return HorizonModel(forest, forest.leaves(X[known]), y[known].astype(np.int16), space)


@dataclass(frozen=True)
class _HeldOut:
    """Log-votes, proximities and neg_log_distance of windows whose deployment the forest had not seen.

    All are (n_conditions + 1, n_containers, n_services), the last as recorded but on other machines; NaN where a
    container has no window.
    """

    votes: NDArray[np.float64]
    near: NDArray[np.float64]
    neg_log_distance: NDArray[np.float64]


def _hold_out(
    data: _TrainingSet, truth: NDArray[np.intp], folds: NDArray[np.intp], fold: int, *, services: int, seed: int,
    jobs: int | None,
) -> _HeldOut:  # fmt: skip
    """Judge the windows of one fold by a forest that learned from the others."""
    votes, near, neg_log_distance = np.full((3, _MOVED + 1, truth.size, services), np.nan)
    inside = folds[data.owner] != fold
    learned = np.unique(truth[data.owner[inside]])
    if learned.size >= 2:
        expert = _fit_expert(data, inside, truth, services=services, seed=seed, jobs=jobs, trees=_TREES_HELD_OUT)
        for number in range(_MOVED + 1):
            # Where a container has several stretches, one stands for it: the last.
            test = ~inside & (data.copy == number) & np.isin(truth[data.owner], learned)
            leaves = expert.forest.leaves(data.X[test])
            votes[number, data.owner[test]] = to_logits(expert.forest.predict_from(leaves))
            near[number, data.owner[test]] = service_proximity(leaves, expert.leaves, expert.service, services)
            neg_log_distance[number, data.owner[test]] = expert.neighbours.neg_log_distances(data.X[test], services)
    own = folds == fold
    return _HeldOut(votes[:, own], near[:, own], neg_log_distance[:, own])


def _join_folds(parts: Sequence[_HeldOut], folds: NDArray[np.intp]) -> _HeldOut:
    """Put the containers of all folds, which :func:`_hold_out` gave one by one, into their order."""
    order = np.argsort(np.argsort(folds, kind="stable"), kind="stable")
    votes, near, neg_log_distance = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order]
        for name in ("votes", "near", "neg_log_distance")
    )
    return _HeldOut(votes, near, neg_log_distance)


def _calibrate(
    looks: Sequence[ObservationWindow], held_out: dict[str, _HeldOut], truth: NDArray[np.intp], groups: NDArray[np.str_]
) -> tuple[dict[tuple[str, ...], tuple[Calibration, ...]], dict[str, object]]:
    births = [look.name for look in looks if look.kind == "startup"]
    pairs = [tuple(dict.fromkeys(pair)) for pair in combinations_with_replacement(births, 2)]
    pairs += [(look.name,) for look in looks if look.kind == "steady"]
    calibrations: dict[tuple[str, ...], tuple[Calibration, ...]] = {}
    scores: dict[str, float | None] = {}
    for names in pairs:
        votes = combine_logits([held_out[name].votes for name in names])
        near = np.mean([held_out[name].near for name in names], axis=0)
        neg_log_distance = np.mean([held_out[name].neg_log_distance for name in names], axis=0)
        shown = ~np.isnan(votes[:, :, 0])
        views: dict[int, list[int]] = {condition: [condition] for condition in Condition}
        views[Condition.RECORDED] = [Condition.RECORDED, _MOVED]
        calibrations[names] = tuple(
            calibrate(
                np.concatenate([votes[n][shown[n]] for n in views[c]]),
                np.concatenate([truth[shown[n]] for n in views[c]]),
                np.concatenate([groups[shown[n]] for n in views[c]]),
                np.concatenate([near[n][shown[n]] for n in views[c]]),
                np.concatenate([neg_log_distance[n][shown[n]] for n in views[c]]),
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


def select_labelled(
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
