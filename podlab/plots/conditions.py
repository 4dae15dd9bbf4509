"""Figures of what a model is worth under other clusters' conditions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab.plots.style import BLUE, GREEN, ORANGE, VERMILION, begin_axis, counted, new_figure, podlab_style

#: The look of each kind of containers.
_KINDS = {"all": (BLUE, "o", "-"), "loaded": (GREEN, "s", "--"), "idle": (ORANGE, "^", ":")}


def plot_by_age(births: pd.DataFrame, long: pd.DataFrame) -> Figure:
    """Draw macro-F1 by seconds observed: all, loaded and idle containers, and those recorded for longest.

    Parameters
    ----------
    births, long : DataFrame
        Lines of :attr:`podlab.evaluation.Conditions.table` from birth that have a horizon; the second one of
        containers recorded for the longest horizon, perhaps empty.
    """
    with podlab_style():
        figure = new_figure(7.6, 4.4)
        axes = figure.add_subplot()
        lines = [(kind, births[births["containers"] == kind], _KINDS[kind]) for kind in _KINDS]
        lines.append(("recorded for longest", long, (VERMILION, "D", "-.")))
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
                          label="all, best guess, never unknown")  # fmt: skip
        ticks = sorted({*births["horizon_s"], *long["horizon_s"]})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("seconds observed since the container's start")
        begin_axis(axes, "y", pd.concat([births, long])[["macro_f1_low", "macro_f1"]])
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
            ("best_guess", ORANGE, "D", -0.12, "best guess, never unknown"),
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


def plot_sets(table: pd.DataFrame) -> Figure:
    """Draw how often the 95 % sets hold the right service, in all and for the worst one, and how large they are.

    Parameters
    ----------
    table : DataFrame
        Lines of :attr:`podlab.evaluation.Conditions.table`.
    """
    place = np.arange(len(table))[::-1]
    with podlab_style():
        figure = new_figure(9.2, 1.9 + 0.34 * len(table))
        panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        panels[0].axvline(0.95, color="black", linestyle=":", linewidth=1.2, label="promised on average")
        panels[0].plot(table["worst_coverage"], place, "x", color=VERMILION, markersize=6, label="worst service")
        for axes, name, colour, label in (
            (panels[0], "coverage", BLUE, "all services"), (panels[1], "set_size", GREEN, "services in a set")
        ):  # fmt: skip
            axes.hlines(place, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=3, alpha=0.4)
            axes.plot(table[name], place, "o", color=colour, markersize=6, label=label)
            axes.grid(visible=False, axis="y")
        panels[0].set_yticks(place, table["condition"].to_list())
        panels[0].set_ylim(-0.6, len(table) - 0.4)
        panels[0].set_xlabel("share of containers whose\nset holds their service")
        panels[1].set_xlabel("mean number of\nservices in a set")
        panels[1].set_xlim(left=min(0.9, float(table["set_size_low"].min())))
        figure.suptitle("Do the 95 % sets keep their promise? Lines: 95 % intervals over deployments", fontsize=11)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
