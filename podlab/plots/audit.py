"""Figures of an audit: how even a recording is, what tells services apart, and what else could."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from podlab.audit.confounding import ANOTHER, WRONG
from podlab.audit.neighbours import SUSPICIOUS
from podlab.data.samples import INSTANCE_KEY
from podlab.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, counted, new_figure, podlab_style, share_axis

_WINDOW_COLOURS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))
#: A longer time without any sample is drawn as none.
_PAUSE_S = 60.0


def plot_gaps(samples: pd.DataFrame) -> Figure:
    """Draw how many gaps between samples, and between starts and first samples, are longer than so many seconds.

    Parameters
    ----------
    samples : DataFrame
        A samples table.
    """
    by_container = samples.groupby(list(INSTANCE_KEY), dropna=False)["time"]
    first = samples.loc[by_container.idxmin()]
    gaps = {
        "between samples": (by_container.diff(), BLUE, "-"),
        "start to first sample": (first["time"] - first["started_at"], ORANGE, "--"),
    }
    with podlab_style():
        figure = new_figure(6.8, 4.0)
        axes = figure.add_subplot()
        for name, (gap, colour, dashes) in gaps.items():
            ordered = np.sort(gap.dropna().dt.total_seconds())
            if not ordered.size:
                continue
            longer = 1 - np.arange(ordered.size) / ordered.size
            label = f"{name} ({ordered.size:,})"
            axes.step(ordered, longer, color=colour, linestyle=dashes, linewidth=1.8, where="pre", label=label)
        axes.set_yscale("log")
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("share that is at least so long")
        axes.set_title("Gaps: a recorder in step falls steeply at its interval", loc="left")
        axes.legend(frameon=False)
    return figure


def plot_host_load(load: pd.DataFrame) -> Figure:
    """Draw how many containers ran at once, and how much processor they used, by time.

    Parameters
    ----------
    load : DataFrame
        From :func:`podlab.audit.host_load`. Pauses without any container are left out.
    """
    by_time = load.groupby("bin")[["containers", "cores"]].sum()
    step_s = by_time.index.to_series().diff().dt.total_seconds()
    usual_s = float(step_s.median()) if len(step_s) > 1 else 0.0
    minutes = step_s.where(step_s <= _PAUSE_S, usual_s).fillna(0).cumsum() / 60
    pauses = minutes[step_s > _PAUSE_S]
    with podlab_style():
        figure = new_figure(8.0, 4.2)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, column, colour, label in (
            (panels[0], "containers", BLUE, "containers at once"),
            (panels[1], "cores", ORANGE, "cores used by them"),
        ):
            axes.fill_between(minutes, by_time[column], step="post", color=colour, alpha=0.35, linewidth=0)
            axes.step(minutes, by_time[column], where="post", color=colour, linewidth=1.2)
            for pause in pauses:
                axes.axvline(pause, color=GREY, linestyle=":", linewidth=1)
            axes.set_ylim(bottom=0)
            axes.set_ylabel(label)
        label = "minutes recorded (dotted: a pause, left out)" if len(pauses) else "minutes recorded"
        figure.supxlabel(label, fontsize=10)
        panels[0].set_title("How busy the recorded machine was", loc="left")
    return figure


def plot_sites(table: pd.DataFrame) -> Figure:
    """Draw how well sites are told apart by each family of metrics.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.audit.separate_sites`, with a line at least.
    """
    names = list(table["features"].unique())
    place = {name: float(len(names) - number) for number, name in enumerate(names)}
    with podlab_style():
        figure = new_figure(8.0, 1.9 + 0.42 * len(names))
        axes = figure.add_subplot()
        axes.axvline(0.5, color="black", linestyle=":", linewidth=1.2, label="guessing")
        for number, (window, own) in enumerate(table.groupby("window", sort=False)):
            colour, marker = _WINDOW_COLOURS[number]
            at = own["features"].map(place) + 0.2 * (1 - number)
            axes.hlines(at, own["low"], own["high"], color=colour, linewidth=3, alpha=0.4)
            label = f"{window} ({counted(int(own['deployments'].max()), 'deployment')})"
            axes.plot(own["auc"], at, marker, color=colour, markersize=6, label=label)
        axes.set_yticks(list(place.values()), list(place))
        axes.set_ylim(0.4, len(names) + 0.6)
        axes.grid(visible=False, axis="y")
        share_axis(axes, "x", "area under the ROC curve")
        figure.suptitle("Can the site be told? Forests on deployments not seen; lines: 95 % intervals", fontsize=11)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_separation(table: pd.DataFrame) -> Figure:
    """Draw what each metric tells of the service by itself.

    Parameters
    ----------
    table : DataFrame
        From :func:`podlab.audit.separate_by_metric`.
    """
    return _plot_by_window(table, "metric", "Each metric alone, on deployments that the forest had not seen")


def plot_ablations(table: pd.DataFrame, shuffled: pd.DataFrame) -> Figure:
    """Draw what is left when metrics are left out, beside forests that learned labels dealt at random.

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


def plot_nearest(pairs: pd.DataFrame) -> Figure:
    """Draw how far each deployment is from its nearest neighbour.

    Parameters
    ----------
    pairs : DataFrame
        From :func:`podlab.audit.nearest_pairs`.
    """
    with podlab_style():
        figure = new_figure(6.8, 4.0)
        axes = figure.add_subplot()
        positive = pairs["times the usual"].clip(lower=1e-4)
        edges = np.geomspace(min(0.5 * SUSPICIOUS, float(positive.min())), max(2.0, float(positive.max())), 36)
        same = pairs["same service"].to_numpy(bool)
        groups = {"of the same service": (same, BLUE, None), "of another service": (~same, VERMILION, "//")}
        bottom = np.zeros(edges.size - 1)
        for name, (chosen, colour, hatch) in groups.items():
            counts, _ = np.histogram(positive[chosen], edges)
            label = f"{name} ({int(chosen.sum())})"
            axes.bar(
                edges[:-1], counts, np.diff(edges), bottom=bottom, align="edge", color=colour, alpha=0.75, hatch=hatch,
                edgecolor="white", linewidth=0.4, label=label,
            )  # fmt: skip
            bottom += counts
        axes.axvline(SUSPICIOUS, color="black", linestyle="--", linewidth=1.2, label="nearer is suspicious")
        axes.set_xscale("log")
        axes.set_xlabel("distance to the nearest neighbour, in medians of these distances")
        axes.set_ylabel("deployments")
        axes.set_title("Is any deployment there twice?", loc="left")
        figure.legend(loc="outside lower center", ncols=3, frameon=False, title="nearest neighbour")
    return figure


def plot_confounding(table: pd.DataFrame) -> Figure:
    """Draw what look-alikes of different services share, beside what they would share by chance.

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
            _draw_beside_chance(axes, shown[shown["window"] == window], place)
            axes.set_title(window, loc="left")
        panels[0].set_yticks(list(place.values()), list(place))
        panels[0].set_ylim(0.4, len(names) + 0.6)
        figure.suptitle("What neighbours of different services share", fontsize=11)
        shown_in = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        # Not every window has wrong neighbours; of what several have, the first is shown.
        handles = dict(reversed([(label, handle) for handle, label in reversed(shown_in)]))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_beside_chance(axes: Axes, table: pd.DataFrame, place: dict[str, float]) -> None:
    for number, (kind, colour, marker) in enumerate(((ANOTHER, BLUE, "o"), (WRONG, VERMILION, "D"))):
        own = table[table["pairs"] == kind]
        at = np.array([place[name] for name in own["property"]]) + 0.14 * (1 - 2 * number)
        chance = "chance (95 %)" if number == 0 else "_nolegend_"
        axes.hlines(at, own["low"], own["high"], color=GREY, linewidth=7, alpha=0.35, label=chance)
        axes.plot(own["chance"], at, "|", color=GREY, markersize=9)
        axes.plot(own["shared"], at, marker, color=colour, markersize=6, label=kind)
    axes.grid(visible=False, axis="y")
    share_axis(axes, "x", "share of pairs")


def plot_faults(by_service: pd.DataFrame) -> Figure:
    """Draw how many faults of each kind there are on each service.

    Parameters
    ----------
    by_service : DataFrame
        From :attr:`podlab.audit.FaultAudit.by_service`.
    """
    with podlab_style():
        figure = new_figure(3.2 + 0.42 * by_service.shape[1], 1.9 + 0.34 * by_service.shape[0])
        axes = figure.add_subplot()
        counts = by_service.to_numpy()
        sns.heatmap(
            by_service,
            ax=axes,
            vmin=0,
            vmax=1.5 * max(1, counts.max()),
            cmap="Blues",
            annot=np.where(counts > 0, counts.astype(str), ""),
            fmt="",
            cbar=False,
            linewidths=0.5,
            linecolor="#dddddd",
        )
        axes.set(xlabel="service", ylabel="kind of fault")
        axes.tick_params(axis="x", rotation=90)
        axes.tick_params(axis="y", rotation=0)
        axes.set_title(counted(int(counts.sum()), "fault"), loc="left")
    return figure
