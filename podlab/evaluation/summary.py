"""Identification of held-out deployments in one call, with everything that it must be compared with."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.baselines import ONE_RULE, simple_baselines
from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate
from podlab.evaluation.dataset import LabelledSamples, read_dataset
from podlab.evaluation.leakage import score_row_tree
from podlab.evaluation.metrics import Scores, score_predictions
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

ByHorizon = dict[float, Scores]


@dataclass(frozen=True)
class Evaluation:
    """Scores of out-of-fold predictions, by seconds observed.

    Attributes
    ----------
    services, untested : tuple of str
        All services trained on, and those among them with too few groups to be tested.
    horizons_s : tuple of float
        Seconds observed.
    columns : tuple of str
        Metric columns learned from.
    split : dict
        How it was split.
    predictions : DataFrame
        Podlab's, from :func:`podlab.evaluation.cross_validate`.
    scores : dict of str to dict of float to Scores
        By name and horizon: of :data:`MODEL`, :data:`BEST_GUESS`, the baselines, :data:`ROW_TREE` (whose decisions are
        rows), and :data:`CONTROL` (the same training on labels shuffled by deployment; without controls missing).
    idle, loaded : dict of float to Scores
        Podlab's, of containers whose variant begins with ``idle``, and of those whose does not.
    rule_metrics : dict of float to str
        The metric that the one-metric rule chose most often.
    n_deployments, n_containers, n_rows : int
        Of the labelled samples within the longest horizon.
    seconds : float
        How long it took.
    """

    services: tuple[str, ...]
    untested: tuple[str, ...]
    horizons_s: tuple[float, ...]
    columns: tuple[str, ...]
    split: dict[str, Any]
    predictions: pd.DataFrame
    scores: dict[str, ByHorizon]
    idle: ByHorizon
    loaded: ByHorizon
    rule_metrics: dict[float, str]
    n_deployments: int
    n_containers: int
    n_rows: int
    seconds: float

    @property
    def chance(self) -> float:
        """The accuracy of guessing: one by the number of tested services."""
        return 1 / (len(self.services) - len(self.untested))

    def to_frame(self) -> pd.DataFrame:
        """Give the scores of everyone at every horizon.

        Returns
        -------
        DataFrame
            ``method, containers`` (``all``, ``idle`` or ``loaded``), ``horizon_s``; each score with ``_low`` and
            ``_high``; ``n_deployments, n_containers, n_decisions``.
        """
        parts = [*((name, "all", own) for name, own in self.scores.items()),
                 (MODEL, "idle", self.idle), (MODEL, "loaded", self.loaded)]  # fmt: skip
        return pd.DataFrame(
            [
                {"method": name, "containers": containers, "horizon_s": horizon_s, **scores.to_row()}
                for name, containers, by_horizon in parts
                for horizon_s, scores in by_horizon.items()
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Give plain values for ``podlab evaluate --json``.

        Returns
        -------
        dict
            ``services, untested, columns, n_deployments, n_containers, n_rows, chance, seconds``; ``split`` with
            ``group, kind, folds, iterations, training_ratio, seed``; ``rule_metrics``; and lists with one object per
            horizon: ``scores``, ``idle``, ``loaded``, ``best_guess``, ``control``, and by name in ``baselines``. Such
            an object has ``horizon_s`` and what :meth:`podlab.evaluation.metrics.Scores.to_json` gives.
        """
        own = (MODEL, BEST_GUESS, CONTROL)
        return {
            "services": list(self.services),
            "untested": list(self.untested),
            "columns": list(self.columns),
            "n_deployments": self.n_deployments,
            "n_containers": self.n_containers,
            "n_rows": self.n_rows,
            "chance": self.chance,
            "split": self.split,
            "scores": _listed(self.scores[MODEL]),
            "idle": _listed(self.idle),
            "loaded": _listed(self.loaded),
            "best_guess": _listed(self.scores[BEST_GUESS]),
            "control": _listed(self.scores.get(CONTROL, {})),
            "baselines": {name: _listed(scores) for name, scores in self.scores.items() if name not in own},
            "rule_metrics": [{"horizon_s": h, "metric": metric} for h, metric in self.rule_metrics.items()],
            "seconds": round(self.seconds, 1),
        }


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
) -> Evaluation:
    """Score identification on containers of deployments that it was not trained on.

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
        Also train on shuffled labels, in two folds.

    Raises
    ------
    InputError
        If there are not two services, or not two groups of any of them, the group's column is missing, or no
        container was seen within the longest horizon.
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
    predictions = cross_validate(dataset, plan, horizons, model, progress=progress, **same)
    names = sorted(set(plan.services))
    scores = {
        MODEL: _by_horizon(predictions, names, seed),
        BEST_GUESS: _by_horizon(predictions, names, seed, "best_guess"),
    }
    rule_metrics = {}
    for horizon_s, own in baseline_predictions(dataset, plan, horizons, used, **same):
        # Their probabilities claim nothing.
        for name, answers in own.assign(confidence=np.nan).groupby("model", sort=False):
            scores.setdefault(str(name), {})[horizon_s] = score_predictions(answers, services=names, seed=seed)
        rules = own.loc[own["model"] == ONE_RULE].drop_duplicates("fold")["rule"].dropna()
        rule_metrics[horizon_s] = Counter(rules).most_common(1)[0][0] if len(rules) else "none"
        early = dataset.until(horizon_s)
        scores.setdefault(ROW_TREE, {})[horizon_s] = score_row_tree(early, plan, used, seed, services=names)
    if controls:
        shuffled = dataset.shuffle_labels(plan.units, seed)
        try:
            halves = plan_splits(shuffled.containers, folds=_CONTROL_FOLDS, **planned)
        except InputError:
            pass  # shuffling left nothing that could be split
        else:
            control = cross_validate(shuffled, halves, horizons, model, what="control", progress=progress, **same)
            scores[CONTROL] = _by_horizon(control, names, seed)
    return Evaluation(
        services=tuple(names),
        untested=plan.untested,
        horizons_s=horizons,
        columns=used,
        split=plan.description,
        predictions=predictions,
        scores=scores,
        idle=_by_horizon(predictions[predictions["activity"] == "idle"], names, seed),
        loaded=_by_horizon(predictions[predictions["activity"] == "loaded"], names, seed),
        rule_metrics=rule_metrics,
        n_deployments=len(set(plan.units)),
        n_containers=len(dataset.containers),
        n_rows=len(dataset.samples),
        seconds=time.monotonic() - began_s,
    )


def baseline_predictions(
    dataset: LabelledSamples, plan: Plan, horizons_s: Sequence[float], columns: Sequence[str] | None = None, *,
    seed: int = 0, **running: Any,
) -> Iterator[tuple[float, pd.DataFrame]]:  # fmt: skip
    """Cross-validate the simple baselines, each trained for the horizon that it predicts at.

    Parameters
    ----------
    dataset, plan, seed
        As for :func:`podlab.evaluation.cross_validate`.
    horizons_s : sequence of float
    columns : sequence of str, optional
    **running
        Further arguments of :func:`podlab.evaluation.cross_validate`.

    Yields
    ------
    float, DataFrame
        A horizon and the predictions of all baselines there.
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


def _by_horizon(predictions: pd.DataFrame, services: Sequence[str], seed: int, answer: str = "predicted") -> ByHorizon:
    return {
        horizon_s: score_predictions(
            predictions[predictions["horizon_s"] == horizon_s], answer, services=services, seed=seed
        )
        for horizon_s in sorted(predictions["horizon_s"].unique().tolist())
    }


def _listed(scores: ByHorizon) -> list[dict[str, Any]]:
    return [{"horizon_s": horizon_s, **own.to_json()} for horizon_s, own in scores.items()]
