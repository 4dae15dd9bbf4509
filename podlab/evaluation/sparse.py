"""Sparse sampling, such as CPU and memory once a minute: podlab against the simple method that suits it best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.cross_validation import FeatureClassifier, Model, cross_validate
from podlab.evaluation.dataset import Dataset, read_dataset
from podlab.evaluation.metrics import Estimate, interval, resample_predictions
from podlab.evaluation.scenarios import START, Scenario, apply_scenario, columns_of_set
from podlab.evaluation.splits import Plan, plan_splits
from podlab.features.windows import Windows, make_windows
from podlab.identify import Identifier
from podlab.progress import Progress

#: The methods.
PODLAB, FOREST = "podlab, best guess", "random forest on means and deviations"
_TREES = 300


def compare_sparse_sampling(
    samples: pd.DataFrame,
    *,
    interval_s: float = 60.0,
    columns: Sequence[str] | None = None,
    seen_s: Sequence[float] = (0.0, 600.0),
    services: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train both methods on samples as such a cluster collects them, and test them on other deployments.

    Parameters
    ----------
    samples, services, folds, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    interval_s : float
        Time between samples; each container's first comes at a random moment in it.
    columns : sequence of str, optional
        Metric columns; by default those of CPU and memory.
    seen_s : sequence of float
        Compare on the containers recorded for at least so long; for each of these lengths, unless too few containers
        reach it for two folds.

    Returns
    -------
    DataFrame
        ``seen_s, minutes`` (median, from a container's first to its last sample), ``samples`` (median of a container),
        ``method``, ``macro_f1, low, high``, ``gain, gain_low, gain_high`` (podlab's minus this one's, on the same
        containers), ``n_deployments``, with 95 % intervals over deployments.
    """
    whole = read_dataset(samples, services)
    kept = columns_of_set("CPU and memory") if columns is None else tuple(columns)
    lines = []
    for number, least_s in enumerate(seen_s):
        scenario = Scenario(START, "all seconds", interval_s=interval_s, columns=kept, recorded_s=least_s)
        seen = apply_scenario(whole, scenario, np.random.default_rng([seed, 1])).reset_index(drop=True)
        try:
            dataset = read_dataset(seen)
            plan = plan_splits(dataset.containers, folds=folds, seed=seed)
        except InputError:
            continue  # too few were recorded for so long
        lines += _compare(dataset, plan, least_s, seed, jobs)
        if progress is not None:
            progress(number + 1, len(seen_s), f"{least_s:g} s")
    return pd.DataFrame(lines)


def means_and_deviations(samples: pd.DataFrame, code: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean and deviation of each metric over all samples of a container, counters as growth per second.

    Parameters
    ----------
    samples : DataFrame (n_rows,)
    code : array of int64 (n_rows,)
        Number of each row's container.

    Returns
    -------
    array of float64 (n_containers, 2 * n_metrics)
        NaN where there is no value; a deviation of one value is NaN.
    """
    order = np.lexsort((samples["time"].to_numpy(), code))
    ordered = samples.iloc[order].assign(code=code[order])
    step_s = ordered.groupby("code")["time"].diff().dt.total_seconds()
    values = {}
    for name in FEATURE_METRICS:
        if name in ordered:
            value = ordered[name].astype("float64")
            if CATALOGUE[name].kind == "counter":
                value = value.groupby(ordered["code"]).diff() / step_s
            values[name] = value
    found = pd.DataFrame(values).groupby(ordered["code"].to_numpy()).agg(["mean", "std"])
    return found.to_numpy(np.float64)


class MeansAndDeviations(FeatureClassifier):
    """A classifier on :func:`means_and_deviations`."""

    def features(
        self, samples: pd.DataFrame, horizon_s: float | None
    ) -> tuple[pd.DataFrame, NDArray[np.bool_], Windows]:
        """Make features of all samples, whatever the horizon."""
        X = pd.DataFrame(means_and_deviations(samples, read_dataset(samples).code))
        return X, np.ones(len(X), dtype=bool), make_windows(samples, horizon_s=horizon_s)


def _compare(dataset: Dataset, plan: Plan, seen_s: float, seed: int, jobs: int | None) -> list[dict[str, object]]:
    models: dict[str, Identifier | Model] = {
        PODLAB: Identifier(seed=seed),
        FOREST: MeansAndDeviations(
            RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed, n_jobs=1), horizon_s=None
        ),
    }
    asked = [Scenario(START, "all seconds")]
    predictions = cross_validate(dataset, plan, asked, models, seed=seed, jobs=jobs)
    units = predictions["unit"].unique()
    draws = {
        str(name): resample_predictions(own, "best_guess", seed=seed)
        for name, own in predictions.groupby("model", sort=False)
    }
    rows = np.bincount(dataset.code)
    times = dataset.samples.groupby(dataset.code)["time"]
    minutes = float((times.max() - times.min()).dt.total_seconds().median()) / 60
    same = {"seen_s": seen_s, "minutes": minutes, "samples": float(np.median(rows))}
    lines = []
    for name, own in draws.items():
        score = interval(own[0], own[1:], len(units))
        lead = draws[PODLAB] - own
        gain = Estimate(np.nan, np.nan, np.nan) if name == PODLAB else interval(lead[0], lead[1:], len(units))
        lines.append(
            {
                **same,
                "method": name,
                "macro_f1": score.value,
                "low": score.low,
                "high": score.high,
                "gain": gain.value,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "n_deployments": len(units),
            }
        )
    return lines
