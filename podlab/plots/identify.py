"""Figures of identification: a map of similar services, early classification, and one prediction explained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from podlab.identify.explain import Explanation
from podlab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    counted,
    new_figure,
    podlab_style,
)

FloatArray = NDArray[np.float64]

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
    spot = _into_unit_square(place)
    names = [str(name) for name in similarity.index]
    own_kind = pd.Series([(kinds or {}).get(name, "") for name in names])
    several = [kind for kind, number in own_kind.value_counts(sort=False).items() if number > 1 and kind]
    with podlab_style():
        figure = new_figure(_WIDTH_IN, _HEIGHT_IN)
        axes = figure.add_subplot()
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
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.08, 1.08), xticks=[], yticks=[])
        axes.set_xlabel(f"this plane holds {held:.0%} of the unlikeness; lines: which service is most like each")
        if several:
            figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def scale_classically(apart: FloatArray) -> tuple[FloatArray, float]:
    """Lay points into a plane by their distances.

    Parameters
    ----------
    apart : array of float64 (n, n)
        Symmetric, 0 with itself.

    Returns
    -------
    tuple of (array of float64 (n, 2), float)
        The places, and which part of the positive variance the plane holds.
    """
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


def _into_unit_square(place: FloatArray) -> FloatArray:
    low, high = place.min(axis=0), place.max(axis=0)
    return np.asarray((place - low) / np.where(high > low, high - low, 1.0))


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


_RULES = {"revocable": (BLUE, "o-"), "plain threshold": (ORANGE, "s--"), "fixed time": (GREY, "^:")}
_MOST_METRICS = 8


def plot_anytime(curve: pd.DataFrame, *, target_error: float = 0.02) -> Figure:
    """Draw how often each rule is wrong in the end by how long it takes to decide.

    Parameters
    ----------
    curve : DataFrame
        From :func:`podlab.evaluation.early.curve`.
    target_error : float
        Where the goal is drawn.
    """
    with podlab_style():
        figure = new_figure(8.0, 4.2)
        left, right = figure.subplots(1, 2)
        for rule, (colour, line) in _RULES.items():
            # A rule that answers nothing is never wrong, and no point of the curve.
            own = curve[(curve["rule"] == rule) & curve["error"].notna()].sort_values("setting")
            left.fill_between(own["mean_s"], own["error_low"], own["error_high"], color=colour, alpha=0.12, lw=0)
            left.plot(own["mean_s"], own["error"], line, color=colour, label=rule, markersize=4)
            right.plot(own["mean_s"], own["abstained"], line, color=colour, markersize=4)
        left.axhline(target_error, color=VERMILION, linestyle=":", linewidth=1.2, label=f"goal: {target_error:.0%}")
        left.set_ylabel("final answers that are wrong")
        right.set_ylabel("containers without an answer")
        for axes in (left, right):
            axes.set_xlabel("mean seconds to the decision")
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(bottom=0)
        tested = int(curve["n_deployments"].max())
        figure.suptitle(f"{counted(tested, 'deployment')} tested; bands: 95 % intervals over them", fontsize=11)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def plot_explanation(explanation: Explanation) -> Figure:
    """Draw what each metric said for the answer, to the right, and for the runner-up, to the left.

    Parameters
    ----------
    explanation : Explanation
        From :func:`podlab.identify.explain.explain`.
    """
    shown = explanation.evidence[:_MOST_METRICS]
    place = np.arange(len(shown))[::-1]
    share = np.array([own.share for own in shown])
    with podlab_style():
        figure = new_figure(7.2, 1.4 + 0.34 * len(shown))
        axes = figure.add_subplot()
        for service, own, colour in (
            (explanation.service, share > 0, BLUE),
            (explanation.runner_up, share <= 0, ORANGE),
        ):
            axes.barh(place[own], share[own], color=colour, alpha=0.85, label=f"for {service}")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(place, [own.metric for own in shown])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"share of the log-odds of {explanation.service} against {explanation.runner_up}")
        axes.set_title(
            f"{explanation.service} {explanation.probability:.2f}, {explanation.runner_up} "
            f"{explanation.runner_up_probability:.2f} after {explanation.seconds_observed:.0f} s",
            loc="left",
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
