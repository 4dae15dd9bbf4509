"""What an evaluation found, as tables for figures and as plain values for files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from podlab.evaluation.scores import HEADLINES, Scores

ByHorizon = dict[float, Scores]
#: What identification itself and its control are called beside the baselines.
MODEL = "podlab"
BEST_GUESS = "podlab, never unknown"
CONTROL = "shuffled labels"


@dataclass(frozen=True)
class Evaluation:
    """Scores of out-of-fold answers, by seconds observed.

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
    decisions : DataFrame
        One line per container tested, horizon and iteration: ``position, unit, pod, container, load,
        iteration, horizon_s, service, answer`` (missing = unknown), ``best_guess`` (the most probable service
        whether known or not), ``confidence`` (its probability).
    scores, idle, loaded : dict of float to Scores
        By horizon: of all containers, of those whose variant begins with ``idle``, and of those whose does not.
    best_guess : dict of float to Scores
        Of the most probable service also where the answer was unknown, as the baselines answer; its calibration error
        tells whether confidence is what it claims to be.
    baselines : dict of str to dict
        The same of each baseline. All use the same splits but the tree on random rows, whose decisions are rows.
    rule_metrics : dict of float to str
        The metric that the one-metric rule chose most often.
    control : dict of float to Scores
        Of the same training on labels shuffled by deployment; empty without controls.
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
    decisions: pd.DataFrame
    scores: ByHorizon
    idle: ByHorizon
    loaded: ByHorizon
    best_guess: ByHorizon
    baselines: dict[str, ByHorizon]
    rule_metrics: dict[float, str]
    control: ByHorizon
    n_deployments: int
    n_containers: int
    n_rows: int
    seconds: float

    @property
    def chance(self) -> float:
        """The accuracy of guessing: one by the number of tested services."""
        return 1 / (len(self.services) - len(self.untested))

    def to_frame(self) -> pd.DataFrame:
        """Tell every score of everyone at every horizon.

        Returns
        -------
        DataFrame
            ``who, containers, horizon_s, score, value, low, high, n_deployments, n_containers, n_decisions``, where
            ``containers`` is ``all``, ``idle`` or ``loaded``.
        """
        told = [
            (MODEL, "all", self.scores),
            (MODEL, "idle", self.idle),
            (MODEL, "loaded", self.loaded),
            (BEST_GUESS, "all", self.best_guess),
            *((name, "all", scores) for name, scores in self.baselines.items()),
            (CONTROL, "all", self.control),
        ]
        return pd.DataFrame(
            [
                {
                    "who": who,
                    "containers": containers,
                    "horizon_s": horizon_s,
                    "score": name,
                    "value": getattr(scores, name).value,
                    "low": getattr(scores, name).low,
                    "high": getattr(scores, name).high,
                    "n_deployments": scores.n_deployments,
                    "n_containers": scores.n_containers,
                    "n_decisions": scores.n_decisions,
                }
                for who, containers, by_horizon in told
                for horizon_s, scores in by_horizon.items()
                for name in HEADLINES
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
            an object has ``horizon_s``; ``macro_f1``, ``balanced_accuracy``, ``accuracy``, ``macro_precision``,
            ``share_answered`` and ``calibration_error``, each ``{value, low, high}`` with the
            95 % interval over deployments;
            ``n_deployments, n_containers, n_decisions``; ``confusion`` with ``services`` (null = unknown) and
            ``counts`` (rows are the truth); ``per_service`` with precision, recall and its interval, F1 and support.
            What is undefined is null.
        """
        return {
            "services": list(self.services),
            "untested": list(self.untested),
            "columns": list(self.columns),
            "n_deployments": self.n_deployments,
            "n_containers": self.n_containers,
            "n_rows": self.n_rows,
            "chance": self.chance,
            "split": self.split,
            "scores": _listed(self.scores),
            "idle": _listed(self.idle),
            "loaded": _listed(self.loaded),
            "best_guess": _listed(self.best_guess),
            "control": _listed(self.control),
            "baselines": {name: _listed(scores) for name, scores in self.baselines.items()},
            "rule_metrics": [{"horizon_s": h, "metric": metric} for h, metric in self.rule_metrics.items()],
            "seconds": round(self.seconds, 1),
        }


def _listed(scores: ByHorizon) -> list[dict[str, Any]]:
    return [{"horizon_s": horizon_s, **own.to_json()} for horizon_s, own in scores.items()]
