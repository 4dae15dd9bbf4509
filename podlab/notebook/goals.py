"""What was aimed at, and what was reached: the conditions of other clusters in one compact table."""

from __future__ import annotations

import pandas as pd

from podlab.evaluation import Conditions
from podlab.evaluation.conditions import TO_OTHER
from podlab.evaluation.scenarios import BIRTH, LONG, MACHINE, MIDLIFE, RECORDING, SELDOM
from podlab.notebook.tables import format_number

#: Macro-F1 to reach: group, condition, containers, and at least how much.
_LEAST = (
    (BIRTH, "10 s", "loaded", 0.80),
    (BIRTH, "30 s", "loaded", 0.92),
    (BIRTH, "60 s", "loaded", 0.96),
    (BIRTH, "120 s", "loaded", 0.98),
    (BIRTH, "120 s", "idle", 0.85),
    (MIDLIFE, "60 s of mid-life", "all", 0.85),
    (MIDLIFE, "300 s of mid-life", "all", 0.92),
    (MIDLIFE, "60 s of mid-life, no filesystem", "all", 0.75),
)
#: Macro-F1 that may be lost: group, end of the condition's name, and at most how much.
_MOST_LOST = ((SELDOM, "", 0.03), (MACHINE, "", 0.08), (RECORDING, TO_OTHER, 0.08))
_CALIBRATION_ERROR, _COVERAGE, _SET_SIZE = 0.02, (0.94, 0.97), 1.1
#: Macro-F1 may fall by so much from one horizon to a longer one.
_MAY_FALL = 0.01
YES, GUESSED, NO = "yes", "only if never unknown", "no"


def goals_table(found: Conditions, main: str = "60 s") -> pd.DataFrame:
    """Compare what was found with what was aimed at.

    Parameters
    ----------
    found : Conditions
    main : str
        The condition from birth by which confidence and sets are judged.

    Returns
    -------
    DataFrame
        ``what``, ``goal``, ``reached`` (``yes``; ``only if never unknown``: the most probable service reaches it, but
        answers of "unknown" count as wrong; ``no``), ``figure``, ``95 % interval``, ``best guess``, ``deployments``.
        Conditions that no container showed are left out.
    """
    lines = []
    for group, condition, containers, least in _LEAST:
        line = found.line(group, condition, containers)
        if line is not None:
            what = f"{condition}{' from birth' if group == BIRTH else ''}, {containers}"
            reached = (line["macro_f1"] >= least, line["best_guess"] >= least)
            lines.append(_tell(what, f"at least {least:.2f}", reached, line, "macro_f1", "best_guess"))
    lines += _falls(found)
    for group, ending, most in _MOST_LOST:
        own = found.table[(found.table["group"] == group) & found.table["condition"].str.endswith(ending)]
        for _, line in own[own["lost"].notna()].iterrows():
            what = f"lost: {line['condition']}"
            reached = (line["lost"] <= most, line["guess_lost"] <= most)
            lines.append(_tell(what, f"at most {most:.2f}", reached, line, "lost", "guess_lost"))
    sure = found.line(BIRTH, main)
    if sure is not None:
        low, high = _COVERAGE
        for name, what, goal, reached in (
            ("calibration_error", "calibration error", f"at most {_CALIBRATION_ERROR}",
             sure["calibration_error"] <= _CALIBRATION_ERROR),
            ("coverage", "coverage of the 95 % sets", f"{low} to {high}", low <= sure["coverage"] <= high),
            ("set_size", "mean size of the 95 % sets", f"at most {_SET_SIZE}", sure["set_size"] <= _SET_SIZE),
        ):  # fmt: skip
            lines.append(_tell(f"{main} from birth: {what}", goal, (reached, reached), sure, name, ""))
    return pd.DataFrame(lines)


def _falls(found: Conditions) -> list[dict[str, object]]:
    """Tell the largest fall of macro-F1 from one horizon to any longer one."""
    lines = []
    for group, what in ((BIRTH, "all"), (LONG, "those recorded for longest")):
        own = found.table[(found.table["group"] == group) & (found.table["containers"] == "all")]
        own = own[own["horizon_s"].notna()].sort_values("horizon_s")
        if len(own) < 2:
            continue
        answered, guessed = (float((own[name].cummax() - own[name]).max()) for name in ("macro_f1", "best_guess"))
        lines.append(
            {
                "what": f"fall from {own['horizon_s'].iloc[0]:g} to {own['horizon_s'].iloc[-1]:g} s, {what}",
                "goal": f"at most {_MAY_FALL}",
                "reached": _reached((answered <= _MAY_FALL, guessed <= _MAY_FALL)),
                "figure": f"{answered:.3f}",
                "95 % interval": "-",
                "best guess": f"{guessed:.3f}",
                "deployments": int(own["n_deployments"].max()),
            }
        )
    return lines


def _tell(
    what: str, goal: str, reached: tuple[bool, bool], line: pd.Series, name: str, guess: str
) -> dict[str, object]:
    spread = (line[name], line[f"{name}_low"], line[f"{name}_high"])
    return tell_goal(what, goal, reached, spread, line["n_deployments"], line[guess] if guess else None)


def tell_goal(
    what: str,
    goal: str,
    reached: tuple[bool, bool],
    figure: tuple[float, float, float],
    deployments: int,
    best_guess: float | None = None,
) -> dict[str, object]:
    """Put one goal into words: a line of :func:`goals_table`.

    Parameters
    ----------
    what, goal : str
    reached : tuple of (bool, bool)
        By the answers, and by the most probable service alone.
    figure : tuple of (float, float, float)
        With the ends of its 95 % interval.
    deployments : int
        That were tested.
    best_guess : float, optional
        The same figure of the most probable service.
    """
    digits = 3 if figure[0] < 2 else 1  # shares, or seconds
    value, low, high = (f"{number:.{digits}f}" for number in figure)
    return {
        "what": what,
        "goal": goal,
        "reached": _reached(reached),
        "figure": value,
        "95 % interval": f"{low} to {high}",
        "best guess": "-" if best_guess is None else f"{best_guess:.3f}",
        "deployments": int(deployments),
    }


def _reached(pair: tuple[bool, bool]) -> str:
    return YES if pair[0] else GUESSED if pair[1] else NO


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


def bake_off_words(table: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """Tell :attr:`podlab.evaluation.BakeOff.table` for people: one line for each method, a column for each horizon."""
    told = [
        f"{format_number(line['macro_f1'])} ({format_number(line['low'])} to {format_number(line['high'])})"
        for line in table.to_dict("records")
    ]
    wide = table.assign(told=told).pivot_table(index="method", columns="horizon_s", values="told", aggfunc="first")
    wide.columns = pd.Index([f"{horizon_s:g} s" for horizon_s in wide.columns])
    last = table[table["horizon_s"] == table["horizon_s"].max()].set_index("method")
    wide["idle, longest"] = last["idle_macro_f1"]
    wide["CPU-s to train"] = last["fit_cpu_s"]
    wide["CPU-ms to decide"] = last["answer_cpu_ms"]
    if not control.empty:
        wide["shuffled labels"] = control.set_index("method")["macro_f1"]
    return wide.loc[table["method"].unique()].reset_index()


def seldom_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.seldom.compare_seldom` for people."""
    return pd.DataFrame(
        {
            "who": table["who"],
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
