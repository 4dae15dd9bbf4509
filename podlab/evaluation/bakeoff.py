"""Many classifiers on the same windows and the same splits: what each is worth, and what it costs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.contenders import CONTENDERS, Part, describe_intervals
from podlab.evaluation.dataset import Dataset, load_of, read_dataset
from podlab.evaluation.kernels import describe_kernels
from podlab.evaluation.ranks import NEMENYI, critical_difference, find_cliques, rank_methods
from podlab.evaluation.scores import Scores, resample_macro_f1, score
from podlab.evaluation.splits import IntArray, Plan, plan_splits
from podlab.features.features import feature_matrix
from podlab.features.rows import read_rows
from podlab.features.windows import make_windows
from podlab.identify.calibration import combine_logits, to_logits
from podlab.identify.observation import COMPANION_MIN_FRACTION
from podlab.parallel import side_by_side
from podlab.progress import Progress

#: Features and their names, by view.
Views = dict[str, tuple[NDArray[np.float32], tuple[str, ...]]]

_CONTROL_FOLDS = 2


@dataclass(frozen=True)
class BakeOff:
    """What a comparison found.

    Attributes
    ----------
    table : DataFrame
        One line per method and horizon: ``method, horizon_s, macro_f1, low, high, loaded_macro_f1, idle_macro_f1`` (NaN
        without such containers), ``fit_cpu_s`` (of one training), ``answer_cpu_ms`` (of one container, features not
        counted), ``n_deployments, n_containers``.
    cases : DataFrame (n_cases, n_methods)
        Macro-F1 in each case: the deployments of one fold at one horizon; the index tells ``horizon_s`` and ``fold``.
    ranks : DataFrame
        ``method, mean_rank``, the best first, over the cases.
    critical_difference : float
        Mean ranks further apart than this differ at the 5 % level (Nemenyi test).
    cliques : list of tuple of str
        Methods that are not told apart, by :func:`podlab.evaluation.ranks.find_cliques`. The folds of a case at several
        horizons hold the same deployments, and folds share training deployments, so that cases are not independent and
        both tests find differences a little too easily.
    control : DataFrame
        ``method, horizon_s, macro_f1, low, high``: the same trained on services dealt to deployments at random, at the
        last horizon; empty without controls.
    chance : float
        What guessing scores.
    """

    table: pd.DataFrame
    cases: pd.DataFrame
    ranks: pd.DataFrame
    critical_difference: float
    cliques: list[tuple[str, ...]]
    control: pd.DataFrame
    chance: float

    def to_json(self) -> dict[str, Any]:
        """Give plain values, undefined ones as null."""
        lines = {name: getattr(self, name).to_dict("records") for name in ("table", "ranks", "control")}
        told = {
            name: [{k: None if v != v else v for k, v in line.items()} for line in own] for name, own in lines.items()
        }
        return {
            **told,
            "n_cases": len(self.cases),
            "critical_difference": self.critical_difference,
            "cliques": [list(clique) for clique in self.cliques],
            "chance": self.chance,
        }


def bake_off(
    samples: pd.DataFrame,
    *,
    contenders: Mapping[str, tuple[Part, ...]] = CONTENDERS,
    horizons_s: Sequence[float] = (10.0, 60.0),
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    folds: int = 5,
    iterations: int = 1,
    controls: bool = True,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> BakeOff:
    """Compare classifiers on containers of deployments that they were not trained on.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the labels ``service`` and ``deployment``.
    contenders : mapping of str to tuple of Part
        Two to ten methods by name.
    horizons_s : sequence of float
        Seconds observed since the start.
    columns : sequence of str, optional
        Metric columns to use; by default all.
    services, folds, iterations, seed, jobs
        As for :func:`podlab.evaluation.evaluate`. Every method gets the same splits.
    controls : bool
        Also train each on shuffled services.
    progress : callable, optional
        Called after each method and horizon.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if there are fewer than two or more than ten methods, or no horizon.
    """
    if not horizons_s:
        raise InputError("no horizon", hint="give at least one, such as 60s")
    if not 2 <= len(contenders) <= len(NEMENYI) + 1:
        raise InputError(f"{len(contenders)} methods to compare", hint=f"give 2 to {len(NEMENYI) + 1}")
    horizons = sorted({float(horizon) for horizon in horizons_s})
    dataset = read_dataset(samples, services, until_s=horizons[-1])
    plan = plan_splits(dataset.containers, folds=folds, iterations=iterations, seed=seed)
    views = _view(dataset, horizons, columns)
    steps = [(name, horizon_s, plan, "") for horizon_s in horizons for name in contenders]
    if controls:
        shuffled = dataset.shuffle_labels(plan.units, seed)
        dealt = plan_splits(shuffled.containers, folds=_CONTROL_FOLDS, seed=seed)
        steps += [(name, horizons[-1], dealt, ", shuffled") for name in contenders]
    work = [delayed(_answer)(contenders[name], views[horizon_s], own, seed) for name, horizon_s, own, _ in steps]
    answered = side_by_side(work, [name + tail for name, _, _, tail in steps], jobs=jobs, progress=progress)

    load = np.array(load_of(dataset.containers), dtype=object)
    lines, cases, control = [], [], []
    for (name, horizon_s, own, tail), (answers, fit_s, answer_s) in zip(steps, answered, strict=True):
        tested = np.concatenate([split.test for split in own.splits])
        scores = _score(own, tested, np.concatenate(answers), seed)
        told = {"method": name, "horizon_s": horizon_s, "macro_f1": scores.macro_f1.value,
                "low": scores.macro_f1.low, "high": scores.macro_f1.high}  # fmt: skip
        if tail:
            control.append(told)
            continue
        apart = {
            f"{kind}_macro_f1": _macro_f1(own, tested, np.concatenate(answers), load[tested] == kind)
            for kind in ("loaded", "idle")
        }
        costs = {"fit_cpu_s": fit_s / len(own.splits), "answer_cpu_ms": 1000 * answer_s / tested.size}
        counts = {"n_deployments": scores.n_deployments, "n_containers": scores.n_containers}
        lines.append({**told, **apart, **costs, **counts})
        cases += [
            {"method": name, "horizon_s": horizon_s, "fold": number,
             "macro_f1": _macro_f1(own, split.test, own_answers, np.ones(split.test.size, dtype=bool))}
            for number, (split, own_answers) in enumerate(zip(own.splits, answers, strict=True))
        ]  # fmt: skip
    wide = pd.DataFrame(cases).pivot_table(index=["horizon_s", "fold"], columns="method", values="macro_f1")
    wide = wide[list(contenders)]
    return BakeOff(
        table=pd.DataFrame(lines),
        cases=wide,
        ranks=rank_methods(wide),
        critical_difference=critical_difference(*wide.shape),
        cliques=find_cliques(wide),
        control=pd.DataFrame(control, columns=["method", "horizon_s", "macro_f1", "low", "high"]),
        chance=1 / (len(set(plan.services)) - len(plan.untested)),
    )


def _view(dataset: Dataset, horizons: Sequence[float], columns: Sequence[str] | None) -> dict[float, Views]:
    """Compute all views of the containers at each horizon."""
    rows = read_rows(dataset.samples)
    windows = {horizon_s: make_windows(rows, horizon_s=horizon_s, columns=columns) for horizon_s in horizons}
    features = {horizon_s: feature_matrix(own) for horizon_s, own in windows.items()}
    views: dict[float, Views] = {}
    for horizon_s in horizons:
        earlier_s = next(each for each in horizons if each >= COMPANION_MIN_FRACTION * horizon_s)
        views[horizon_s] = {"own": features[horizon_s], "earlier": features[earlier_s]}
        for view, describe in (("intervals", describe_intervals), ("kernels", describe_kernels)):
            matrix = describe(windows[horizon_s])
            views[horizon_s][view] = (matrix, tuple(map(str, range(matrix.shape[1]))))
    return views


def _answer(
    parts: tuple[Part, ...], views: Views, plan: Plan, seed: int
) -> tuple[list[NDArray[np.object_]], float, float]:
    """Train and answer on each split: the services named, and CPU seconds of training and of answering."""
    names = np.array(sorted(set(plan.services)), dtype=object)
    truth = np.searchsorted(names.astype(str), plan.services.astype(str))
    found, fit_s, answer_s = [], 0.0, 0.0
    for split in plan.splits:
        votes = []
        for view, make in parts:
            X, features = views[view]
            began_s = time.process_time()
            model = _fit(make(seed + split.iteration, features), X[split.train], truth[split.train])
            fitted_s = time.process_time()
            probability = np.zeros((split.test.size, names.size))
            probability[:, model.classes_] = model.predict_proba(X[split.test])
            votes.append(to_logits(probability))
            fit_s, answer_s = fit_s + fitted_s - began_s, answer_s + time.process_time() - fitted_s
        found.append(names[combine_logits(votes).argmax(axis=1)])
    return found, fit_s, answer_s


def _fit(model: Any, X: NDArray[np.float32], truth: IntArray) -> Any:
    with warnings.catch_warnings():
        # A feature that is the same in all training containers is of no use to selection, and no fault.
        warnings.filterwarnings("ignore", message=".*constant|.*invalid value encountered")
        return model.fit(X, truth)


def _score(plan: Plan, tested: IntArray, answers: NDArray[np.object_], seed: int) -> Scores:
    return score(
        list(plan.services[tested]), list(answers), list(plan.units[tested]), containers=list(tested), seed=seed
    )


def _macro_f1(plan: Plan, tested: IntArray, answers: NDArray[np.object_], chosen: NDArray[np.bool_]) -> float:
    """Macro-F1 of some of the answers, NaN of none."""
    if not chosen.any():
        return float("nan")
    own = tested[chosen]
    truth, units = list(plan.services[own]), list(plan.units[own])
    return float(resample_macro_f1(truth, list(answers[chosen]), units, resamples=0)[0])
