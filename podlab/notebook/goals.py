"""Tables of an evaluation under other conditions, and its targets."""

from __future__ import annotations

import pandas as pd

from podlab.evaluation import Conditions
from podlab.evaluation.scenarios import BIRTH, LONG, MACHINE, MIDLIFE, RECORDING, SELDOM
from podlab.evaluation.shift import TO_OTHER
from podlab.notebook.tables import compare_targets, format_number, measures_of, read_targets


def goals_table(found: Conditions, main: str = "60 s") -> pd.DataFrame:
    """Compare the targets of the notebook about conditions with what was found.

    Parameters
    ----------
    found : Conditions
    main : str
        The condition from birth by which confidence and sets are judged.

    Returns
    -------
    DataFrame
        As :func:`podlab.notebook.tables.compare_targets`. Conditions that no container showed are left out.
    """
    table = found.table.assign(
        scored="macro-F1: " + found.table["group"] + ", " + found.table["condition"] + ", " + found.table["containers"],
        dropped="drop: " + found.table["group"] + ", " + found.table["condition"],
    )
    scored = table[table["group"].isin([BIRTH, MIDLIFE])]
    measures = measures_of(scored, "macro_f1", guess="best_guess", label="scored")
    for group, ending in ((SELDOM, ""), (MACHINE, ""), (RECORDING, TO_OTHER)):
        own = table[(table["group"] == group) & table["condition"].str.endswith(ending) & table["lost"].notna()]
        measures |= measures_of(own, "lost", guess="guess_lost", label="dropped")
    for group, name in ((BIRTH, ""), (LONG, ", recorded longest")):
        own = table[(table["group"] == group) & (table["containers"] == "all") & table["horizon_s"].notna()]
        own = own.sort_values("horizon_s")
        if len(own) > 1:
            drops = [float((own[each].cummax() - own[each]).max()) for each in ("macro_f1", "best_guess")]
            measures[f"largest drop between horizons{name}"] = {
                "value": drops[0], "best_guess": drops[1], "deployments": int(own["n_deployments"].max()),
            }  # fmt: skip
    own = table[(table["group"] == BIRTH) & (table["condition"] == main) & (table["containers"] == "all")]
    for column, name in (
        ("calibration_error", "calibration error"),
        ("coverage", "coverage of the 95 % sets"),
        ("set_size", "mean size of the 95 % sets"),
    ):
        measures |= measures_of(own.assign(name=name), column, label="name")
    targets = [target for target in read_targets() if target.notebook == "06_identify"]
    compared = compare_targets(targets, measures)
    return compared[compared["value"] != "-"].reset_index(drop=True)


def spread(line: pd.Series, name: str) -> str:
    """Write the interval of one figure of a line of :attr:`podlab.evaluation.Conditions.table`."""
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    return "-" if pd.isna(low) or pd.isna(high) else f"{format_number(low)} to {format_number(high)}"


def conditions_words(table: pd.DataFrame, *, lost: bool = True) -> pd.DataFrame:
    """Tell lines of :attr:`podlab.evaluation.Conditions.table` for people.

    Parameters
    ----------
    table : DataFrame
    lost : bool
        Also tell what was lost, and against what.
    """
    words = pd.DataFrame(
        {
            "condition": table["condition"],
            "containers": table["containers"],
            "macro-F1": table["macro_f1"],
            "its 95 % interval": [spread(line, "macro_f1") for _, line in table.iterrows()],
            "best guess": table["best_guess"],
            "known": table["share_known"],
            "calibration error": table["calibration_error"],
            "deployments": table["n_deployments"],
        }
    )
    if lost:
        words.insert(4, "lost", table["lost"])
        words.insert(5, "lost, 95 %", [spread(line, "lost") for _, line in table.iterrows()])
        words.insert(7, "lost by best guess", table["guess_lost"])
        words["beside"] = table["beside"]
    return words.drop(columns="containers") if (table["containers"] == "all").all() else words


def sets_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell the 95 % sets of lines of :attr:`podlab.evaluation.Conditions.table` for people."""
    return pd.DataFrame(
        {
            "condition": table["condition"],
            "coverage": table["coverage"],
            "its 95 % interval": [spread(line, "coverage") for _, line in table.iterrows()],
            "worst service": table["worst_service"].where(table["worst_coverage"] < 1, "-"),
            "its coverage": table["worst_coverage"],
            "mean size": table["set_size"],
            "deployments": table["n_deployments"],
        }
    )


def seldom_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.sparse.compare_sparse_sampling` for people."""
    return pd.DataFrame(
        {
            "method": table["method"],
            "minutes": table["minutes"],
            "samples": table["samples"].astype(int),
            "macro-F1": table["macro_f1"],
            "its 95 % interval": _pairs(table, "low", "high"),
            "podlab ahead by": table["gain"],
            "its interval": _pairs(table, "gain_low", "gain_high"),
            "deployments": table["n_deployments"],
        }
    )


def _pairs(table: pd.DataFrame, low: str, high: str) -> list[str]:
    return [
        "-" if pd.isna(one) or pd.isna(other) else f"{format_number(one)} to {format_number(other)}"
        for one, other in zip(table[low], table[high], strict=True)
    ]
