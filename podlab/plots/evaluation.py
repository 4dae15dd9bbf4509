"""Figures of an evaluation: scores by horizon, calibration, the leak, other conditions, and other classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from podlab.evaluation.metrics import Scores
from podlab.evaluation.summary import BEST_GUESS, CONTROL, MODEL
from podlab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    begin_axis,
    counted,
    new_figure,
    podlab_style,
    share_axis,
)

if TYPE_CHECKING:
    from podlab.evaluation import Benchmark

_LINES = {
    MODEL: (BLUE, "o", "-"),
    BEST_GUESS: (BLUE, "", "--"),
    "1-NN": (GREEN, "s", "--"),
    "tree": (ORANGE, "^", "--"),
    "one-metric rule": (PURPLE, "D", "--"),
    "majority class": (SKY, "v", ":"),
    "tree, random rows": (VERMILION, "X", "-."),
    CONTROL: (GREY, "x", ":"),
}


def plot_by_horizon(table: pd.DataFrame, *, score: str = "macro_f1", chance: float | None = None) -> Figure:
    """Draw a score by seconds observed, with baselines and the control.

    Parameters
    ----------
    table : DataFrame
        From :meth:`podlab.evaluation.Evaluation.to_frame`.
    score : str
        Which of its scores.
    chance : float, optional
        Draws a line there.
    """
    chosen = table[table["containers"] == "all"] if "containers" in table else table
    with podlab_style():
        figure = new_figure(8.0, 4.4)
        axes = figure.add_subplot()
        for who, (colour, marker, dashes) in _LINES.items():
            own = chosen[chosen["method"] == who].sort_values("horizon_s")
            if own.empty:
                continue
            heavy = who == MODEL
            axes.plot(
                own["horizon_s"], own[score], color=colour, marker=marker, linestyle=dashes, label=who,
                linewidth=2.4 if heavy else 1.3, markersize=7 if heavy else 5, zorder=3 if heavy else 2,
            )  # fmt: skip
            if who in (MODEL, CONTROL):
                low, high = own[f"{score}_low"], own[f"{score}_high"]
                axes.fill_between(own["horizon_s"], low, high, color=colour, alpha=0.18, linewidth=0)
        if chance is not None:
            axes.axhline(chance, color="black", linewidth=0.9, linestyle=(0, (1, 3)), label="guessing")
        ticks = sorted(chosen["horizon_s"].unique())
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("seconds observed since the container's start")
        share_axis(axes, "y", _NAMES.get(score, score))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        number = int(chosen.loc[chosen["method"] == MODEL, "n_deployments"].max())
        axes.set_title(
            f"{_NAMES.get(score, score)} on {counted(number, 'deployment')}; bands: 95 % intervals over deployments",
            loc="left",
        )
    return figure


_NAMES = {
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_precision": "macro precision",
    "share_answered": "share answered",
    "calibration_error": "calibration error",
}


def plot_reliability(scores: Scores, *, title: str = "Does confidence keep its promise?") -> Figure:
    """Draw how often answers were right by the confidence they claimed; on the diagonal it is kept."""
    table = scores.reliability
    with podlab_style():
        figure = new_figure(5.4, 4.8)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="promise kept")
        if len(table):
            size = 30 + 270 * table["decisions"] / table["decisions"].max()
            axes.plot(table["confidence"], table["accuracy"], color=BLUE, linewidth=1.2)
            axes.scatter(table["confidence"], table["accuracy"], s=size, color=BLUE, alpha=0.6, label="answers")
            for point in table.itertuples():
                axes.annotate(
                    str(point.decisions), (point.confidence, point.accuracy), xytext=(0, -15),
                    textcoords="offset points", ha="center", va="center", fontsize=8,
                )  # fmt: skip
        share_axis(axes, "x", "claimed confidence (mean of a bin)")
        share_axis(axes, "y", "share of answers that were right")
        axes.set_title(f"{title}\nexpected calibration error {scores.calibration_error}", loc="left")
        axes.legend(loc="upper left", frameon=False, markerscale=0.6)
    return figure


_BEST_GUESS = "best guess, without unknown"
_SPLIT_COLOURS = {
    "random rows": VERMILION,
    "same deployments": VERMILION,
    "by deployment": BLUE,
    "other deployments": BLUE,
    "left out": ORANGE,
}


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
        figure.suptitle("Macro-F1 by protocol; lines: 95 % intervals over deployments", fontsize=11)
        figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


#: The look of each kind of containers.
_KINDS = {"all": (BLUE, "o", "-"), "loaded": (GREEN, "s", "--"), "idle": (ORANGE, "^", ":")}


def plot_by_age(starts: pd.DataFrame, long: pd.DataFrame) -> Figure:
    """Draw macro-F1 by seconds observed: all, loaded and idle containers, and those recorded longest.

    Parameters
    ----------
    starts, long : DataFrame
        Lines of :attr:`podlab.evaluation.Conditions.table` since the start that have a horizon; the second one of
        containers recorded for the longest horizon, perhaps empty.
    """
    with podlab_style():
        figure = new_figure(7.6, 4.4)
        axes = figure.add_subplot()
        lines = [(kind, starts[starts["containers"] == kind], _KINDS[kind]) for kind in _KINDS]
        lines.append(("recorded longest", long, (VERMILION, "D", "-.")))
        for kind, own, (colour, marker, dashes) in lines:
            if own.empty:
                continue
            label = f"{kind} ({counted(int(own['n_deployments'].max()), 'deployment')})"
            axes.plot(own["horizon_s"], own["macro_f1"], color=colour, marker=marker, linestyle=dashes, label=label)
            if kind == "all":
                axes.fill_between(
                    own["horizon_s"], own["macro_f1_low"], own["macro_f1_high"], color=colour, alpha=0.18, linewidth=0
                )
                axes.plot(own["horizon_s"], own["best_guess"], color=colour, linewidth=1, alpha=0.7, linestyle="--",
                          label="all, best guess")  # fmt: skip
        ticks = sorted({*starts["horizon_s"], *long["horizon_s"]})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("seconds observed since the container's start")
        begin_axis(axes, "y", pd.concat([starts, long])[["macro_f1_low", "macro_f1"]])
        axes.set_title("Macro-F1 by seconds observed; band: 95 % interval", loc="left")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def plot_conditions(table: pd.DataFrame, title: str) -> Figure:
    """Draw macro-F1 under some conditions, one line each in the order of the table.

    Parameters
    ----------
    table : DataFrame
        Lines of :attr:`podlab.evaluation.Conditions.table`.
    title : str
        Above the figure.
    """
    place = np.arange(len(table))[::-1]
    with podlab_style():
        figure = new_figure(8.4, 1.9 + 0.36 * len(table))
        axes = figure.add_subplot()
        for name, colour, marker, shift, label in (
            ("macro_f1", BLUE, "o", 0.12, "unknown counts as wrong"),
            ("best_guess", ORANGE, "D", -0.12, "best guess, without unknown"),
        ):
            axes.hlines(
                place + shift, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=3, alpha=0.4
            )
            axes.plot(table[name], place + shift, marker, color=colour, markersize=6, label=label)
        labels = [f"{name} ({n})" for name, n in zip(table["condition"], table["n_deployments"], strict=True)]
        axes.set_yticks(place, labels)
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.grid(visible=False, axis="y")
        begin_axis(axes, "x", table[["macro_f1_low", "best_guess_low"]])
        figure.suptitle(f"{title} (deployments); lines: 95 % intervals", fontsize=11)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


#: The method that is podlab's own begins with its name.
_OWN = "podlab"


def plot_critical_difference(found: Benchmark) -> Figure:
    """Draw mean ranks on a line; bars join methods that are not significantly different (after Demsar 2006, figure 1).

    Parameters
    ----------
    found : Benchmark
        From :func:`podlab.evaluation.run_benchmark`.
    """
    ranks = found.ranks["mean_rank"].to_numpy(np.float64)
    methods = found.ranks["method"].to_list()
    last, count = len(methods), len(methods)
    with podlab_style():
        figure = new_figure(8.6, 1.6 + 0.32 * (count + len(found.cliques)))
        axes = figure.add_subplot()
        axes.grid(visible=False)
        base = 0.8 + 0.55 * len(found.cliques)
        for number, (rank, method) in enumerate(zip(ranks, methods, strict=True)):
            left = number < (count + 1) // 2
            height = base + 0.6 + 0.8 * (number if left else count - 1 - number)
            colour = BLUE if method.startswith(_OWN) else "black"
            side = 0.7 if left else last + 0.3
            axes.plot([rank, rank, side], [0, height, height], color=colour, linewidth=1.6 if colour == BLUE else 1.0)
            axes.annotate(
                f"{method}  {rank:.1f}" if left else f"{rank:.1f}  {method}", (side, height), color=colour,
                xytext=(-4 if left else 4, 0), textcoords="offset points", ha="right" if left else "left", va="center",
            )  # fmt: skip
        place = dict(zip(methods, ranks, strict=True))
        for number, clique in enumerate(found.cliques):
            ends = [place[clique[0]] - 0.06, place[clique[-1]] + 0.06]
            axes.plot(ends, [0.45 + 0.55 * number] * 2, color=VERMILION, linewidth=4, solid_capstyle="butt")
        axes.plot([1, 1 + found.critical_difference], [-1.6, -1.6], color=GREY, linewidth=2, marker="|")
        label = f"critical difference {found.critical_difference:.2f} (Nemenyi)"
        axes.annotate(label, (1 + found.critical_difference, -1.6), xytext=(6, 0), textcoords="offset points",
                      va="center", color=GREY)  # fmt: skip
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.spines["bottom"].set_position(("data", 0))
        axes.set(xlim=(0.6, last + 0.4), ylim=(-2.0, base + 0.6 + 0.8 * ((count + 1) // 2)), yticks=[])
        axes.set_xticks(range(1, last + 1))
        axes.tick_params(axis="x", bottom=True)
        cases = counted(len(found.cases), "case")
        figure.suptitle(
            f"Mean rank over {cases} (folds x horizons), 1 is best; red bars: not significantly different", fontsize=11
        )
    return figure


def plot_costs(found: Benchmark) -> Figure:
    """Draw macro-F1 against processor time, of training and of deciding, at the shortest horizon: the hardest one.

    Parameters
    ----------
    found : Benchmark
        From :func:`podlab.evaluation.run_benchmark`.
    """
    shortest_s = found.table["horizon_s"].min()
    table = found.table[found.table["horizon_s"] == shortest_s].reset_index(drop=True)
    with podlab_style():
        figure = new_figure(9.2, 4.8)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, cost, label in (
            (panels[0], "fit_cpu_s", "CPU-seconds of one training"),
            (panels[1], "answer_cpu_ms", "CPU-milliseconds of one decision, features not counted"),
        ):
            _draw_costs(axes, table, cost)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
            axes.set_xlabel(label)
        begin_axis(panels[0], "y", table[["low", "macro_f1"]])
        title = f"After {shortest_s:g} s, {counted(int(table['n_deployments'].max()), 'deployment')}"
        if not found.control.empty:
            own = found.control["macro_f1"]
            title += f"; trained on shuffled labels all score {own.min():.2f} to {own.max():.2f}"
        figure.suptitle(f"{title}; lines: 95 % intervals", fontsize=11)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


_MARKS = "osD^vXP*<>"


def _draw_costs(axes: Axes, table: pd.DataFrame, cost: str) -> None:
    for number, line in enumerate(table.to_dict("records")):
        method = str(line["method"])
        colour = BLUE if method.startswith(_OWN) else ORANGE if "trees" in method else "black"
        axes.vlines(line[cost], line["low"], line["high"], color=colour, alpha=0.4, linewidth=2)
        mark = _MARKS[number % len(_MARKS)]
        axes.plot(line[cost], line["macro_f1"], mark, color=colour, markersize=7, label=method)
