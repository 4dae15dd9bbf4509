"""Tables for people: columns of intervals, and the targets next to what was measured."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pandas as pd

from podlab.data.units import format_estimate, format_interval, format_number
from podlab.errors import InputError

#: Where the targets stand, below the project's root.
TARGETS_FILE: Final = Path("data/targets.toml")
YES, NO, GUESSED, OPEN = "✓ yes", "✗ no", "✗ only without unknown", "? not decided"
NOT_MEASURED: Final = "not measured"
_ORDER: Final = {NO: 0, GUESSED: 1, OPEN: 2, NOT_MEASURED: 3, YES: 4}


def interval_column(table: pd.DataFrame, low: str = "low", high: str = "high") -> list[str]:
    """Write the intervals between two columns, one text per row."""
    return [format_interval(*pair) for pair in zip(table[low], table[high], strict=True)]


def estimate_column(table: pd.DataFrame, value: str, low: str = "low", high: str = "high") -> list[str]:
    """Write a column of values with their intervals, one text per row."""
    return [format_estimate(*line) for line in zip(table[value], table[low], table[high], strict=True)]


def format_p(value: float) -> str:
    """Write a probability of chance; below a thousandth only that.

    Examples
    --------
    >>> format_p(0.0004), format_p(0.0149)
    ('< 0.001', '0.01')
    """
    return "< 0.001" if value < 0.001 else format_number(value)


@dataclass(frozen=True)
class Target:
    """A goal for one number that a notebook measures."""

    name: str  # what is to be reached, in words
    notebook: str  # the notebook that measures it
    #: The name under which it hands the number on (:meth:`podlab.notebook.results.Results.measure`).
    measure: str
    #: The bounds; one or both.
    at_least: float | None = None
    at_most: float | None = None
    #: Whether the report shows it before it is opened.
    essential: bool = False

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"target {self.name!r} has neither at_least nor at_most")

    @property
    def goal(self) -> str:
        """The bounds in words."""
        low, high = (bound if bound is None else format_number(bound) for bound in (self.at_least, self.at_most))
        if low and high:
            return f"{low} to {high}"
        return f"at least {low}" if low else f"at most {high}"

    def is_reached(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def read_targets(path: Path = TARGETS_FILE) -> list[Target]:
    """Read the targets; none where there is no such file.

    Raises InputError if the file is not TOML, or an entry is not a target.
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
        ``target``, ``goal``, ``reached``, ``value``, ``95 % interval``, ``without unknown`` and ``deployments``.
        ``reached`` is ``✓ yes`` where the whole interval meets the goal, ``✗ no`` where the value does not (``✗ only
        without unknown`` if that of the most probable service does), ``? not decided`` where the value does but has no
        interval or one that goes beyond the goal, or ``not measured``.
    """
    rows = []
    for target in targets:
        matching = [name for name in measures if fnmatchcase(name, target.measure)]
        for name in matching or ([target.measure] if "*" not in target.measure else []):
            detail = f": {name.removeprefix(target.measure.partition('*')[0])}" if "*" in target.measure else ""
            rows.append({"target": target.name + detail, "goal": target.goal, **_judge(target, measures.get(name, {}))})
    columns = ["target", "goal", "reached", "value", "95 % interval", "without unknown", "deployments"]
    table = pd.DataFrame(rows, columns=columns).astype({"deployments": "Int64"})
    return table.sort_values("reached", key=lambda reached: reached.map(_ORDER), kind="stable", ignore_index=True)


def _judge(target: Target, found: Mapping[str, Any]) -> dict[str, Any]:
    value, guess = found.get("value"), found.get("best_guess")
    ends = found.get("low"), found.get("high")
    if value is None:
        reached = NOT_MEASURED
    elif target.is_reached(value):
        reached = YES if all(end is not None and target.is_reached(end) for end in ends) else OPEN
    else:
        reached = GUESSED if guess is not None and target.is_reached(guess) else NO
    return {
        "reached": reached,
        "value": _write(value, target),
        "95 % interval": "-" if None in ends else " to ".join(_write(end, target) for end in ends),
        "without unknown": _write(guess, target),
        "deployments": found.get("deployments"),
    }


def _write(value: float | None, target: Target) -> str:
    """Write a value, with more digits where the rounded one would seem to miss a goal that it reaches, or reach it."""
    if value is None:
        return "-"
    reached = target.is_reached(value)
    texts = [format_number(value), *(f"{value:.{digits}f}" for digits in (3, 4, 5))]
    return next((text for text in texts if target.is_reached(float(text.replace(",", ""))) == reached), repr(value))
