"""Figures that take more than a few lines, or that several notebooks draw.

A map of similar services, mean ranks with their critical difference, and the evidence for a prediction.

All other figures are drawn in the notebooks, with matplotlib and seaborn.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab.evaluation.benchmark import critical_difference, find_cliques, rank_methods
from podlab.features.rows import FloatArray
from podlab.identify.explain import Explanation

# Okabe and Ito (2008), "Color universal design": distinguishable with every common colour vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#666666"
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, "black")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_WIDTH_IN, _HEIGHT_IN = 8.0, 6.0
#: Below this, one similarity is as good as another.
_LEAST_ALIKE = 1e-3
#: Room of a label's character and line, in parts of the figure's width and height.
_CHARACTER, _LINE = 0.0125, 0.036
_STEPS = 400


def plot_service_map(similarity: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> Figure:
    """Draw services so that their distances follow their unlikeness as well as a plane allows.

    Classical scaling (Torgerson 1952, Psychometrika 17:401) of the similarities' negative logarithms: most of them are
    small, so that 1 - similarity would put all services equally far apart. A plane holds only part of it, so a line
    joins each service with the one most like it, the thicker the more alike.

    Parameters
    ----------
    similarity : DataFrame
        Symmetric, indexed by service on both sides.
    kinds : mapping of str to str, optional
        Services' kinds, shown by colour and shape; a kind of one service stays grey.
    """
    values = similarity.to_numpy(np.float64)
    place, held = scale_classically(-np.log(np.clip(values, _LEAST_ALIKE, 1.0)))
    spot = (place - place.min(axis=0)) / np.where(np.ptp(place, axis=0) > 0, np.ptp(place, axis=0), 1.0)
    names = [str(name) for name in similarity.index]
    own_kind = pd.Series([(kinds or {}).get(name, "") for name in names])
    several = [kind for kind, number in own_kind.value_counts(sort=False).items() if number > 1 and kind]
    figure, axes = plt.subplots(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
    for a, b in enumerate((values - 2.0 * np.eye(len(names))).argmax(axis=1).tolist()):
        axes.plot(*spot[[a, b]].T, color=GREY, lw=0.6 + 10.0 * values[a, b], alpha=0.35, zorder=1)
    alone = spot[~own_kind.isin(several)]
    axes.scatter(alone[:, 0], alone[:, 1], color=GREY, s=45, zorder=2)
    for number, kind in enumerate(several):
        colour = _COLOURS[number % len(_COLOURS)]
        marker = _MARKERS[(number + number // len(_COLOURS)) % len(_MARKERS)]
        own = spot[own_kind == kind]
        axes.scatter(own[:, 0], own[:, 1], color=colour, marker=marker, s=60, label=kind, zorder=2)
    for name, at, label in zip(names, spot, place_labels(spot, names), strict=True):
        axes.annotate(
            name, at, xytext=label, ha="center", va="center", fontsize=9, zorder=3,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.1, 1.1), ylim=(-0.08, 1.08), xticks=[], yticks=[])
    axes.set_xlabel(f"this plane holds {held:.0%} of the unlikeness; lines: which service is most like each")
    if several:
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def scale_classically(apart: FloatArray) -> tuple[FloatArray, float]:
    """Lay points into a plane by their distances (n, n): places (n, 2), and the part of positive variance it holds."""
    centre = np.eye(len(apart)) - 1.0 / len(apart)
    strength, direction = np.linalg.eigh(-0.5 * centre @ apart**2 @ centre)
    order = np.argsort(-strength)[:2]
    positive = np.maximum(strength, 0.0)
    place = np.zeros((len(apart), 2))
    place[:, : order.size] = direction[:, order] * np.sqrt(positive[order])
    # A mirrored map says the same; one of the mirrors is chosen, so that it is the same in each run.
    place *= np.where(place[np.abs(place).argmax(axis=0), np.arange(place.shape[1])] < 0, -1.0, 1.0)
    total = positive.sum()
    return place, float(positive[order].sum() / total) if total > 0 else 0.0


def place_labels(spot: FloatArray, names: list[str]) -> FloatArray:
    """Find places for labels that overlap neither each other nor the points (n, 2).

    Each label begins above its point; whatever overlaps pushes it away, and a spring draws it back; both tire.
    """
    half = np.array([[0.5 * _CHARACTER * len(name) + 0.008, 0.5 * _LINE] for name in names])
    point = np.array([0.012, 0.014])
    home = spot + np.array([0.0, 0.75 * _LINE + point[1]])
    label = home.copy()
    rows = np.arange(len(names))
    for step in range(_STEPS):
        left = 1.0 - step / _STEPS
        push = 0.03 * left * (home - label)
        # What labels hide matters more than what they stand on: in the end only they push each other.
        for others, sizes, force in ((label, half, 0.3), (spot, np.broadcast_to(point, spot.shape), 0.3 * left)):
            gap = label[:, None] - others[None]
            inside = half[:, None] + sizes[None] - np.abs(gap)
            overlap = (inside > 0).all(axis=2)
            if others is label:
                overlap[rows, rows] = False
            # Out along the shorter way; two in the same place part by their order.
            side = np.where(gap != 0, np.sign(gap), np.where(rows[:, None] > rows[None], 1.0, -1.0)[:, :, None])
            wide = inside[..., :1] * _WIDTH_IN < inside[..., 1:] * _HEIGHT_IN
            along = np.where(wide, [1.0, 0.0], [0.0, 1.0])
            push = push + force * (np.where(overlap[..., None], inside, 0.0) * side * along).sum(axis=1)
        label = label + push
    return np.asarray(label)


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
