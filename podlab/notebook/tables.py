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
YES, NO, GUESSED, NOT_MEASURED = "✓ yes", "✗ no", "✗ only without unknown", "not measured"
_ORDER: Final = {NO: 0, GUESSED: 1, NOT_MEASURED: 2, YES: 3}


def interval_column(table: pd.DataFrame, low: str = "low", high: str = "high") -> list[str]:
    """Write the intervals between two columns, one text per row."""
    return [format_interval(*pair) for pair in zip(table[low], table[high], strict=True)]


def estimate_column(table: pd.DataFrame, value: str, low: str = "low", high: str = "high") -> list[str]:
    """Write a column of values with their intervals, one text per row."""
    return [format_estimate(*line) for line in zip(table[value], table[low], table[high], strict=True)]


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
        ``target``, ``goal``, ``reached`` (``✓ yes``, ``✗ no``, ``✗ only without unknown`` if the most probable
        service alone reaches it, or ``not measured``), ``value``, ``95 % interval``, ``without unknown``
        and ``deployments``.
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
    if value is None:
        reached = NOT_MEASURED
    elif target.is_reached(value):
        reached = YES
    else:
        reached = GUESSED if guess is not None and target.is_reached(guess) else NO
    return {
        "reached": reached,
        "value": _write(value, target),
        "95 % interval": format_interval(found.get("low"), found.get("high")),
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
