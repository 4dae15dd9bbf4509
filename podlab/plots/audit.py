"""Figures of an audit: what separates services, and what else could."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from podlab.audit.confounding import ANOTHER, WRONG
from podlab.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, counted, new_figure, podlab_style, share_axis

_WINDOW_COLOURS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))


def plot_separation(table: pd.DataFrame) -> Figure:
    """Draw the score of each metric alone.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.audit.separate_by_metric`.
    """
    return _plot_by_window(table, "metric", "Each metric alone, on deployments not trained on")


def plot_ablations(table: pd.DataFrame, shuffled: pd.DataFrame) -> Figure:
    """Draw scores with some metrics only, next to those of forests trained on shuffled labels.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.audit.ablations`.
    shuffled : DataFrame
        From :func:`podlab.audit.shuffled_scores`.
    """
    return _plot_by_window(table, "features", "Trained anew on some metrics only", shuffled)


def _plot_by_window(table: pd.DataFrame, what: str, title: str, shuffled: pd.DataFrame | None = None) -> Figure:
    """Macro-F1 of each line of a table with its interval, a colour for each window; the first window's order."""
    windows = list(table["window"].unique())
    own = table[table["window"] == windows[0]]
    ordered = own.sort_values("macro_f1", ascending=False)[what] if what == "metric" else own[what]
    # A series may be missing in one of the windows.
    names = list(dict.fromkeys([*ordered, *table[what]]))
    place = {name: float(len(names) - number) for number, name in enumerate(names)}
    with podlab_style():
        figure = new_figure(8.0, 1.7 + (0.36 if len(names) < 20 else 0.28) * len(names))
        axes = figure.add_subplot()
        if shuffled is not None:
            low, high = shuffled["macro_f1"].min(), shuffled["macro_f1"].max()
            label = f"shuffled labels ({counted(len(shuffled), 'draw')})"
            axes.axvspan(low, high, color=GREY, alpha=0.3, linewidth=0, label=label)
        axes.axvline(float(table["chance"].iloc[0]), color="black", linestyle=":", linewidth=1.2, label="guessing")
        for number, (window, (colour, marker)) in enumerate(zip(windows, _WINDOW_COLOURS, strict=False)):
            own = table[table["window"] == window]
            at = own[what].map(place) + 0.13 * (1 - 2 * number)
            axes.hlines(at, own["low"], own["high"], color=colour, linewidth=3, alpha=0.4)
            label = f"{window} ({counted(int(own['deployments'].max()), 'deployment')})"
            axes.plot(own["macro_f1"], at, marker, color=colour, markersize=6, label=label)
        axes.set_yticks(list(place.values()), list(place))
        axes.set_ylim(0.4, len(names) + 0.6)
        axes.grid(visible=False, axis="y")
        share_axis(axes, "x", "macro-F1")
        figure.suptitle(f"{title}; lines: 95 % intervals", fontsize=11)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def plot_confounding(table: pd.DataFrame) -> Figure:
    """Draw what nearest neighbours of different services share, next to what they would share by chance.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.audit.visible`; several windows may stand below each other. Knobs are left out.
    """
    # Few services have the same knob, so that a share of their pairs is a matter of two or three.
    shown = table[(table["features"] == "all") & ~table["property"].str.startswith("knob ")]
    windows = list(shown["window"].unique()) or [""]
    names = list(shown["property"].unique())
    place = {name: float(len(names) - number) for number, name in enumerate(names)}
    with podlab_style():
        figure = new_figure(
            max(6.2, 1.6 + 3.4 * len(windows)), 2.2 + (0.55 if len(names) < 10 else 0.36) * max(1, len(names))
        )
        panels = figure.subplots(1, len(windows), sharey=True, squeeze=False)[0]
        for axes, window in zip(panels, windows, strict=True):
            _draw_next_to_chance(axes, shown[shown["window"] == window], place)
            axes.set_title(window, loc="left")
        panels[0].set_yticks(list(place.values()), list(place))
        panels[0].set_ylim(0.4, len(names) + 0.6)
        figure.suptitle("What neighbours of different services share", fontsize=11)
        shown_in = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        # Not every window has wrong neighbours; of what several have, the first is shown.
        handles = dict(reversed([(label, handle) for handle, label in reversed(shown_in)]))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_next_to_chance(axes: Axes, table: pd.DataFrame, place: dict[str, float]) -> None:
    for number, (kind, colour, marker) in enumerate(((ANOTHER, BLUE, "o"), (WRONG, VERMILION, "D"))):
        own = table[table["pairs"] == kind]
        at = np.array([place[name] for name in own["property"]]) + 0.14 * (1 - 2 * number)
        chance = "chance (95 %)" if number == 0 else "_nolegend_"
        axes.hlines(at, own["low"], own["high"], color=GREY, linewidth=7, alpha=0.35, label=chance)
        axes.plot(own["chance"], at, "|", color=GREY, markersize=9)
        axes.plot(own["shared"], at, marker, color=colour, markersize=6, label=kind)
    axes.grid(visible=False, axis="y")
    share_axis(axes, "x", "share of pairs")
