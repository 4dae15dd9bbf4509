"""Figures of what no model knows: how novel it looks, what that is worth, and which known services it resembles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from podlab.evaluation.unknown import DOUBT, NOVELTY
from podlab.identify.novelty import NOVELTY_THRESHOLD
from podlab.plots.style import BLUE, ORANGE, VERMILION, counted, new_figure, podlab_style, share_axis

FloatArray = NDArray[np.float64]

#: What stays of a novelty's distance from 1 at the left end of its axis and at the right one.
_FAMILIAR, _NOVEL = 1.0, 1e-4


def plot_novelty(decisions: pd.DataFrame, near: Sequence[str] = ()) -> Figure:
    """Draw how novel known and unknown containers look: which share of each is at most so novel.

    Parameters
    ----------
    decisions : DataFrame
        From :func:`podlab.evaluation.unknown.decisions_of`.
    near : sequence of str
        Unknown services of which a relative is known.
    """
    related = decisions["service"].isin(list(near))
    parts = (
        ("known services, deployment held out", ~decisions["strange"], BLUE, "-"),
        ("unknown, a relative is known", decisions["strange"] & related, ORANGE, "--"),
        ("unknown, no relative is known", decisions["strange"] & ~related, VERMILION, "-."),
    )
    with podlab_style():
        figure = new_figure(7.2, 3.8)
        axes = figure.add_subplot()
        for label, chosen, colour, line in parts:
            if not chosen.any():
                continue
            rest = np.sort(np.clip(1.0 - decisions.loc[chosen, "novelty"].to_numpy(np.float64), _NOVEL, _FAMILIAR))[
                ::-1
            ]
            name = f"{label} ({counted(rest.size, 'container')})"
            axes.step(rest, np.arange(1, rest.size + 1) / rest.size, line, color=colour, label=name, where="post")
        axes.axvline(1.0 - NOVELTY_THRESHOLD, color="black", linestyle=":", linewidth=1.2, label="refused beyond this")
        axes.set_xscale("log")
        axes.set_xlim(_FAMILIAR, _NOVEL)
        axes.set_xticks([1.0, 0.1, 0.01, 1e-3, _NOVEL], ["0", "0.9", "0.99", "0.999", "nearly 1"])
        axes.minorticks_off()
        axes.set_xlabel("novelty: share of the training's held-out containers that looked more familiar")
        share_axis(axes, "y", "containers that look at most so novel")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_risk_coverage(curves: pd.DataFrame) -> Figure:
    """Draw how often an answer is wrong by the share of containers that is answered at all.

    Parameters
    ----------
    curves : DataFrame
        From :func:`podlab.evaluation.unknown.risk_coverage`, of one order or several.
    """
    looks = {NOVELTY: (BLUE, "-", "the most familiar first"), DOUBT: (ORANGE, "--", "the most confident first")}
    with podlab_style():
        figure = new_figure(6.4, 3.8)
        axes = figure.add_subplot()
        for by, (colour, line, label) in looks.items():
            own = curves[curves["by"] == by]
            axes.fill_between(own["coverage"], own["risk_low"], own["risk_high"], color=colour, alpha=0.15, lw=0)
            axes.plot(own["coverage"], own["risk"], line, color=colour, label=label)
        axes.set_xlabel("containers that get an answer, known and unknown together")
        axes.set_ylabel("answers that are wrong")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(loc="upper left", frameon=False)
        number = int(curves["n_deployments"].max())
        axes.set_title(f"{counted(number, 'deployment')}; bands: 95 % intervals over them", loc="left")
    return figure


def plot_unknown_services(table: pd.DataFrame) -> Figure:
    """Draw which share of each unknown service's containers was refused, and what it is taken for.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.evaluation.unknown.by_unknown_service`.
    """
    shown = table.sort_values(["caught", "auroc", "service"])
    place = np.arange(len(shown))
    near = shown["near"].to_numpy(object) != ""
    with podlab_style():
        figure = new_figure(7.2, 1.6 + 0.32 * len(shown))
        axes = figure.add_subplot()
        parts = ((near, ORANGE, "D", "a relative is known"), (~near, VERMILION, "o", "no relative is known"))
        for own, colour, marker, label in parts:
            if not own.any():
                continue
            line = shown[own]
            axes.hlines(place[own], line["caught_low"], line["caught_high"], color=colour, linewidth=3, alpha=0.4)
            axes.plot(line["caught"], place[own], marker, color=colour, markersize=7, label=label)
        words = [f"{name}, most like {like}" for name, like in zip(shown["service"], shown["taken_for"], strict=True)]
        axes.set_yticks(place, words)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.grid(visible=False, axis="y")
        share_axis(axes, "x", "share of its containers that was refused; lines: 95 % intervals")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_similar_services(similarity: pd.DataFrame) -> Figure:
    """Draw how alike each two services are, those that are alike side by side.

    Parameters
    ----------
    similarity : DataFrame
        Symmetric, indexed by service on both sides.
    """
    order = cluster_order(similarity.to_numpy(np.float64))
    shown = similarity.iloc[order, order]
    values = shown.to_numpy(np.float64).copy()
    np.fill_diagonal(values, np.nan)
    size = 2.2 + 0.27 * len(shown)
    with podlab_style():
        figure = new_figure(size + 1.0, size)
        axes = figure.add_subplot()
        # Most similarities are small: on an even scale all of them would have the same colour.
        scale = PowerNorm(0.5, vmin=0, vmax=max(float(np.nanmax(values, initial=0.0)), 0.01))
        mesh = axes.pcolormesh(values, cmap="cividis", norm=scale, edgecolors="white", lw=0.4)
        middle = np.arange(len(shown)) + 0.5
        axes.set_xticks(middle, shown.columns, rotation=90)
        axes.set_yticks(middle, shown.index)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.grid(visible=False)
        figure.colorbar(
            mesh, ax=axes, label="similarity, from never confused (0) to as near as its own (1)", shrink=0.8
        )
    return figure


def cluster_order(similarity: FloatArray) -> list[int]:
    """Order services so that those alike stand side by side.

    The two most alike groups are joined again and again (average linkage), each joint with its most alike ends
    together.
    """
    groups = [[number] for number in range(len(similarity))]
    while len(groups) > 1:
        alike = np.array([[similarity[np.ix_(one, other)].mean() for other in groups] for one in groups])
        np.fill_diagonal(alike, -1.0)
        a, b = sorted(divmod(int(alike.argmax()), len(groups)))
        one, other = groups[a], groups.pop(b)
        ways = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
        left, right = max(ways, key=lambda way: similarity[way[0][-1], way[1][0]])
        groups[a] = [*left, *right]
    return groups[0]
