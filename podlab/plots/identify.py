"""Figures of identification: deciding in time, and why a container got its answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from podlab.identify.explain import Explanation
from podlab.plots.style import BLUE, GREY, ORANGE, VERMILION, counted, new_figure, podlab_style

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
        for service, own, colour in ((explanation.service, share > 0, BLUE), (explanation.rival, share <= 0, ORANGE)):
            axes.barh(place[own], share[own], color=colour, alpha=0.85, label=f"for {service}")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(place, [own.metric for own in shown])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"share of the log-odds of {explanation.service} against {explanation.rival}")
        axes.set_title(
            f"{explanation.service} {explanation.probability:.2f}, {explanation.rival} "
            f"{explanation.rival_probability:.2f} after {explanation.seconds_observed:.0f} s",
            loc="left",
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
