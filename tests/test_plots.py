"""A figure of ranks names every method and leaves settings as they were; evidence is drawn to its side."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from podlab.identify.explain import Explanation, MetricContribution
from podlab.plots import plot_critical_difference, plot_evidence


def test_every_method_stands_at_its_rank() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.7, 0.9, 15)
    cases = pd.DataFrame({"podlab": level + 0.05, "forest": level + rng.normal(0, 0.02, 15), "1-NN": level - 0.3})
    before = dict(mpl.rcParams)
    figure = plot_critical_difference(cases)
    drawn = " | ".join(text.get_text() for text in figure.axes[0].texts)
    assert all(f"{method}  " in drawn or f"  {method}" in drawn for method in cases)
    assert "15 cases" in figure.get_suptitle()
    assert not is_clipped(figure)
    assert dict(mpl.rcParams) == before


def is_clipped(figure: Figure) -> bool:
    """Whether anything drawn reaches beyond the figure's edge, by more than a line's width."""
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return bool(drawn.x0 < -0.02 or drawn.y0 < -0.02 or drawn.x1 > width + 0.02 or drawn.y1 > height + 0.02)


def test_evidence_is_drawn_to_the_side_that_it_speaks_for_and_adds_up():
    parts = [("rx_bytes", 0.5), ("tx_bytes", -0.3), ("io_read_bytes", 0.15), ("io_write_bytes", -0.05)]
    evidence = tuple(MetricContribution(metric, 1.0, 2 * share, share) for metric, share in parts)
    told = Explanation("redis", "valkey", True, "redis", 0.1, 30.0, 0.9, 0.1, 0.6, evidence)
    [axes] = plot_evidence(told, most=2).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["rx bytes", "tx bytes", "others", "others"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([50, -30, 15, -5])
    assert axes.get_xlabel().endswith("left for valkey, right for redis")
