"""Figures of one evaluation: who was taken for whom, how well by seconds observed, and how much is promised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

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
    counted,
    new_figure,
    podlab_style,
    share_axis,
)

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


def plot_confusion(scores: Scores, *, title: str = "Confusion matrix") -> Figure:
    """Draw the confusion matrix: shades are shares of a service's decisions, numbers are decisions.

    Parameters
    ----------
    scores : Scores
        From :func:`podlab.evaluation.score` or one horizon of an evaluation. Services that were neither tested nor
        answered are left out, and so is ``unknown`` where nothing was.
    title : str
        Above the figure.
    """
    counts = scores.confusion
    tested = counts.sum(axis=1) > 0
    occurs = np.append(tested | (counts.sum(axis=0)[:-1] > 0), counts[:, -1].sum() > 0)
    rows = [name for name, shown in zip(scores.services, tested, strict=True) if shown]
    columns = [name for name, shown in zip((*scores.services, "unknown"), occurs, strict=True) if shown]
    shown = counts[tested][:, occurs]
    share = shown / shown.sum(axis=1, keepdims=True)
    with podlab_style():
        figure = new_figure(2.8 + 0.48 * len(columns), 2.0 + 0.40 * len(rows))
        axes = figure.add_subplot()
        sns.heatmap(
            pd.DataFrame(share, index=rows, columns=columns),
            ax=axes,
            vmin=0,
            vmax=1,
            cmap="Blues",
            annot=np.where(shown > 0, shown.astype(str), ""),
            fmt="",
            linewidths=0.5,
            linecolor="#dddddd",
            cbar_kws={"label": "share of the service's decisions"},
        )
        axes.set(xlabel="answered service", ylabel="true service")
        axes.set_title(
            f"{title}\n{counted(scores.n_decisions, 'decision')} on {counted(scores.n_deployments, 'deployment')}",
            loc="left",
        )
        axes.tick_params(axis="x", rotation=90)
        axes.tick_params(axis="y", rotation=0)
    return figure


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


def plot_recall(scores: Scores, *, title: str = "Recall by service") -> Figure:
    """Draw each service's recall with its 95 % interval over deployments, the best on top."""
    table = scores.per_service.sort_values(["recall", "service"], ascending=[True, False])
    place = np.arange(len(table))
    with podlab_style():
        figure = new_figure(6.5, 1.4 + 0.32 * len(table))
        axes = figure.add_subplot()
        axes.hlines(place, table["recall_low"], table["recall_high"], color=BLUE, linewidth=3, alpha=0.45)
        axes.plot(table["recall"], place, "o", color=BLUE, markersize=7)
        labels = [f"{name} ({n})" for name, n in zip(table["service"], table["support"], strict=True)]
        axes.set_yticks(place, labels)
        axes.set_ylim(-0.7, len(table) - 0.3)
        axes.grid(visible=False, axis="y")
        share_axis(axes, "x", "recall (share of the service's decisions that were right)")
        axes.set_title(f"{title} (decisions); lines: 95 % intervals", loc="left")
    return figure


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
