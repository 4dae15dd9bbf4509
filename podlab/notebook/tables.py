"""Tables for people from what an evaluation found: the numbers that matter, with their intervals in words."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from podlab.evaluation import Evaluation
from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.result import CONTROL, MODEL, ByHorizon
from podlab.notebook.numbers import format_number


def interval(estimate: Estimate) -> str:
    """Write an interval in words, ``-`` where it is undefined."""
    return _interval(estimate.low, estimate.high)


def headlines(evaluation: Evaluation) -> dict[str, Any]:
    """Gather what the report's first screen tells.

    Returns
    -------
    dict
        ``n_services``, ``n_deployments``, ``n_containers``, ``chance``; ``headlines``, one object per horizon with
        ``horizon_s`` and ``macro_f1`` (``value, low, high``); and ``control``, such an object, if there is a control.
    """
    told = evaluation.to_json()
    facts = {name: told[name] for name in ("n_deployments", "n_containers", "chance")}
    facts["n_services"] = len(evaluation.services) - len(evaluation.untested)
    for name, scores in (("headlines", told["scores"]), ("control", told["control"])):
        facts[name] = [{"horizon_s": each["horizon_s"], "macro_f1": each["macro_f1"]} for each in scores]
    # One control is enough for a first screen: that of the longest look.
    control = facts.pop("control")
    return facts | ({"control": control[-1]} if control else {})


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """Tell podlab's scores by seconds observed: one line per horizon."""
    return pd.DataFrame(
        [
            {
                "seconds observed": int(horizon_s),
                "macro-F1": scores.macro_f1.value,
                "its 95 % interval": interval(scores.macro_f1),
                "balanced accuracy": scores.balanced_accuracy.value,
                "accuracy": scores.accuracy.value,
                "macro precision": scores.macro_precision.value,
                "answered": scores.share_answered.value,
                "calibration error": scores.calibration_error.value,
                "deployments": scores.n_deployments,
                "containers": scores.n_containers,
            }
            for horizon_s, scores in evaluation.scores.items()
        ]
    )


def comparison_table(evaluation: Evaluation) -> pd.DataFrame:
    """Tell the macro-F1 of podlab, of each baseline and of the control: one line each, one column per horizon."""
    told: dict[str, ByHorizon] = {MODEL: evaluation.scores, **evaluation.baselines}
    if evaluation.control:
        told[CONTROL] = evaluation.control
    return pd.DataFrame(
        [
            {"who": who}
            | {f"{horizon_s:g} s": f"{format_number(scores.macro_f1.value)} ({interval(scores.macro_f1)})"
               for horizon_s, scores in by_horizon.items()}
            for who, by_horizon in told.items()
        ]
    )  # fmt: skip


def load_table(evaluation: Evaluation) -> pd.DataFrame:
    """Tell idle and loaded containers apart: one line per horizon and kind; empty where nobody said which is which."""
    rows = [
        {
            "containers": name,
            "seconds observed": int(horizon_s),
            "macro-F1": scores.macro_f1.value,
            "its 95 % interval": interval(scores.macro_f1),
            "balanced accuracy": scores.balanced_accuracy.value,
            "deployments": scores.n_deployments,
        }
        for name, by_horizon in (("idle", evaluation.idle), ("loaded", evaluation.loaded))
        for horizon_s, scores in by_horizon.items()
    ]
    return pd.DataFrame(rows)


def service_table(evaluation: Evaluation, horizon_s: float) -> pd.DataFrame:
    """Tell each service's recall, precision and F1 at one horizon."""
    table = evaluation.scores[horizon_s].per_service
    return pd.DataFrame(
        {
            "service": table["service"],
            "recall": table["recall"],
            "its 95 % interval": [
                _interval(*pair) for pair in zip(table["recall_low"], table["recall_high"], strict=True)
            ],
            "precision": table["precision"],
            "F1": table["f1"],
            "decisions": table["support"],
        }
    )


def leak_words(leak: pd.DataFrame) -> pd.DataFrame:
    """Tell the rungs of :func:`podlab.evaluation.leak.leak_table` for people."""
    return pd.DataFrame(
        {
            "protocol": leak["protocol"],
            "trained on": leak["trained_on"],
            "decides on": "each " + leak["decides_on"],
            "accuracy": leak["accuracy"],
            "macro-F1": leak["macro_f1"],
            "its 95 % interval": [
                _interval(*pair) for pair in zip(leak["macro_f1_low"], leak["macro_f1_high"], strict=True)
            ],
            "best guess": leak["best_guess"],
        }
    )


def deployment_curve_words(curve: pd.DataFrame) -> pd.DataFrame:
    """Tell the points of :func:`podlab.evaluation.curves.deployment_curve` for people."""
    return pd.DataFrame(
        {
            "deployments of each service": curve["deployments"],
            "macro-F1": curve["macro_f1"],
            "its 95 % interval": [_interval(*pair) for pair in zip(curve["low"], curve["high"], strict=True)],
            "accuracy": curve["accuracy"],
        }
    )


def row_curve_words(curve: pd.DataFrame) -> pd.DataFrame:
    """Tell some points of :func:`podlab.evaluation.curves.row_curve`: 1, 2, 5, 10, 20, 50, ... rows and the last."""
    largest = int(curve["rows"].max())
    wanted = {step * 10**power for power in range(6) for step in (1, 2, 5)} | {largest}
    wide = curve[curve["rows"].isin(wanted)].pivot_table(index="rows", columns="split", values="accuracy")
    names = {"same deployments": "accuracy, rows of the same deployments",
             "other deployments": "accuracy, rows of other deployments"}  # fmt: skip
    return wide[list(names)].rename(columns=names).rename_axis("rows trained on").reset_index()


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) or math.isnan(high) else f"{format_number(low)} to {format_number(high)}"
