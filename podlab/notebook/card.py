"""What the notebooks measured of a model, put into its bundle, where whoever gets the model finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from podlab.evaluation.scenarios import COLUMN_SETS, COLUMNS
from podlab.missing_columns import SCORE
from podlab.model import bundle
from podlab.model.bundle import BundleInfo
from podlab.notebook.results import read_results

_EVALUATE, _CONDITIONS, _UNKNOWN = "03_evaluate", "06_identify", "07_unknown_and_similar"
_DETECTORS = "09_detectors"


def put_on_card(folder: Path, reports: Path) -> BundleInfo:
    """Add to a model's scores what notebooks measured on the recordings that it was trained on.

    Results of other recordings are left out: they are another model's.

    Parameters
    ----------
    folder : Path
        The model's bundle. Its digest changes.
    reports : Path
        The folder of reports, with the notebooks' results.

    Raises
    ------
    InputError
        If the folder is no sound bundle, or a file of results is damaged.
    """
    trained_on = {each["sha256"] for each in bundle.verify(folder).manifest["recordings"]}
    own = {
        name: found
        for name, found in read_results(reports).items()
        if trained_on & {each["sha256"] for each in found["provenance"]["recordings"]}
    }
    measured: dict[str, Any] = {}
    if facts := own.get(_EVALUATE, {}).get("facts"):
        measured["deployments_held_out"] = _pick(facts, "split", "n_services", "n_deployments", "headlines", "control")
    if facts := own.get(_CONDITIONS, {}).get("facts", {}).get("conditions"):
        measured[SCORE] = _fewer_columns(facts["conditions"])
    if goals := [row for name in (_CONDITIONS, _EVALUATE, _UNKNOWN) for row in _goals(own.get(name, {}))]:
        measured["aimed_at_and_reached"] = goals
    if facts := own.get(_UNKNOWN, {}).get("facts"):
        measured["unknown_services"] = _pick(facts, "unknown_services", "unknown", "left_out", "anytime")
    if facts := own.get(_DETECTORS, {}).get("facts"):
        measured["detectors"] = _pick(facts, "per_start", "per_day", "days", "faults", "deployments")
        measured["detectors"]["aimed_at_and_reached"] = _goals(own[_DETECTORS])
    return bundle.add_scores(folder, measured)


def _goals(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rows of a notebook's table of targets, where it has one."""
    tables = results.get("tables", {})
    table = tables.get("targets") or tables.get("goals")
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] if table else []


def _fewer_columns(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick what fewer families of columns cost on all containers; what could not be measured is left out."""
    kept = ("condition", "horizon_s", "n_deployments", "macro_f1", "lost", "lost_low", "lost_high", "guess_lost")
    return [
        {**_pick(row, *kept), "families": list(COLUMN_SETS[row["condition"]])}
        for row in conditions
        if row["group"] == COLUMNS and row["containers"] == "all" and row["lost"] is not None
    ]


def _pick(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}
