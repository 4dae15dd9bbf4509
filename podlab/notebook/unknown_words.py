"""Tables for people about what no model knows, what it resembles, and rules for deciding in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from podlab.evaluation.metrics import Estimate
from podlab.evaluation.unknown import ALL, NOVELTY
from podlab.identify import Prediction
from podlab.notebook.tables import format_number, interval

_NO_BREAK = "\N{NO-BREAK SPACE}"


def separation_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.unknown.separation_table` for people, one line each."""
    return pd.DataFrame(
        {
            "seen": table["scenario"].str.replace(" of mid-life", ", mid-life").str.replace(" ", _NO_BREAK),
            "unknown": table["unknown"],
            "ordered by": table["by"],
            "AUROC": _spread(table, "auroc"),
            "pass at 95 %": _spread(table, "fpr_at_95"),
            "known kept": _spread(table, "known_kept"),
            "unknown refused": _spread(table, "unknown_caught"),
            "deployments": _text(table["n_known"]) + " + " + _text(table["n_unknown"]),
        }
    )


def separation_facts(table: pd.DataFrame, scenario: str) -> dict[str, Any]:
    """Gather what the report's overview tells of one scenario: scores with their intervals; empty if there is none."""
    own = table[(table["scenario"] == scenario) & (table["by"] == NOVELTY)] if len(table) else table
    return {
        str(line["unknown"]): {
            **{
                name: _estimate(line, name).to_json() for name in ("auroc", "fpr_at_95", "known_kept", "unknown_caught")
            },
            "n_known": line["n_known"],
            "n_unknown": line["n_unknown"],
        }
        for _, line in own.iterrows()
    }


def headline(facts: dict[str, Any]) -> str:
    """Say in a sentence how well strangers are told, from :func:`separation_facts`; empty if there are none."""
    if ALL not in facts:
        return ""
    own = facts[ALL]
    auroc, passing = (_written(own[name]) for name in ("auroc", "fpr_at_95"))
    return (
        f"AUROC {auroc}; where 95 % of the known pass, so do {passing} of the unknown "
        f"({own['n_known']} and {own['n_unknown']} deployments)."
    )


def service_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.unknown.by_unknown_service` for people."""
    return pd.DataFrame(
        {
            "unknown service": table["service"],
            "known relatives": table["near"],
            "AUROC": _spread(table, "auroc"),
            "refused": _spread(table, "caught"),
            "most like": table["taken_for"],
            "share of it": table["share"],
            "deployments": table["n_deployments"],
        }
    )


def similar_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.relatives.most_similar` for people."""
    return table.rename(
        columns={
            "service": "unknown service", "relatives": "known relatives", "most_similar": "most similar",
            "rank": "rank of the first relative", "n_deployments": "deployments",
        }
    )  # fmt: skip


def hit_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.relatives.relative_hits` for people."""
    return pd.DataFrame(
        {
            "a relative is among the": _text(table["top"]).replace({"1": "most similar", "3": "three most similar"}),
            "share of": table["of"],
            "hits": _spread(table, "hits"),
            "by chance": table["chance"],
            "number": table["n"],
        }
    )


def rule_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.early.compare_rules` for people."""
    return pd.DataFrame(
        {
            "rule": table["rule"],
            "median s": _spread(table, "median_s", digits=0),
            "mean s": table["mean_s"].round(1),
            "wrong at first": _spread(table, "first_error"),
            "wrong in the end": _spread(table, "error"),
            "taken back": _spread(table, "revised"),
            "no answer": _spread(table, "abstained"),
            "unknown refused": _spread(table, "unknown_refused"),
        }
    )


def rule_facts(table: pd.DataFrame) -> dict[str, Any]:
    """Gather what the report's overview tells of podlab's own rule."""
    line = table.iloc[0]
    names = ("median_s", "error", "revised", "abstained", "unknown_refused")
    return {name: _estimate(line, name).to_json() for name in names} | {"n_deployments": line["n_deployments"]}


def most_telling(answers: Sequence[Prediction]) -> int:
    """Choose whose answer is worth explaining: the least sure one of those that name a service, or of all.

    Returns
    -------
    int
        Its place among the answers.

    Raises
    ------
    ValueError
        If there is no answer.
    """
    passing = [place for place, answer in enumerate(answers) if answer.known] or range(len(answers))
    return min(passing, key=lambda place: answers[place].confidence)


def _estimate(line: pd.Series, name: str) -> Estimate:
    return Estimate(float(line[name]), float(line[f"{name}_low"]), float(line[f"{name}_high"]))


def _spread(table: pd.DataFrame, name: str, *, digits: int | None = None) -> list[str]:
    """Write values with their intervals, ``-`` where there is no value."""
    return [_write(_estimate(line, name), digits) for _, line in table.iterrows()]


def _write(own: Estimate, digits: int | None = None) -> str:
    if own.value != own.value:
        return "-"
    if digits is None:
        return f"{format_number(own.value)} ({interval(own)})"
    return f"{own.value:.{digits}f} ({own.low:.{digits}f} to {own.high:.{digits}f})"


def _written(own: dict[str, float]) -> str:
    return _write(Estimate(own["value"], own["low"], own["high"]))


def _text(numbers: pd.Series) -> pd.Series:
    return numbers.astype("int64").astype("str")
