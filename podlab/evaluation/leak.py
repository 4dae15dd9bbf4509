"""The leak, rung by rung: from the original's protocol to one that tests what it claims to test.

Each rung takes away one thing that lets a tree recognise a container again instead of a service: first the names, then
the image's size, then the rows of the tested deployments themselves. Beyond the split by deployment, whole kinds that
training never saw are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podlab.evaluation.dataset import Dataset, read_dataset
from podlab.evaluation.filters import DEFAULT_FILTER, columns_of
from podlab.evaluation.left_out import kinds_of, score_left_out
from podlab.evaluation.original import TRAINING_RATIO, draw_rows, encode_rows, predict_rows
from podlab.evaluation.result import Evaluation
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.splits import Plan, plan_splits
from podlab.identify.observation import COMPANION_MIN_FRACTION


@dataclass(frozen=True)
class _Rung:
    """One protocol of the original's tree."""

    label: str
    metric_filter: str
    by_deployment: bool


_WORDS = {"load": "load pattern"}
_RUNGS = (
    _Rung("random rows, all columns", "all", False),
    _Rung("random rows, only numbers", "only-numbers", False),
    _Rung("random rows, no image size", DEFAULT_FILTER, False),
    _Rung("by deployment, all columns", "all", True),
    _Rung("by deployment, no image size", DEFAULT_FILTER, True),
)


def leak_table(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    evaluation: Evaluation | None = None,
    horizon_s: float = 60.0,
    folds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Score the original's tree under its own protocol and under stricter ones.

    Random rows are split as the original did: 10 % of the rows train, all others are tested. By deployment, the tree
    trains on all rows of four fifths of the deployments, far more than before, and is tested on those of the others.

    Parameters
    ----------
    samples, services, folds, seed
        As for :func:`podlab.evaluation.evaluate`.
    evaluation : Evaluation, optional
        Adds podlab's own scores, and those with each load pattern, version, profile (or configuration) and site left
        out in turn, where there are several.
    horizon_s : float
        Which of its horizons; the nearest is taken.

    Returns
    -------
    DataFrame
        ``protocol``, ``split`` (``random rows``, ``by deployment`` or ``left out``), ``learner``, ``metric_filter``,
        ``trained_on`` (in words), ``decides_on`` (``row`` or ``container``), ``accuracy, accuracy_low,
        accuracy_high``, ``macro_f1, macro_f1_low, macro_f1_high``, ``best_guess, best_guess_low, best_guess_high``
        (macro-F1 of the most probable service, also where the answer is unknown), ``n_decisions, n_containers,
        n_deployments`` (tested), ``chance``.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`.
    """
    dataset = read_dataset(samples, services)
    plan = plan_splits(dataset.containers, folds=folds, seed=seed)
    lines: list[dict[str, object]] = []
    for rung in _RUNGS:
        scores = _score_rung(dataset, plan, rung, seed)
        trained = f"{100 * (1 - 1 / plan.description['folds']):.0f} % of deployments"
        lines.append(
            {
                "protocol": rung.label,
                "split": "by deployment" if rung.by_deployment else "random rows",
                "learner": "tree on rows",
                "metric_filter": rung.metric_filter,
                "trained_on": trained if rung.by_deployment else f"{100 * TRAINING_RATIO:.0f} % of rows",
                "decides_on": "row",
                **_told(scores, scores),
            }
        )
    if evaluation is not None:
        lines += _rungs_of_podlab(dataset, evaluation, horizon_s, seed, jobs)
    return pd.DataFrame(lines).assign(chance=1 / (len(set(plan.services)) - len(plan.untested)))


def _rungs_of_podlab(
    dataset: Dataset, evaluation: Evaluation, horizon_s: float, seed: int, jobs: int | None
) -> list[dict[str, object]]:
    horizons_s = sorted(evaluation.scores)
    nearest = min(horizons_s, key=lambda horizon: abs(horizon - horizon_s))
    # Experts for shorter horizons have no say by then.
    heard_s = [horizon for horizon in horizons_s if COMPANION_MIN_FRACTION * nearest <= horizon <= nearest]
    same = {
        "learner": "podlab",
        "metric_filter": _name_filter(evaluation.columns, dataset),
        "decides_on": "container",
    }
    lines: list[dict[str, object]] = [
        {
            "protocol": f"by deployment, podlab after {nearest:g} s",
            "split": "by deployment",
            "trained_on": f"{evaluation.split['kind']} ({evaluation.split['folds']})",
            **same,
            **_told(evaluation.scores[nearest], evaluation.best_guess[nearest]),
        }
    ]
    for kind in kinds_of(dataset.containers):
        answered, guessed, how = score_left_out(
            dataset, kind, horizons_s=heard_s, horizon_s=nearest, columns=evaluation.columns, seed=seed, jobs=jobs
        )
        lines.append(
            {
                "protocol": f"{_WORDS.get(kind, kind)} left out, podlab after {nearest:g} s",
                "split": "left out",
                "trained_on": how,
                **same,
                **_told(answered, guessed),
            }
        )
    return lines


def _score_rung(dataset: Dataset, plan: Plan, rung: _Rung, seed: int) -> Scores:
    X, _ = encode_rows(dataset.samples, columns_of(rung.metric_filter))
    truth = plan.services[dataset.code]
    if rung.by_deployment:
        sides = [
            (np.flatnonzero(np.isin(dataset.code, split.train)), np.flatnonzero(np.isin(dataset.code, split.test)))
            for split in plan.splits
        ]
    else:
        sides = [draw_rows(len(X), TRAINING_RATIO, seed)]
    answers = np.concatenate([predict_rows(X, truth, train, test, seed) for train, test in sides])
    tested = np.concatenate([test for _, test in sides])
    code = dataset.code[tested]
    return score(list(truth[tested]), list(answers), list(plan.units[code]), containers=list(code), seed=seed)


def _name_filter(columns: Sequence[str], dataset: Dataset) -> str:
    """Name the default filter if these are all the columns it lets through, else list them."""
    default = [name for name in columns_of(DEFAULT_FILTER) if name in dataset.samples]
    return DEFAULT_FILTER if list(columns) == default else ",".join(columns)


def _told(scores: Scores, guessed: Scores) -> dict[str, float]:
    estimates = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "best_guess": guessed.macro_f1}
    return {
        **{
            name + suffix: getattr(estimate, part)
            for name, estimate in estimates.items()
            for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
        "n_decisions": scores.n_decisions,
        "n_containers": scores.n_containers,
        "n_deployments": scores.n_deployments,
    }
