"""Learning curves: what more deployments, or more rows, to train on would bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from podlab.errors import InputError
from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.filters import columns_of
from podlab.evaluation.folds import Fold, answer_folds
from podlab.evaluation.original import encode_rows, predict_rows
from podlab.evaluation.scores import score
from podlab.evaluation.splits import IntArray, TextArray, plan_splits
from podlab.progress import Progress

#: Rows that a point of the row curve is tested on, at most: enough for an error of 0.01, and quick.
_TESTED_ROWS = 2000


def deployment_curve(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    horizon_s: float = 60.0,
    columns: Sequence[str] | None = None,
    folds: int = 4,
    iterations: int = 1,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score identification by the number of deployments of each service that it was trained on.

    Parameters
    ----------
    samples, services, columns, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    sizes : sequence of int, optional
        Deployments of each service; by default 1, 2, 3, 4 and then every second number, as far as they go. A service
        with fewer trains with all that it has.
    horizon_s : float
        Seconds observed; later rows are neither trained on nor answered from.
    folds, iterations : int
        Each point is tested on all deployments, once in each iteration, by training on the other folds' deployments.

    Returns
    -------
    DataFrame
        ``deployments`` (of each service, trained on), ``macro_f1, low, high``, ``accuracy, accuracy_low,
        accuracy_high``, ``n_deployments, n_containers`` (tested), ``n_services``.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if a size is not positive.
    """
    dataset = read_dataset(samples, services, until_s=horizon_s)
    plan = plan_splits(dataset.containers, folds=folds, iterations=iterations, seed=seed)
    most = max(_most_units(plan.services, plan.units, split.train) for split in plan.splits)
    wanted = sorted(set(sizes)) if sizes is not None else [n for n in range(1, most + 1) if n <= 4 or n % 2 == 0]
    if not wanted or wanted[0] < 1:
        raise InputError("a learning curve needs sizes of 1 and more")
    steps = [(size, split) for size in wanted if size <= most for split in plan.splits]
    folds_of_sizes = [
        Fold(
            dataset,
            pick_units(plan.services, plan.units, split.train, size, seed + split.iteration),
            split.test,
            f"{size} deployments",
        )
        for size, split in steps
    ]
    answers = answer_folds(
        folds_of_sizes,
        group="deployment", horizons_s=(horizon_s,), columns=columns, seed=seed, jobs=jobs, progress=progress,
    )  # fmt: skip
    found: dict[int, list[tuple[str, str | None, object, int]]] = {}
    for (size, split), answered in zip(steps, answers, strict=True):
        found.setdefault(size, []).extend(
            (plan.services[position], answer.service, plan.units[position], int(position))
            for position, answer in zip(split.test, answered[horizon_s], strict=True)
        )
    return pd.DataFrame([_point(size, decisions, seed) for size, decisions in found.items()])


def _point(size: int, decisions: list[tuple[str, str | None, object, int]], seed: int) -> dict[str, float]:
    truth, answers, units, containers = zip(*decisions, strict=True)
    scores = score(truth, answers, units, containers=containers, seed=seed)
    return {
        "deployments": size,
        "macro_f1": scores.macro_f1.value,
        "low": scores.macro_f1.low,
        "high": scores.macro_f1.high,
        "accuracy": scores.accuracy.value,
        "accuracy_low": scores.accuracy.low,
        "accuracy_high": scores.accuracy.high,
        "n_deployments": scores.n_deployments,
        "n_containers": scores.n_containers,
        "n_services": len(set(truth)),
    }


def pick_units(services: TextArray, units: TextArray, train: IntArray, count: int, seed: int) -> IntArray:
    """Keep some deployments of each service in a training side.

    Parameters
    ----------
    services, units : array of str (n_containers,)
        Each container's service and deployment.
    train : array of int64
        Positions to choose from.
    count : int
        How many deployments of each service to keep; all of a service that has no more.
    seed : int
        With the same seed, the deployments for a smaller count are among those for a larger one.

    Returns
    -------
    array of int64
        Positions, rising.
    """
    rng = np.random.default_rng(seed)
    kept: set[object] = set()
    for service in sorted(set(services[train])):
        own = sorted(set(units[train][services[train] == service]))
        kept.update(rng.permutation(own)[:count])
    return np.array([position for position in train if units[position] in kept], dtype=np.int64)


def _most_units(services: TextArray, units: TextArray, positions: IntArray) -> int:
    return int(pd.DataFrame({"s": services[positions], "u": units[positions]}).groupby("s")["u"].nunique().max())


def row_curve(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    most: int = 200,
    iterations: int = 10,
    metric_filter: str = "all",
    seed: int = 0,
) -> pd.DataFrame:
    """Score the original's tree by the number of rows that it was trained on, as the original did.

    For every size and iteration that many rows are drawn at random from half of the deployments. The tree is tested
    twice: on other rows of the same deployments (the original's way), and on rows of the other half.

    Parameters
    ----------
    samples, services, seed
        As for :func:`podlab.evaluation.evaluate`.
    most : int
        The curve goes from 1 to this many rows, as far as there are rows.
    iterations : int
        How often rows are drawn anew for each size; the halves alternate between iterations.
    metric_filter : str
        Columns that the tree sees, see :func:`podlab.evaluation.filters.columns_of`.

    Returns
    -------
    DataFrame
        ``rows`` (trained on), ``split`` (``same deployments`` or ``other deployments``), ``accuracy`` (mean over the
        iterations), ``low, high`` (between which 95 % of the iterations lie), ``n_deployments``, ``iterations``.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if ``most`` or ``iterations`` is not positive.
    """
    if most < 1 or iterations < 1:
        raise InputError(f"{most} rows and {iterations} iterations", hint="use at least 1 of each")
    dataset = read_dataset(samples, services)
    plan = plan_splits(dataset.containers, folds=2, iterations=(iterations + 1) // 2, seed=seed)
    X, _ = encode_rows(dataset.samples, columns_of(metric_filter))
    truth = plan.services[dataset.code]
    accuracy: dict[tuple[int, str], list[float]] = {}
    for iteration, split in enumerate(plan.splits[:iterations]):
        rng = np.random.default_rng([seed, iteration])
        own = rng.permutation(np.flatnonzero(np.isin(dataset.code, split.train)))
        other = rng.permutation(np.flatnonzero(np.isin(dataset.code, split.test)))[:_TESTED_ROWS]
        # Rows beyond the largest size are never trained on, so that all sizes are tested on the same ones.
        largest = min(most, own.size // 2)
        rest = own[largest : largest + _TESTED_ROWS]
        tested = np.concatenate([rest, other])
        for size in range(1, largest + 1):
            right = predict_rows(X, truth, own[:size], tested, seed) == truth[tested]
            accuracy.setdefault((size, "same deployments"), []).append(float(right[: rest.size].mean()))
            accuracy.setdefault((size, "other deployments"), []).append(float(right[rest.size :].mean()))
    rows = []
    for (size, split_name), values in accuracy.items():
        spread = _spread(values)
        told = {"accuracy": spread.value, "low": spread.low, "high": spread.high}
        rows.append({"rows": size, "split": split_name, **told, "iterations": len(values)})
    return pd.DataFrame(rows).assign(n_deployments=len(set(plan.units)))


def _spread(values: Sequence[float]) -> Estimate:
    """Mean of the iterations, and between which 95 % of them lie."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(np.mean(values)), float(low), float(high))
