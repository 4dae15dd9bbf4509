"""Figures of what a watcher announced, beside the truth."""

from __future__ import annotations

import itertools

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from podlab.evaluation.watched import OUTCOMES
from podlab.plots.style import BLUE, GREY, ORANGE, VERMILION, counted, new_figure, podlab_style

_COLOURS = dict(zip(OUTCOMES, (BLUE, VERMILION, ORANGE, GREY, "#dddddd"), strict=True))
_MOST_LANES = 40


def plot_outcomes(shares: pd.DataFrame) -> Figure:
    """Draw which share of the containers was right, wrong, given up on or waited for, by seconds since their start.

    Parameters
    ----------
    shares : DataFrame
        From :func:`podlab.evaluation.watched.outcomes_over_time`.
    """
    with podlab_style():
        figure = new_figure(7.2, 3.6)
        axes = figure.add_subplot()
        seen = [outcome for outcome in OUTCOMES if shares[outcome].any()]
        axes.stackplot(
            shares["seconds"], *(shares[outcome] for outcome in seen), colors=[_COLOURS[each] for each in seen],
            labels=seen, step="post", alpha=0.85, linewidth=0,
        )  # fmt: skip
        axes.set_xlim(0, shares["seconds"].iloc[-1])
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("seconds since the container's start")
        axes.set_ylabel("containers")
        figure.legend(loc="outside lower center", ncols=len(seen), frameon=False)
    return figure


def plot_lanes(judged: pd.DataFrame) -> Figure:
    """Draw each container's life from its start to the last decision: waited for, and then what was said of it.

    Parameters
    ----------
    judged : DataFrame
        From :func:`podlab.evaluation.watched.beside_truth`; of very many containers, those that were decided last.
    """
    key = ["namespace", "pod", "container", "started_at"]
    lanes = [own for _, own in judged.groupby(key, dropna=False)]
    shown = sorted(lanes, key=lambda own: (-own["seconds"].iloc[-1], own["truth"].iloc[0]))[:_MOST_LANES]
    shown.sort(key=lambda own: (own["truth"].iloc[0], own["seconds"].iloc[0]))
    end_s = max(own["seconds"].iloc[-1] for own in shown) * 1.08 + 1.0
    seen = {"waiting"}
    with podlab_style():
        figure = new_figure(7.6, 1.5 + 0.22 * len(shown))
        axes = figure.add_subplot()
        for place, own in enumerate(shown):
            outcomes = ["waiting", *own["outcome"]]
            edges_s = [0.0, *own["seconds"], end_s]
            spans = [(start, end - start) for start, end in itertools.pairwise(edges_s)]
            axes.broken_barh(spans, (place - 0.38, 0.76), facecolors=[_COLOURS[each] for each in outcomes], alpha=0.9)
            seen.update(outcomes)
        axes.set_yticks(range(len(shown)), [own["truth"].iloc[0] for own in shown], fontsize=8)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, end_s)
        axes.set_xlabel("seconds since the container's start")
        axes.set_title(f"{len(shown)} of {counted(len(lanes), 'container')}, by what truly ran", loc="left")
        handles = [Patch(color=_COLOURS[outcome], label=outcome) for outcome in OUTCOMES if outcome in seen]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure
