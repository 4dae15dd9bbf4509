"""Figures that take more than a few lines, or that several notebooks draw.

Mean ranks with their critical difference, and the evidence for a prediction.

All other figures are drawn in the notebooks, with matplotlib and seaborn.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab.evaluation.baselines import critical_difference, find_cliques, rank_methods
from podlab.identify.explain import Explanation

# Okabe and Ito (2008), "Color universal design": distinguishable with every common colour vision.
BLUE, ORANGE, VERMILION, GREY = "#0072B2", "#E69F00", "#D55E00", "#666666"
#: The method that is podlab's own begins with its name.
_OWN = "podlab"


def plot_critical_difference(cases: pd.DataFrame) -> Figure:
    """Draw mean ranks on a line; bars join methods that are not significantly different (after Demsar 2006, figure 1).

    Parameters
    ----------
    cases : DataFrame (n_cases, n_methods)
        The score of each method in each case.
    """
    order, cliques = rank_methods(cases), find_cliques(cases)
    difference = critical_difference(*cases.shape)
    methods, ranks, count = order["method"].to_list(), order["mean_rank"].to_numpy(np.float64), len(order)
    figure, axes = plt.subplots(figsize=(8.6, 1.6 + 0.32 * (count + len(cliques))), layout="constrained")
    axes.grid(visible=False)
    base = 0.8 + 0.55 * len(cliques)
    for number, (rank, method) in enumerate(zip(ranks, methods, strict=True)):
        left = number < (count + 1) // 2
        height = base + 0.6 + 0.8 * (number if left else count - 1 - number)
        colour = BLUE if method.startswith(_OWN) else "black"
        side = 0.7 if left else count + 0.3
        axes.plot([rank, rank, side], [0, height, height], color=colour, linewidth=1.6 if colour == BLUE else 1.0)
        axes.annotate(
            f"{method}  {rank:.1f}" if left else f"{rank:.1f}  {method}", (side, height), color=colour,
            xytext=(-4 if left else 4, 0), textcoords="offset points", ha="right" if left else "left", va="center",
        )  # fmt: skip
    place = dict(zip(methods, ranks, strict=True))
    for number, clique in enumerate(cliques):
        ends = [place[clique[0]] - 0.06, place[clique[-1]] + 0.06]
        axes.plot(ends, [0.45 + 0.55 * number] * 2, color=VERMILION, linewidth=4, solid_capstyle="butt")
    axes.plot([1, 1 + difference], [-1.6, -1.6], color=GREY, linewidth=2, marker="|")
    label = f"critical difference {difference:.2f} (Nemenyi)"
    axes.annotate(label, (1 + difference, -1.6), xytext=(6, 0), textcoords="offset points",
                  va="center", color=GREY)  # fmt: skip
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_position(("data", 0))
    axes.set(xlim=(0.6, count + 0.4), ylim=(-2.0, base + 0.6 + 0.8 * ((count + 1) // 2)), yticks=[])
    axes.set_xticks(range(1, count + 1))
    axes.tick_params(axis="x", bottom=True)
    title = f"Mean rank over {len(cases)} cases (folds x horizons), 1 is best; red bars: not significantly different"
    figure.suptitle(title, fontsize=11)
    return figure


def plot_evidence(explanation: Explanation, *, most: int = 10) -> Figure:
    """Draw each metric's share of the evidence, to the right for the answer and to the left for the runner-up.

    Parameters
    ----------
    explanation : Explanation
    most : int
        Metrics with the largest shares that are shown; the others are one bar each for and against.
    """
    shown = [(own.metric.replace("_", " "), 100 * own.share) for own in explanation.evidence[:most]]
    rest = 100 * np.array([own.share for own in explanation.evidence[most:]])
    shown += [("others", float(part)) for part in (rest.clip(min=0).sum(), rest.clip(max=0).sum()) if part]
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.3 * len(shown)), layout="constrained")
    heights = range(len(shown), 0, -1)
    axes.barh(heights, [part for _, part in shown], color=[BLUE if part > 0 else ORANGE for _, part in shown])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(heights, [name for name, _ in shown])
    axes.set_xlabel(f"share of the evidence, %: left for {explanation.runner_up}, right for {explanation.service}")
    return figure
