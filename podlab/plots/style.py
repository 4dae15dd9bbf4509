"""One look for all figures: colour-blind safe, legible in a report, and no global state left behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito (2008), "Color universal design": distinguishable with every common colour vision.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#666666"

_TEXT = {"font.size": 10.0, "axes.titlesize": 11.0, "axes.labelsize": 10.0, "legend.fontsize": 9.0}


@contextmanager
def podlab_style() -> Iterator[None]:
    """Use the look inside the block only."""
    look = {**sns.axes_style("whitegrid"), **_TEXT, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(look):
        yield


class _DisplayedFigure(Figure):
    """A figure that a notebook shows where it is a cell's last expression, also without pyplot."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", bbox_inches="tight")
        return drawn.getvalue()


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make a figure outside pyplot's list of open ones, its parts kept from overlapping."""
    figure = _DisplayedFigure(figsize=(width_in, height_in), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def share_axis(axes: Axes, axis: str, label: str) -> None:
    """Make an axis of shares from 0 to 1 with a little room, so that marks at the ends stay whole."""
    if axis == "x":
        axes.set_xlim(-0.02, 1.04)
        axes.set_xlabel(label)
    else:
        axes.set_ylim(-0.02, 1.04)
        axes.set_ylabel(label)


def begin_axis(axes: Axes, axis: str, shown: pd.DataFrame) -> None:
    """Make an axis of macro-F1 that begins at the tenth below the lowest value, and says so where that is not 0."""
    begin = float(np.floor(10 * np.nanmin(shown.to_numpy(np.float64))) / 10)
    label = "macro-F1" if begin == 0 else f"macro-F1 (the axis begins at {begin:.1f})"
    room = 0.02 * (1 - begin)
    if axis == "x":
        axes.set_xlim(begin - room, 1 + room)
        axes.set_xlabel(label)
    else:
        axes.set_ylim(begin - room, 1 + room)
        axes.set_ylabel(label)


def counted(number: int, noun: str) -> str:
    """Write ``1 deployment`` or ``5 deployments``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
