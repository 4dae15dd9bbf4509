"""Figures of detectors: quality by minute, by kind of fault, and between services."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from podlab.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, counted, new_figure, podlab_style, share_axis

_LOOKS = {
    "reused": (BLUE, "-", "o"),
    "own long history": (GREEN, "--", "s"),
    "from scratch": (ORANGE, "-", "^"),
    "pooled": (PURPLE, "-.", "D"),
    "constant score": (GREY, ":", ""),
}


def plot_by_minute(table: pd.DataFrame) -> Figure:
    """Draw VUS-PR by minutes since the start.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.evaluation.reuse.by_minute`.
    """
    with podlab_style():
        figure = new_figure(7.2, 4.2)
        axes = figure.add_subplot()
        for name, (colour, line, mark) in _LOOKS.items():
            own = table[table["detector"] == name]
            width = 2.4 if name == "reused" else 1.5
            axes.plot(own["minute"], own["vus_pr"], line, marker=mark, color=colour, linewidth=width, label=name)
            if name == "reused":
                axes.fill_between(own["minute"], own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
        axes.set_xticks(sorted(table["minute"].unique()))
        axes.set_xlabel("minute of the container's life in which the fault is")
        share_axis(axes, "y", "VUS-PR")
        most = int(table["deployments"].max())
        axes.set_title(f"up to {counted(most, 'deployment')} a minute; band: 95 % interval over them", loc="left")
        axes.legend(loc="upper left", frameon=False, ncols=2)
    return figure


def plot_fault_kinds(table: pd.DataFrame) -> Figure:
    """Draw how many faults of each kind are found.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.evaluation.detection.by_kind`.
    """
    shown = table.assign(value=[each.value for each in table["recall"]]).sort_values("value")
    with podlab_style():
        figure = new_figure(6.8, 0.6 + 0.36 * len(shown))
        axes = figure.add_subplot()
        found = [each.value for each in shown["recall"]]
        spread = [
            [each.value - each.low for each in shown["recall"]],
            [each.high - each.value for each in shown["recall"]],
        ]
        axes.barh(shown["kind"], found, color=BLUE, alpha=0.85)
        axes.errorbar(found, shown["kind"], xerr=spread, fmt="none", ecolor="black", elinewidth=1, capsize=2)
        share_axis(axes, "x", "faults found (95 % interval)")
        axes.grid(visible=False, axis="y")
    return figure


def plot_transfer(vus_pr: pd.DataFrame) -> Figure:
    """Draw VUS-PR of each donor's detector (lines) on each target's faults (columns).

    Parameters
    ----------
    vus_pr : DataFrame
        From :class:`podlab.evaluation.reuse.Transfer`.
    """
    with podlab_style():
        figure = new_figure(2.2 + 0.34 * vus_pr.shape[1], 1.6 + 0.3 * vus_pr.shape[0])
        axes = figure.add_subplot()
        sns.heatmap(vus_pr, ax=axes, cmap="cividis", vmin=0, vmax=1, square=True, cbar_kws={"label": "VUS-PR"})
        axes.set_xlabel("watched service")
        axes.set_ylabel("whose detector watches")
        axes.tick_params(axis="x", rotation=90)
        axes.tick_params(axis="y", rotation=0)
    return figure
