"""Identification of held-out deployments in one call, with everything that it must be compared with."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.baselines import ONE_RULE, simple_baselines
from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate
from podlab.evaluation.dataset import LabelledSamples, read_dataset
from podlab.evaluation.leakage import predict_rows
from podlab.evaluation.metrics import score_predictions
from podlab.evaluation.splits import Plan, plan_splits, unit_column
from podlab.identify import Identifier
from podlab.progress import Progress

log = logging.getLogger(__name__)

#: Seconds observed at which identification is scored.
HORIZONS_S = (10.0, 30.0, 60.0, 120.0)
#: What podlab, its most probable service, the control and the original's tree are called beside the baselines.
MODEL, BEST_GUESS, CONTROL, ROW_TREE = "podlab", "podlab, never unknown", "shuffled labels", "tree, random rows"
#: Labels without meaning are not learned any better from more deployments, and five folds would double the time.
_CONTROL_FOLDS = 2
#: Of which the original's tree learns one and predicts the other.
_FEWEST_ROWS = 2
#: What scores are made from: the tree's predictions of rows are many.
_COLUMNS = ["method", "horizon_s", "fold", "service", "predicted", "best_guess", "confidence", "unit", "position",
            "activity", "rule"]  # fmt: skip


def evaluate(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    group: str = "deployment",
    draws: pd.DataFrame | None = None,
    horizons_s: Sequence[float] = HORIZONS_S,
    folds: int = 5,
    iterations: int = 1,
    training_ratio: float | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    cache: Path | str | None = None,
    controls: bool = True,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Identify containers of deployments that training did not see, by podlab and by what it must be compared with.

    Raises InputError if there are not two services, or not two groups of any of them, the group's column is missing, or
    no container was seen within the longest horizon.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the labels ``service`` and, for the default group, ``deployment``.
    services : sequence of str, optional
        Only these; by default all that are labelled.
    group : str
        Column that splits training from testing: ``deployment``, or what is left out as a whole: ``profile``, ``site``,
        ``version``, ``load``, ``cluster``, ``knob:NAME``; see :func:`podlab.evaluation.splits.plan_splits`.
    draws : DataFrame, optional
        What was drawn for each deployment, from :func:`podlab.data.draws.find_draws`: groups are found there, too.
    horizons_s : sequence of float
        Seconds observed at which to predict. Neither training nor prediction sees rows after the longest. Those at
        which no container shows a sample are left out with a warning.
    folds, iterations, training_ratio
        See :func:`podlab.evaluation.splits.plan_splits`.
    columns : sequence of str, optional
        Metric columns to learn from, from :func:`podlab.evaluation.dataset.features_of`; by default all.
    seed : int
        Of splits, training, shuffling and bootstrap.
    jobs, cache, progress
        As for :func:`podlab.evaluation.cross_validate`.
    controls : bool
        Also train on labels shuffled by deployment, in two folds.

    Returns
    -------
    predictions : DataFrame
        For :func:`podlab.evaluation.score` by ``["method", "horizon_s"]``: :data:`MODEL`, :data:`BEST_GUESS`, the
        baselines, :data:`ROW_TREE` (a line per row), and :data:`CONTROL`; with ``fold``, ``activity`` (``idle`` or
        ``loaded``) and ``rule`` (the metric of the one-metric rule).
    about : dict
        ``services`` trained on, ``untested`` among them (too few groups), ``columns`` learned from, ``n_deployments,
        n_containers, n_rows`` within the longest horizon, ``chance`` (one by the number of tested services), ``split``
        and ``seconds`` that it took.
    """
    began_s = time.monotonic()
    if not horizons_s:
        raise InputError("no horizon", hint="give at least one, such as 60s")
    horizons = tuple(sorted({float(horizon) for horizon in horizons_s}))
    dataset = read_dataset(samples, services, until_s=horizons[-1], draws=draws)
    horizons = _with_samples(dataset, horizons)
    planned: dict[str, Any] = {"group": group, "training_ratio": training_ratio, "seed": seed}
    plan = plan_splits(dataset.containers, folds=folds, iterations=iterations, **planned)
    used = tuple(name for name in FEATURE_METRICS if name in samples and (columns is None or name in columns))
    if not used:
        raise InputError("none of the wanted metric columns is in the samples")

    model = Identifier(horizons_s=horizons, columns=used, group=unit_column(dataset.containers, group), seed=seed)
    same: dict[str, Any] = {"seed": seed, "jobs": jobs, "cache": cache}
    own = cross_validate(dataset, plan, horizons, model, progress=progress, **same)
    found = [own.assign(method=MODEL), own.assign(method=BEST_GUESS, predicted=own["best_guess"])]
    for horizon_s, answers in baseline_predictions(dataset, plan, horizons, used, **same):
        rows = predict_rows(dataset.until(horizon_s), plan, used, seed=seed)
        found.append(answers.assign(method=answers["model"], confidence=np.nan))  # they claim nothing
        found.append(rows.assign(method=ROW_TREE, horizon_s=horizon_s))
    if controls:
        shuffled = dataset.shuffle_labels(plan.units, seed)
        try:
            halves = plan_splits(shuffled.containers, folds=_CONTROL_FOLDS, **planned)
        except InputError:
            pass  # shuffling left nothing that could be split
        else:
            control = cross_validate(shuffled, halves, horizons, model, what="control", progress=progress, **same)
            found.append(control.assign(method=CONTROL))
    predictions = pd.concat([each.reindex(columns=_COLUMNS) for each in found], ignore_index=True)
    predictions["method"] = pd.Categorical(predictions["method"], predictions["method"].unique())
    predictions = predictions.sort_values(["method", "horizon_s"], kind="stable", ignore_index=True)
    names = sorted(set(plan.services))
    return predictions.astype({"method": "str"}), {
        "services": names,
        "untested": list(plan.untested),
        "columns": list(used),
        "n_deployments": len(set(plan.units)),
        "n_containers": len(dataset.containers),
        "n_rows": len(dataset.samples),
        "chance": 1 / (len(names) - len(plan.untested)),
        "split": plan.description,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def describe_evaluation(predictions: pd.DataFrame, about: dict[str, Any]) -> dict[str, Any]:
    """Give what :func:`evaluate` found as plain values, for ``podlab evaluate --json``.

    Returns
    -------
    dict
        ``about``; ``rule_metrics``, the metric that the one-metric rule chose most often; and lists with one object per
        horizon: ``scores``, ``idle``, ``loaded`` (podlab's, of all containers, and of those whose variant begins with
        ``idle`` or does not), ``best_guess``, ``control``, and by name in ``baselines``. Such an object has
        ``horizon_s`` and what :meth:`podlab.evaluation.metrics.Scores.to_json` gives.
    """

    def listed(own: pd.DataFrame) -> list[dict[str, Any]]:
        seed = about["split"]["seed"]
        return [
            {"horizon_s": horizon_s, **score_predictions(each, services=about["services"], seed=seed).to_json()}
            for horizon_s, each in own.groupby("horizon_s")
        ]

    by_method = {str(name): own for name, own in predictions.groupby("method", sort=False)}
    podlab, best_guess = by_method.pop(MODEL), by_method.pop(BEST_GUESS)
    control = by_method.pop(CONTROL, predictions.head(0))
    rules = by_method[ONE_RULE].drop_duplicates(["horizon_s", "fold"]).groupby("horizon_s")["rule"]
    return {
        **about,
        "scores": listed(podlab),
        "idle": listed(podlab[podlab["activity"] == "idle"]),
        "loaded": listed(podlab[podlab["activity"] == "loaded"]),
        "best_guess": listed(best_guess),
        "control": listed(control),
        "baselines": {name: listed(own) for name, own in by_method.items()},
        "rule_metrics": [
            {"horizon_s": horizon_s, "metric": Counter(own.dropna().tolist() or ["none"]).most_common(1)[0][0]}
            for horizon_s, own in rules
        ],
    }


def baseline_predictions(
    dataset: LabelledSamples, plan: Plan, horizons_s: Sequence[float], columns: Sequence[str] | None = None, *,
    seed: int = 0, **running: Any,
) -> Iterator[tuple[float, pd.DataFrame]]:  # fmt: skip
    """Cross-validate the simple baselines, each trained for the horizon that it predicts at.

    Takes the arguments of :func:`podlab.evaluation.cross_validate`, and gives each horizon with the predictions there.
    """
    for horizon_s in horizons_s:
        models = {
            name: FeatureClassifier(estimator, horizon_s=horizon_s, columns=columns)
            for name, estimator in simple_baselines(seed).items()
        }
        yield horizon_s, cross_validate(dataset, plan, [horizon_s], models, seed=seed, **running)


def _with_samples(dataset: LabelledSamples, horizons: tuple[float, ...]) -> tuple[float, ...]:
    """Leave out horizons at which next to nothing was seen of all containers together."""
    offset_s = dataset.offset_s()
    shown = tuple(horizon_s for horizon_s in horizons if np.sum(offset_s < horizon_s) >= _FEWEST_ROWS)
    for horizon_s in sorted(set(horizons) - set(shown)):
        log.warning("no container shows a sample within %g s: left out", horizon_s)
    if not shown:
        raise InputError("no container shows a sample by then", where="horizons", hint="choose longer ones")
    return shown
