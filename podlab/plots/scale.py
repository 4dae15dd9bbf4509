"""What work costs by its size, and where that leads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab.evaluation.growth import Growth
from podlab.plots.style import BLUE, GREEN, ORANGE, VERMILION, new_figure, podlab_style

#: Told apart by form as well.
_LOOKS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"))


def plot_scaling(
    costs: pd.DataFrame, growth: Mapping[str, Growth], counted: Mapping[str, str], target: Mapping[str, float]
) -> Figure:
    """Draw measured costs by size, the lines through them, and where these lead.

    Parameters
    ----------
    costs : DataFrame
        ``work``, ``size`` and ``cpu_s`` of each measurement.
    growth : mapping of str to Growth
        By work.
    counted : mapping of str to str
        What each work's size counts.
    target : mapping of str to float
        The size that each work's line is drawn to.
    """
    with podlab_style():
        figure = new_figure(8.4, 5.0)
        axes = figure.add_subplot()
        for (work, line), (colour, mark) in zip(growth.items(), _LOOKS, strict=False):
            own = costs[costs["work"] == work]
            label = f"{work} ({counted[work]})"
            axes.plot(own["size"], own["cpu_s"], mark, color=colour, markersize=5.5, alpha=0.75, label=label)
            for begin, end, dashes in (
                (line.smallest, line.largest, "-"),
                (line.largest, max(target[work], line.largest), "--"),
            ):
                sizes = np.geomspace(begin, end, 60)
                found = [line.at(size) for size in sizes]
                axes.plot(sizes, [each.value for each in found], dashes, color=colour, linewidth=1.8)
                # What reaches down to nothing has no place on a logarithmic axis.
                low = [max(each.low, each.value / 1e3) for each in found]
                axes.fill_between(sizes, low, [each.high for each in found], color=colour, alpha=0.18, linewidth=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("size: how many rows, containers or services")
        axes.set_ylabel("CPU seconds on one core")
        axes.set_title("Marks: measured; dashed: projected; bands: 95 % interval of the fit", loc="left")
        axes.legend(loc="upper left", frameon=False)
    return figure
