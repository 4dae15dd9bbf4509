"""Figures of a comparison of classifiers: who is told apart from whom, and what accuracy costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from podlab.plots.style import BLUE, GREY, ORANGE, VERMILION, begin_axis, counted, new_figure, podlab_style

if TYPE_CHECKING:
    from podlab.evaluation import Benchmark

#: The method that is podlab's own begins with its name.
_OWN = "podlab"


def plot_critical_difference(found: Benchmark) -> Figure:
    """Draw mean ranks on a line; bars join methods that are not told apart (after Demsar 2006, figure 1).

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
        figure.suptitle(f"Mean rank over {cases} (folds x horizons), 1 is best; red bars: not told apart", fontsize=11)
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
