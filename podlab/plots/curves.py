"""Figures of learning curves and of the leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from podlab.plots.style import BLUE, GREY, ORANGE, VERMILION, counted, new_figure, podlab_style, share_axis

_BEST_GUESS = "best guess, never unknown"
_SPLIT_COLOURS = {
    "random rows": VERMILION,
    "same deployments": VERMILION,
    "by deployment": BLUE,
    "other deployments": BLUE,
    "left out": ORANGE,
}


def plot_deployment_curve(curve: pd.DataFrame) -> Figure:
    """Draw macro-F1 by the number of training deployments.

    Parameters
    ----------
    curve : DataFrame
        From :func:`podlab.evaluation.deployment_curve`.
    """
    with podlab_style():
        figure = new_figure(6.8, 4.2)
        axes = figure.add_subplot()
        axes.fill_between(curve["deployments"], curve["low"], curve["high"], color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(curve["deployments"], curve["macro_f1"], "o-", color=BLUE, linewidth=2.2, label="podlab")
        chance = 1 / float(curve["n_services"].iloc[0])
        axes.axhline(chance, color=GREY, linestyle=":", linewidth=1.2, label="guessing")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("deployments of each service trained on")
        share_axis(axes, "y", "macro-F1 on other deployments")
        tested = int(curve["n_deployments"].max())
        axes.set_title(f"{counted(tested, 'deployment')} tested; band: 95 % interval over them", loc="left")
        axes.legend(loc="lower right", frameon=False)
    return figure


def plot_row_curve(curve: pd.DataFrame) -> Figure:
    """Draw the accuracy of the original's tree by the number of training rows.

    Parameters
    ----------
    curve : DataFrame
        From :func:`podlab.evaluation.row_curve`.
    """
    with podlab_style():
        figure = new_figure(6.8, 4.2)
        axes = figure.add_subplot()
        for split, dashes in (("same deployments", "-"), ("other deployments", "--")):
            own = curve[curve["split"] == split].sort_values("rows")
            colour = _SPLIT_COLOURS[split]
            axes.fill_between(own["rows"], own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
            axes.plot(own["rows"], own["accuracy"], dashes, color=colour, linewidth=2, label=f"rows of {split}")
        axes.set_xlabel("rows trained on, drawn at random")
        share_axis(axes, "y", "accuracy of the tree")
        iterations = int(curve["iterations"].max())
        axes.set_title(f"Mean of {counted(iterations, 'draw')}; bands: 95 % of them", loc="left")
        axes.legend(loc="lower right", title="tested on")
    return figure


def plot_leak(table: pd.DataFrame) -> Figure:
    """Draw macro-F1 from the original's protocol to whole kinds left out, with 95 % intervals over deployments.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.evaluation.leak_table`.
    """
    place = np.arange(len(table))[::-1]
    with podlab_style():
        figure = new_figure(8.0, 1.5 + 0.48 * len(table))
        axes = figure.add_subplot()
        value = table["macro_f1"]
        errors = [value - table["macro_f1_low"], table["macro_f1_high"] - value]
        for split in table["split"].unique():
            own = (table["split"] == split).to_numpy()
            axes.barh(place[own], value[own], color=_SPLIT_COLOURS[split], alpha=0.85, label=split)
        axes.errorbar(value, place, xerr=errors, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
        # The number stands behind its interval, and behind a diamond that is in its way.
        high, guess = table["macro_f1_high"], table["best_guess"]
        furthest = high.where((guess < high) | (guess > high + 0.15), guess)
        for where, own, behind in zip(place, value, furthest, strict=True):
            axes.annotate(f"{own:.3f}", (behind, where), xytext=(6, 0), textcoords="offset points", va="center")
        if (guessed := (guess != value).to_numpy()).any():
            (diamonds,) = axes.plot(guess[guessed], place[guessed], "D", color="white", label=_BEST_GUESS)
            diamonds.set_markeredgecolor("black")
        axes.axvline(float(table["chance"].iloc[0]), color="black", linestyle=":", linewidth=1.2, label="guessing")
        axes.set_yticks(place, table["protocol"].to_list())
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.14)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.set_xlabel("macro-F1")
        figure.suptitle("What the protocol alone is worth; lines: 95 % intervals over deployments", fontsize=11)
        figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure
