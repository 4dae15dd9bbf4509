"""Figures of a recording: what was recorded, and what it looks like."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from podlab.data.catalogue import CATALOGUE
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.evaluation.dataset import split_variant
from podlab.plots.style import BLUE, ORANGE, counted, new_figure, podlab_style

#: What a unit is divided by to be read by people, and what it is then called.
_SCALES = {
    "bytes": (2.0**20, "MiB"),
    "ns": (1e9, "s"),
    "1e-9 cores": (1e9, "cores"),
    "1": (1.0, "number"),
}
#: What a unit per second is called, where that has a name.
_RATES = {"ns": "cores"}
_MOST_LINES = 20
_MOST_POINTS = 120
_COLUMNS = 4


def plot_deployments(samples: pd.DataFrame) -> Figure:
    """Draw how many deployments there are of each service's configurations under each load.

    Parameters
    ----------
    samples : DataFrame
        A samples table with ``service``, ``deployment`` and ``variant`` (load, slash, configuration).
    """
    labelled = samples[samples["service"].notna() & samples["variant"].notna()]
    parts = split_variant(labelled["variant"])
    row = labelled["service"] + ", " + parts["configuration"]
    counts = (
        pd.DataFrame({"row": row, "load": parts["load"], "deployment": labelled["deployment"]})
        .pivot_table(index="row", columns="load", values="deployment", aggfunc="nunique", fill_value=0)
        .astype(int)
    )
    with podlab_style():
        figure = new_figure(3.2 + 0.8 * counts.shape[1], 1.5 + 0.25 * counts.shape[0])
        axes = figure.add_subplot()
        sns.heatmap(
            counts,
            ax=axes,
            vmin=0,
            vmax=1.5 * counts.to_numpy().max(),
            cmap="Blues",
            annot=True,
            fmt="d",
            cbar=False,
            linewidths=0.5,
            linecolor="#dddddd",
        )
        axes.set(xlabel="load", ylabel="service, configuration")
        axes.tick_params(axis="y", rotation=0)
        axes.set_title(f"{counted(labelled['deployment'].nunique(), 'deployment')} by load", loc="left")
    return figure


def plot_traces(samples: pd.DataFrame, metric: str = "memory_working_set_bytes", *, most_services: int = 24) -> Figure:
    """Draw one metric of every container since its start, a panel for each service.

    A counter is drawn as its rate. Containers without load and with load have different colours and dashes. Of each
    kind at most 20 containers are drawn, in at most about 120 points, so that a figure stays a figure.

    Parameters
    ----------
    samples : DataFrame
        A samples table with ``service``.
    metric : str
        A metric column.
    most_services : int
        Only the first of them by name are drawn.

    Raises
    ------
    InputError
        If the samples have no such metric.
    """
    if metric not in CATALOGUE or metric not in samples:
        raise InputError(f"the samples have no metric {metric!r}")
    services = sorted(samples["service"].dropna().unique())[:most_services]
    lines, label = _lines(samples[samples["service"].isin(services)], metric)
    rows = math.ceil(len(services) / _COLUMNS)
    columns = min(_COLUMNS, len(services))
    with podlab_style():
        figure = new_figure(1.2 + 2.1 * columns, 1.3 + 1.55 * rows)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, service in zip(panels.flat, services, strict=False):
            for idle, colour, dashes, name in ((True, ORANGE, "--", "idle"), (False, BLUE, "-", "loaded")):
                own = lines[(lines["service"] == service) & (lines["idle"] == idle)]
                for number, code in enumerate(own["code"].unique()[:_MOST_LINES]):
                    line = own[own["code"] == code]
                    line = line.iloc[:: max(1, len(line) // _MOST_POINTS)]
                    axes.plot(
                        line["age_s"], line["value"], dashes, color=colour, linewidth=0.9, alpha=0.75,
                        label=name if number == 0 else None,
                    )  # fmt: skip
            axes.set_title(service, fontsize=10)
        for axes in panels.flat[len(services) :]:
            axes.set_axis_off()
        for axes in panels.flat[max(0, len(services) - columns) : len(services)]:
            axes.tick_params(labelbottom=True)
        if lines["value"].gt(0).any():
            panels.flat[0].set_yscale("symlog", linthresh=_threshold(lines["value"]))
        figure.supxlabel("seconds since the container's start", fontsize=10)
        figure.supylabel(label, fontsize=10)
        handles = dict(
            reversed(pair) for axes in panels.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True)
        )
        figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=2, frameon=False)
    return figure


def _threshold(values: pd.Series) -> float:
    """Where a logarithmic axis may begin: below it lies a twentieth of what is not 0."""
    power = math.floor(math.log10(float(values[values > 0].quantile(0.05))))
    return float(10.0**power)


def _lines(samples: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """One line per row that has a value: ``service, idle, code`` (of the container), ``age_s, value``; and a label."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    start = samples["started_at"].fillna(samples.groupby(code)["time"].transform("min"))
    variant = samples["variant"] if "variant" in samples else pd.Series("", index=samples.index)
    table = pd.DataFrame(
        {
            "service": samples["service"],
            "idle": variant.fillna("").str.startswith("idle"),
            "code": code,
            "age_s": (samples["time"] - start).dt.total_seconds(),
            "value": samples[metric].astype("float64"),
        }
    ).dropna(subset=["value"])
    kind, unit = CATALOGUE[metric].kind, CATALOGUE[metric].unit
    scale, shown = _SCALES[unit]
    name = metric.removesuffix("_bytes").removesuffix("_nanocores").removesuffix("_core_nanoseconds").replace("_", " ")
    if kind != "counter":
        return table.assign(value=table["value"] / scale), f"{name} in {shown}"
    by_container = table.groupby("code")
    step_s = by_container["age_s"].diff()
    # A counter that falls has begun anew: that step has no rate.
    grown = by_container["value"].diff().where(lambda growth: growth >= 0)
    rate = (grown / step_s.where(step_s > 0)) / scale
    table = table.assign(value=rate).dropna(subset=["value"])
    return table[np.isfinite(table["value"])], f"{name} in {_RATES.get(unit, f'{shown} per second')}"
