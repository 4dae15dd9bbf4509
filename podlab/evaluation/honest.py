"""How well services are identified in deployments that training never saw, and what that must be compared with."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.evaluation.compare import score_baselines
from podlab.evaluation.dataset import Dataset, load_of, read_dataset
from podlab.evaluation.folds import Fold, answer_folds
from podlab.evaluation.result import Evaluation
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.splits import Plan, plan_splits
from podlab.identify import Prediction
from podlab.progress import Progress

log = logging.getLogger(__name__)

#: Seconds observed at which identification is scored.
HORIZONS_S = (10.0, 30.0, 60.0, 120.0)
_CONTROL_FOLDS = 2
#: Of which the original's tree learns one and is asked about the other.
_FEWEST_ROWS = 2


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
        Seconds observed at which to answer. Neither training nor answering sees rows after the longest. Those at
        which no container shows a sample are left out with a warning.
    folds, iterations, training_ratio
        See :func:`podlab.evaluation.splits.plan_splits`.
    columns : sequence of str, optional
        Metric columns to learn from, from :func:`podlab.evaluation.filters.features_of`; by default all.
    seed : int
        Of splits, training, shuffling and bootstrap.
    jobs : int, optional
        How many folds are trained at once, each in a process; by default as many as there are cores.
    controls : bool
        Also train on shuffled labels, in two folds: labels without meaning are not learned any better from more
        deployments, and five folds would double the time.
    progress : callable, optional
        Called after each fold.

    Returns
    -------
    Evaluation
        Scores by seconds observed, with baselines and the control beside them.

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

    shuffled = dataset.shuffle_labels(plan.units, seed) if controls else None
    control_plan = _plan_control(shuffled, folds=_CONTROL_FOLDS, **planned)
    folds_of_model = [Fold(dataset, split.train, split.test, "fold") for split in plan.splits]
    folds_of_control = []
    if shuffled is not None and control_plan is not None:
        folds_of_control = [Fold(shuffled, split.train, split.test, "control") for split in control_plan.splits]
    answers = answer_folds(
        [*folds_of_model, *folds_of_control],
        group=group, horizons_s=horizons, columns=used, seed=seed, jobs=jobs, progress=progress,
    )  # fmt: skip
    names = sorted(set(plan.services))
    decisions = _decisions(dataset, plan, answers[: len(folds_of_model)])
    control = {}
    if shuffled is not None and control_plan is not None:
        control = _by_horizon(_decisions(shuffled, control_plan, answers[len(folds_of_model) :]), names, seed)
    baselines, rule_metrics = score_baselines(dataset, plan, horizons, used, names, seed)
    load = decisions["load"]
    return Evaluation(
        services=tuple(names),
        untested=plan.untested,
        horizons_s=horizons,
        columns=used,
        split=plan.description,
        decisions=decisions,
        scores=_by_horizon(decisions, names, seed),
        best_guess=_by_horizon(decisions, names, seed, "best_guess"),
        idle=_by_horizon(decisions[load == "idle"], names, seed),
        loaded=_by_horizon(decisions[load == "loaded"], names, seed),
        baselines=baselines,
        rule_metrics=rule_metrics,
        control=control,
        n_deployments=len(set(plan.units)),
        n_containers=len(dataset.containers),
        n_rows=len(dataset.samples),
        seconds=time.monotonic() - began_s,
    )


def _with_samples(dataset: Dataset, horizons: tuple[float, ...]) -> tuple[float, ...]:
    """Leave out horizons at which next to nothing was seen of all containers together."""
    offset_s = dataset.offset_s()
    shown = tuple(horizon_s for horizon_s in horizons if np.sum(offset_s < horizon_s) >= _FEWEST_ROWS)
    for horizon_s in sorted(set(horizons) - set(shown)):
        log.warning("no container shows a sample within %g s: left out", horizon_s)
    if not shown:
        raise InputError("no container shows a sample by then", where="horizons", hint="choose longer ones")
    return shown


def _plan_control(shuffled: Dataset | None, **planned: Any) -> Plan | None:
    """Plan the control's splits; None where shuffling left nothing that could be split."""
    if shuffled is None:
        return None
    try:
        return plan_splits(shuffled.containers, **planned)
    except InputError:
        return None


def _decisions(dataset: Dataset, plan: Plan, answers: Sequence[dict[float, list[Prediction]]]) -> pd.DataFrame:
    """Put the answers of all splits into a table: one line per container tested, horizon and iteration."""
    found = []
    for split, by_horizon in zip(plan.splits, answers, strict=True):
        containers = dataset.containers.iloc[split.test]
        for horizon_s, own in by_horizon.items():
            found.append(
                pd.DataFrame(
                    {
                        "position": split.test,
                        "unit": plan.units[split.test],
                        "pod": containers["pod"].to_numpy(object),
                        "container": containers["container"].to_numpy(object),
                        "load": load_of(containers),
                        "iteration": split.iteration,
                        "horizon_s": horizon_s,
                        "service": plan.services[split.test],
                        "answer": pd.array([answer.service for answer in own], dtype="str"),
                        "best_guess": pd.array([next(iter(answer.candidates), None) for answer in own], dtype="str"),
                        "confidence": [answer.confidence for answer in own],
                    }
                )
            )
    return pd.concat(found, ignore_index=True)


def _by_horizon(
    decisions: pd.DataFrame, services: Sequence[str], seed: int, said: str = "answer"
) -> dict[float, Scores]:
    scores = {}
    for horizon_s in sorted(decisions["horizon_s"].unique()):
        own = decisions[decisions["horizon_s"] == horizon_s]
        scores[float(horizon_s)] = score(
            own["service"].to_list(),
            [None if pd.isna(answer) else answer for answer in own[said]],
            own["unit"].to_list(),
            containers=own["position"].to_list(),
            confidence=own["confidence"].to_list(),
            services=services,
            seed=seed,
        )
    return scores
