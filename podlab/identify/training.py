"""Training an identifier: windows of labelled containers, a model for each, and calibration on deployments held out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CONTAINER_KEY, FEATURE_METRICS, MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.features.cadence import HOUSEKEEPING_S, at_kubelet_cadence
from podlab.features.features import feature_matrix, feature_names
from podlab.features.rows import ObservationSpans, Rows, metrics_to_read, observation_spans, read_rows
from podlab.features.windows import make_windows, series_of
from podlab.identify.augment import downsample, draw_hardware, draw_intervals_s, drop_columns, shift_hardware
from podlab.identify.calibration import (
    ONE_SITE_TEMPERATURE,
    SEVERAL_SITES_TEMPERATURE,
    Calibration,
    Condition,
    calibrate,
    combine_logits,
    to_logits,
)
from podlab.identify.classifier import ClassifierModel, ForestModel, TrainingSet, fit_model, service_similarity
from podlab.identify.observation import ObservationWindow, choose_windows, segment_starts
from podlab.identify.selection import choose_members, smaller_sets, window_to_compare
from podlab.progress import Progress

_TREES, _TREES_HELD_OUT = 200, 60
#: With few metrics trees grow large, and 60 score what 200 do.
_TREES_OF_SMALLER_SETS = 60
_FOLDS = 5
#: A downsampled copy keeps at least this many rows of a window.
_FEWEST_ROWS = 2
#: Weight in the training of what a kubelet would have shown on other hardware, beside 1 of what was recorded: without
#: it trees ask for what only this machine shows, to the second. From .25 to 1 scores are alike. The other copies only
#: calibrate: for fewer columns there are models of their own.
_ELSEWHERE_WEIGHT = 0.5
#: Numbers of copies that are no conditions, since samples do not show them: on other hardware as recorded, which
#: calibrates, and at a kubelet's cadence, which is learned from.
_SHIFTED, _ELSEWHERE = len(Condition), len(Condition) + 1


def train(
    samples: pd.DataFrame, *, estimator: Any, services: Sequence[str] | None, columns: Sequence[str] | None,
    horizons_s: Sequence[float] | None, group: str, column_sets: bool, seed: int, jobs: int | None,
    progress: Progress | None = None,
) -> list[tuple[str, dict[str, Any]]]:  # fmt: skip
    """Compute the attributes of a fitted :class:`podlab.identify.Identifier`, which explains the parameters.

    Returns
    -------
    list of tuple of (str, dict)
        First those of the identifier itself, then by name of the set those of its :attr:`reduced` ones.
    """
    rows, names, truth, groups = select_labelled(samples, services, group, columns)
    used = choose_columns(rows, columns)
    spans = observation_spans(rows)
    seldom = at_cadence_of_clusters(samples, rows, spans, seed)
    windows = choose_windows(spans, horizons_s)
    folds = assign_folds(groups, truth, seed)
    if len(set(groups)) < 2:
        hint = "record at least two, or name another column with --group"
        raise InputError(f"one {group} only, nothing can be held out", where=f"column {group!r}", hint=hint)

    from joblib import delayed

    from podlab.parallel import is_spread, side_by_side

    # One after another here, where each forest has all cores; at once where other machines lend theirs.
    options: dict[str, Any] = {
        "estimator": estimator,
        "services": len(names),
        "seed": seed,
        "jobs": 1 if is_spread() else jobs,
    }
    compared: dict[str, float] = {}
    if estimator is None:
        data = training_set(rows, seldom, spans, window_to_compare(windows), used, seed)
        options["members"], compared = choose_members(
            data, truth, groups, folds, services=len(names), seed=seed, jobs=options["jobs"]
        )
    sets = {"": used, **(smaller_sets(used) if column_sets else {})}
    tasks = [(name, window) for name in sets for window in windows]

    def work() -> Iterator[Any]:
        for name, window in tasks:
            data = training_set(rows, seldom, spans, window, sets[name], seed)
            for fold in np.unique(folds):
                fit = partial(fit_window, truth=truth, trees=_TREES_HELD_OUT, **options)
                yield delayed(hold_out)(data, truth, folds, fold, fit, services=len(names))
            yield delayed(fit_window)(data, truth, trees=_TREES_OF_SMALLER_SETS if name else _TREES, **options)

    each = len(np.unique(folds)) + 1
    labels = [f"{window.kind} {window.length_s:g} s {name}".rstrip() for name, window in tasks]
    if progress is not None:
        progress(0, each * len(tasks), labels[0])
    done = side_by_side(work(), [label for label in labels for _ in range(each)], jobs=1, progress=progress)
    found = {task: done[number * each : (number + 1) * each] for number, task in enumerate(tasks)}
    sites = rows.containers["site"].nunique() if "site" in rows.containers else 0
    least_temperature = SEVERAL_SITES_TEMPERATURE if sites > 1 else ONE_SITE_TEMPERATURE
    fitted = []
    for name, part in sets.items():
        held_out = {window.name: join_folds(found[name, window][:-1], folds) for window in windows}
        calibrations, scores = calibrate_windows(windows, held_out, truth, groups, least_temperature)
        recorded = [own.proximity[Condition.RECORDED] for own in held_out.values()]
        attributes: dict[str, Any] = {
            "services": names,
            "columns": part,
            "features": feature_names(series_of(part)),
            "windows": windows,
            "horizon_models": {window.name: found[name, window][-1] for window in windows},
            "calibrations": calibrations,
            "similarity": service_similarity(recorded, truth, len(names)),
            "interval_s": spans.typical_interval_s,
            "scores": {"containers": len(truth), "groups": len(set(groups)), **scores},
        }
        if estimator is None:
            attributes["scores"] |= {"members": options["members"], "balanced_accuracy_of_members": compared}
        fitted.append((name, attributes))
    return fitted


def assign_folds(groups: NDArray[np.str_], truth: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Assign whole groups to folds so that each service's groups spread over them (n_containers,)."""
    names, number = np.unique(groups, return_inverse=True)
    main = np.array([np.bincount(truth[number == n]).argmax() for n in range(names.size)])
    order = np.lexsort((np.random.default_rng([seed, 1]).permutation(names.size), main))
    fold = np.empty(names.size, dtype=np.intp)
    fold[order] = np.arange(names.size) % min(_FOLDS, names.size)
    return fold[number]


def at_cadence_of_clusters(samples: pd.DataFrame, rows: Rows, spans: ObservationSpans, seed: int) -> Rows:
    """Give the same containers' rows as a kubelet would have measured them; as they are if they are no denser."""
    if spans.typical_interval_s >= HOUSEKEEPING_S[0] / 2:
        return rows
    # When a container is measured is drawn from its identity, its node and the time, which training must not depend
    # on: here all start at once, each in a pod and on a node of its own.
    named = samples.reset_index(drop=True)
    number = named.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    first = named["started_at"].fillna(named.groupby(number)["time"].transform("min"))
    start = pd.Timestamp(0, tz="UTC")
    alike: dict[str, Any] = {name: "" for name in CONTAINER_KEY if name in named}
    alike |= {"pod": number.astype(str), "started_at": start, "time": named["time"] - first + start}
    measured = at_kubelet_cadence(named.assign(**alike).drop(columns="node", errors="ignore"), seed)
    measured[list(alike)] = named.loc[measured.index, list(alike)]
    thinned = read_rows(measured, metrics=rows.metrics)
    key = [name for name in INSTANCE_KEY if name in rows.containers]
    of_container = pd.MultiIndex.from_frame(rows.containers[key])
    place = of_container.get_indexer(pd.MultiIndex.from_frame(thinned.containers[key]))
    return thinned.renumber(rows.containers, place)


def training_set(
    rows: Rows, seldom: Rows, spans: ObservationSpans, window: ObservationWindow, columns: Sequence[str], seed: int
) -> TrainingSet:
    """Make the features of one window of each container, and their augmented copies.

    ``seldom`` has the same containers' rows as clusters have them.
    """
    rng = np.random.default_rng([seed, 2, round(window.length_s * 1000), window.kind == "startup"])
    intervals_s = draw_intervals_s(spans.interval_s, window.length_s / _FEWEST_ROWS, rng)
    # A container has the same hardware in all windows, so that what their models say of it belongs together. Of the
    # other copies, half have it.
    shift_rng = np.random.default_rng([seed, 4])
    hardware = draw_hardware(len(rows.containers), shift_rng)
    stays = shift_rng.random(len(rows.containers)) < 0.5
    plain, shifted, owner = _window_features(rows, spans, window, columns, hardware)
    sparse, sparse_shifted, sparse_owner = _window_features(
        downsample(rows, intervals_s, rng), spans, window, columns, hardware
    )
    _, elsewhere, elsewhere_owner = _window_features(seldom, observation_spans(seldom), window, columns, hardware)
    mixed = np.where(stays[owner, None], plain, shifted)
    sparse = np.where(stays[sparse_owner, None], sparse, sparse_shifted)
    names = feature_names(series_of(columns))
    parts = {
        Condition.RECORDED: (plain, owner, 1.0),
        _SHIFTED: (shifted, owner, 0.0),
        _ELSEWHERE: (elsewhere, elsewhere_owner, _ELSEWHERE_WEIGHT),
        Condition.SPARSE: (sparse, sparse_owner, 0.0),
        Condition.INCOMPLETE: (drop_columns(mixed, names, rng), owner, 0.0),
        Condition.SPARSE_AND_INCOMPLETE: (drop_columns(sparse, names, rng), sparse_owner, 0.0),
    }
    return TrainingSet(
        X=np.concatenate([part for part, _, _ in parts.values()]),
        owner=np.concatenate([part for _, part, _ in parts.values()]),
        copy=np.concatenate([np.full(len(part), number) for number, (_, part, _) in parts.items()]),
        weight=np.concatenate([np.full(len(part), weight) for _, part, weight in parts.values()]),
        names=names,
    )


def _window_features(
    rows: Rows, spans: ObservationSpans, window: ObservationWindow, columns: Sequence[str],
    hardware: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:  # fmt: skip
    """Features of the windows that have a value, the same on other hardware, and the containers they are of."""
    if window.kind == "startup":
        begins = [np.where(spans.start_observed, 0.0, np.nan)]
    else:
        begins = segment_starts(spans, window.length_s) or [spans.first_s]
    plain, shifted, owners = [], [], []
    for begin_s in begins:
        cells = make_windows(rows, horizon_s=window.length_s, begin_s=np.nan_to_num(begin_s), columns=columns)
        usable = cells.usable & ~np.isnan(begin_s)
        elsewhere = replace(cells, cells=shift_hardware(cells.cells, cells.series, hardware))
        plain.append(feature_matrix(cells)[0][usable])
        shifted.append(feature_matrix(elsewhere)[0][usable])
        owners.append(np.flatnonzero(usable))
    return np.concatenate(plain), np.concatenate(shifted), np.concatenate(owners)


def fit_window(data: TrainingSet, truth: NDArray[np.intp], **options: Any) -> Any:
    """Fit a model; what differs between machines shall be no great distance."""
    learned = data.only(data.weight > 0)
    recorded = learned.copy == Condition.RECORDED
    return fit_model(learned, truth[learned.owner], recorded, **options)


@dataclass(frozen=True)
class HeldOut:
    """Logits, proximities and distances of windows whose deployment was held out of the training.

    All are (n_conditions + 1, n_containers, n_services), the last as recorded but on other hardware; NaN where a
    container has no window.
    """

    logits: NDArray[np.float64]
    proximity: NDArray[np.float64]
    distance: NDArray[np.float64]


def hold_out(
    data: TrainingSet, truth: NDArray[np.intp], folds: NDArray[np.intp], fold: int,
    fit: Callable[[TrainingSet], ForestModel | ClassifierModel], *, services: int, known: Collection[int] = (),
) -> HeldOut:  # fmt: skip
    """Predict the windows of one fold by a model that ``fit`` makes of the others; it knows some services anyway."""
    logits, proximity, distance = np.full((3, _SHIFTED + 1, truth.size, services), np.nan)
    inside = folds[data.owner] != fold
    trained_on = np.union1d(truth[data.owner[inside]], np.array(list(known), dtype=np.intp))
    if trained_on.size >= 2:
        model = fit(data.only(inside))
        for number in range(_SHIFTED + 1):
            # Where a container has several segments, one stands for it: the last.
            test = ~inside & (data.copy == number) & np.isin(truth[data.owner], trained_on)
            probability, near = model.predict(data.X[test], services)
            logits[number, data.owner[test]] = to_logits(probability)
            proximity[number, data.owner[test]] = near
            distance[number, data.owner[test]] = model.neighbours.neg_log_distances(data.X[test], services)
    own = folds == fold
    return HeldOut(logits[:, own], proximity[:, own], distance[:, own])


def join_folds(parts: Sequence[HeldOut], folds: NDArray[np.intp]) -> HeldOut:
    """Put the containers of all folds, which :func:`hold_out` gave one by one, into their order."""
    order = np.argsort(np.argsort(folds, kind="stable"), kind="stable")
    logits, proximity, distance = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order]
        for name in ("logits", "proximity", "distance")
    )
    return HeldOut(logits, proximity, distance)


def calibrate_windows(
    windows: Sequence[ObservationWindow], held_out: dict[str, HeldOut], truth: NDArray[np.intp],
    groups: NDArray[np.str_], least_temperature: float = ONE_SITE_TEMPERATURE,
) -> tuple[dict[tuple[str, ...], tuple[Calibration, ...]], dict[str, object]]:  # fmt: skip
    """Calibrate each combination of models in each condition, and score its best guess."""
    startup = [window.name for window in windows if window.kind == "startup"]
    combinations = [tuple(dict.fromkeys(pair)) for pair in combinations_with_replacement(startup, 2)]
    combinations += [(window.name,) for window in windows if window.kind == "steady"]
    calibrations: dict[tuple[str, ...], tuple[Calibration, ...]] = {}
    scores: dict[str, float | None] = {}
    for names in combinations:
        logits = combine_logits([held_out[name].logits for name in names])
        proximity = np.mean([held_out[name].proximity for name in names], axis=0)
        distance = np.mean([held_out[name].distance for name in names], axis=0)
        shown = ~np.isnan(logits[:, :, 0])

        conditions = []
        for condition in Condition:
            copies = [condition, _SHIFTED] if condition == Condition.RECORDED else [condition]
            own = [np.concatenate([array[n][shown[n]] for n in copies]) for array in (logits, proximity, distance)]
            label, unit = (np.concatenate([of[shown[n]] for n in copies]) for of in (truth, groups))
            count = int(shown[condition].sum())
            conditions.append(
                calibrate(
                    own[0], label, unit, own[1], own[2], len(names),
                    as_recorded=count, least_temperature=least_temperature,
                )
            )  # fmt: skip
        calibrations[names] = tuple(conditions)
        recorded = shown[Condition.RECORDED]
        guess = logits[Condition.RECORDED][recorded].argmax(axis=1)
        scores["+".join(names)] = _macro_f1(truth[recorded], guess)
    return calibrations, {"macro_f1_held_out": scores}


def _macro_f1(truth: NDArray[np.intp], guess: NDArray[np.intp]) -> float | None:
    """Mean F1 of the services that are there; None without containers."""
    if not truth.size:
        return None
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, labels=np.unique(truth), average="macro", zero_division=0.0))


def select_labelled(
    samples: pd.DataFrame, services: Sequence[str] | None, group: str, columns: Sequence[str] | None = None,
    fewest: int = 2,
) -> tuple[Rows, tuple[str, ...], NDArray[np.intp], NDArray[np.str_]]:  # fmt: skip
    """Keep the labelled containers; give their rows, the services, and each container's service and group.

    Raises InputError if labels or groups are missing, a service is not there, or there are too few.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    services : sequence of str, optional
        Keep only these; by default all that are there.
    group : str
        Column with the independent deployments.
    columns : sequence of str, optional
        Metric columns to read beside those that are read anyway.
    fewest : int
        So many services must be there.

    Returns
    -------
    tuple of (Rows, tuple of str, array of int (n_containers,), array of str (n_containers,))
        Services are numbered by their place in the second.
    """
    if "service" not in samples or samples["service"].isna().all():
        what = "no container is labelled"
        raise InputError(what, where="column 'service'", hint="label the recording before training on it")
    there = sorted(samples["service"].dropna().unique())
    absent = [service for service in services or () if service not in there]
    if absent:
        what = f"service {absent[0]!r} is not in the samples"
        raise InputError(what, where="services", hint=f"there are {', '.join(there)}")
    names = tuple(sorted(set(services))) if services else tuple(there)
    if len(names) < fewest:
        what = f"one service only ({names[0]})"
        raise InputError(what, where="column 'service'", hint="give recordings of at least two services")
    if group not in samples or samples.loc[samples["service"].isin(names), group].isna().any():
        hint = "name the column of independent deployments with --group"
        raise InputError("is missing, or missing in labelled rows", where=f"column {group!r}", hint=hint)
    rows = read_rows(samples[samples["service"].isin(names)], metrics=metrics_to_read(columns))
    if group not in rows.containers:
        what = "changes from sample to sample, so it names no deployments"
        hint = f"name another with --group, of {', '.join(map(str, rows.containers))}"
        raise InputError(what, where=f"column {group!r}", hint=hint)
    if not (rows.offset_s >= 0).any():
        what = "every sample lies before its container's start"
        raise InputError(what, where="column 'started_at'", hint="give time and started_at in the same time zone")
    truth = rows.containers["service"].map({name: n for n, name in enumerate(names)}).to_numpy(dtype=np.intp)
    return rows, names, truth, rows.containers[group].astype(str).to_numpy(dtype=str)


def choose_columns(rows: Rows, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Name the metric columns to learn from, of those wanted (by default all) the ones that have a value.

    Raises InputError if none has.
    """
    chosen = FEATURE_METRICS if columns is None else [name for name in MEASURED_METRICS if name in columns]
    used = tuple(name for name in chosen if name in rows.metrics and rows.valid[name].any())
    if not used:
        what = "no metric to learn from has a value"
        raise InputError(what, where="columns", hint=f"there are {', '.join(rows.metrics)}")
    return used
