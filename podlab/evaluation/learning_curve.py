"""Learning curves: how much more deployments, or more rows, would improve a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from podlab.errors import InputError
from podlab.evaluation.dataset import columns_of, read_dataset
from podlab.evaluation.leakage import encode_rows, predict_rows
from podlab.evaluation.splits import Plan, Split, plan_splits

#: Rows that a point of the row curve is tested on, at most: enough for an error of 0.01, and quick.
_TESTED_ROWS = 2000


def thin_training(plan: Plan, count: int, *, seed: int = 0) -> list[Split] | None:
    """Keep some deployments of each service on the training side of each split, for one point of a learning curve.

    Parameters
    ----------
    plan : Plan
        From :func:`podlab.evaluation.splits.plan_splits`.
    count : int
        How many deployments of each service; all of a service that has no more.
    seed : int
        With the same seed, the deployments for a smaller count are among those for a larger one.

    Returns
    -------
    list of Split or None
        None where no training side has so many deployments of any service.

    Raises
    ------
    InputError
        If the count is not positive.
    """
    if count < 1:
        raise InputError("a learning curve needs sizes of 1 and more")
    by_service = pd.DataFrame({"service": plan.services, "unit": plan.units})
    units_of = [by_service.iloc[split.train].groupby("service")["unit"].unique() for split in plan.splits]
    if count > max(units.map(len).max() for units in units_of):
        return None
    thinned = []
    for split, units in zip(plan.splits, units_of, strict=True):
        rng = np.random.default_rng(seed + split.iteration)
        kept = {unit for own in units for unit in rng.permutation(sorted(own))[:count]}
        train = split.train[[unit in kept for unit in plan.units[split.train]]]
        thinned.append(Split(train, split.test, split.iteration))
    return thinned


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
        Columns that the tree sees, see :func:`podlab.evaluation.dataset.columns_of`.

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
    rows = [
        {"rows": size, "split": name, "accuracy": np.mean(values), "low": np.quantile(values, 0.025),
         "high": np.quantile(values, 0.975), "iterations": len(values)}
        for (size, name), values in accuracy.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(n_deployments=len(set(plan.units)))
