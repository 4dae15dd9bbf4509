"""Tables for people: how numbers and intervals are written, and the targets next to what was measured."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from podlab.errors import InputError
from podlab.evaluation.result import CONTROL, MODEL

if TYPE_CHECKING:
    from podlab.evaluation import Evaluation
    from podlab.evaluation.bootstrap import Estimate
    from podlab.evaluation.result import ByHorizon

#: Where the targets stand, below the project's root.
TARGETS_FILE: Final = Path("data/targets.toml")
YES, NO, GUESSED, NOT_MEASURED = "✓ yes", "✗ no", "✗ only without unknown", "not measured"
_ORDER: Final = {NO: 0, GUESSED: 1, NOT_MEASURED: 2, YES: 3}


def format_number(value: float) -> str:
    """Write a number with two decimals, with three where two would read 1.00 or 0.00 for something that is neither.

    Examples
    --------
    >>> format_number(0.876), format_number(0.9955), format_number(0.0004), format_number(1.0), format_number(-0.0001)
    ('0.88', '0.996', '0.000', '1.00', '0.000')
    """
    short = f"{value:.2f}"
    text = f"{value:.3f}" if float(short) in (0.0, 1.0) and float(short) != value else short
    return text.removeprefix("-") if float(text) == 0 else text


def format_interval(low: float | None, high: float | None) -> str:
    """Write an interval, ``-`` where it is undefined.

    Examples
    --------
    >>> format_interval(0.81, 0.93), format_interval(float("nan"), 1.0)
    ('0.81 to 0.93', '-')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "-"
    return f"{format_number(low)} to {format_number(high)}"


def format_estimate(value: float, low: float, high: float) -> str:
    """Write a value with its interval, such as ``0.88 (0.81 to 0.93)``; ``-`` where there is no value."""
    if math.isnan(value):
        return "-"
    interval = format_interval(low, high)
    return format_number(value) if interval == "-" else f"{format_number(value)} ({interval})"


def interval_column(table: pd.DataFrame, low: str = "low", high: str = "high") -> list[str]:
    """Write the intervals between two columns, one text per row."""
    return [format_interval(*pair) for pair in zip(table[low], table[high], strict=True)]


def estimate_column(table: pd.DataFrame, value: str, low: str = "low", high: str = "high") -> list[str]:
    """Write a column of values with their intervals, one text per row."""
    return [format_estimate(*line) for line in zip(table[value], table[low], table[high], strict=True)]


def interval(estimate: Estimate) -> str:
    """Write the interval of an estimate, ``-`` where it is undefined."""
    return format_interval(estimate.low, estimate.high)


@dataclass(frozen=True)
class Target:
    """A goal for one number that a notebook measures.

    Attributes
    ----------
    name : str
        What is to be reached, in words.
    notebook : str
        The notebook that measures it.
    measure : str
        The name under which it hands the number on (:meth:`podlab.notebook.results.Results.measure`).
    at_least, at_most : float or None
        The bounds; one or both.
    """

    name: str
    notebook: str
    measure: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"target {self.name!r} has neither at_least nor at_most")

    @property
    def goal(self) -> str:
        """The bounds in words."""
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_most is None else f"{self.at_least:g} to {self.at_most:g}"

    def is_reached(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def read_targets(path: Path = TARGETS_FILE) -> list[Target]:
    """Read the targets; none where there is no such file.

    Raises
    ------
    InputError
        If the file is not TOML, or an entry is not a target.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("target", [])
        return [Target(**entry) for entry in entries]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise InputError(f"not a list of targets: {error}", where=str(path), hint="see its first lines") from error


def compare_targets(targets: Sequence[Target], measures: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Compare targets with what was measured, missed targets first.

    Parameters
    ----------
    targets : sequence of Target
        A ``measure`` with ``*`` stands for each number that fits.
    measures : mapping of str to mapping
        By name: ``value``, and where known ``low``, ``high``, ``deployments`` and ``best_guess``: the same number if
        the most probable service counted where the answer was "unknown".

    Returns
    -------
    DataFrame
        ``target``, ``goal``, ``reached`` (``✓ yes``, ``✗ no``, ``✗ only without unknown`` if the best guess alone
        reaches it, or ``not measured``), ``value``, ``95 % interval``, ``best guess`` and ``deployments``.
    """
    rows = []
    for target in targets:
        matching = [name for name in measures if fnmatchcase(name, target.measure)]
        for name in matching or ([target.measure] if "*" not in target.measure else []):
            detail = f": {name.removeprefix(target.measure.partition('*')[0])}" if "*" in target.measure else ""
            rows.append({"target": target.name + detail, "goal": target.goal, **_judge(target, measures.get(name, {}))})
    columns = ["target", "goal", "reached", "value", "95 % interval", "best guess", "deployments"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("reached", key=lambda reached: reached.map(_ORDER), kind="stable", ignore_index=True)


def _judge(target: Target, found: Mapping[str, Any]) -> dict[str, Any]:
    value, guess = found.get("value"), found.get("best_guess")
    if value is None:
        reached = NOT_MEASURED
    elif target.is_reached(value):
        reached = YES
    else:
        reached = GUESSED if guess is not None and target.is_reached(guess) else NO
    return {
        "reached": reached,
        "value": _write(value),
        "95 % interval": format_interval(found.get("low"), found.get("high")),
        "best guess": _write(guess),
        "deployments": found.get("deployments"),
    }


def _write(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"


def measures_of(table: pd.DataFrame, name: str, *, guess: str = "", label: str) -> dict[str, dict[str, Any]]:
    """Take one number of each row of a table, with its interval, under the names in a column.

    Parameters
    ----------
    table : DataFrame
        With columns ``name``, ``name_low``, ``name_high`` and ``n_deployments``, and for a best guess ``guess``.
    name, guess, label : str
        The columns.
    """
    return {
        str(row[label]): {
            "value": float(row[name]),
            "low": float(row[f"{name}_low"]),
            "high": float(row[f"{name}_high"]),
            "deployments": int(row["n_deployments"]),
            "best_guess": float(row[guess]) if guess else None,
        }
        for row in table.to_dict("records")
    }


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
                format_interval(*pair) for pair in zip(table["recall_low"], table["recall_high"], strict=True)
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
                format_interval(*pair) for pair in zip(leak["macro_f1_low"], leak["macro_f1_high"], strict=True)
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
            "its 95 % interval": [format_interval(*pair) for pair in zip(curve["low"], curve["high"], strict=True)],
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
