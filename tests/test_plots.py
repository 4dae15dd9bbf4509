"""A map of services keeps distances, a figure of ranks names every method, and both leave settings as they were."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from podlab.identify.explain import Explanation, MetricContribution
from podlab.plots import place_labels, plot_critical_difference, plot_evidence, plot_service_map, scale_classically


def test_points_of_a_plane_are_laid_out_as_they_were():
    points = np.random.default_rng(3).normal(size=(9, 2))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    place, held = scale_classically(apart)
    assert np.linalg.norm(place[:, None] - place[None], axis=2) == pytest.approx(apart)
    assert held == pytest.approx(1.0)


def test_what_a_plane_cannot_hold_is_told():
    _, held = scale_classically(1.0 - np.eye(5))
    assert held == pytest.approx(0.5)  # two of the four dimensions of a regular simplex
    assert scale_classically(np.zeros((3, 3)))[1] == 0.0


def test_labels_do_not_overlap_each_other():
    names = [f"service-{number}" for number in range(12)]
    crowd = np.random.default_rng(1).normal(0.5, 0.12, size=(12, 2))
    label = place_labels(crowd, names)
    gap = np.abs(label[:, None] - label[None])
    width, height = 0.0125 * len(names[-1]), 0.036
    overlap = (gap[..., 0] < 0.8 * width) & (gap[..., 1] < 0.8 * height)
    assert not (overlap & ~np.eye(12, dtype=bool)).any()
    assert np.linalg.norm(label - crowd, axis=1).max() < 0.5


def test_services_in_the_same_place_are_told_apart():
    label = place_labels(np.full((4, 2), 0.5), ["a", "b", "c", "d"])
    assert len({tuple(each) for each in label.round(3).tolist()}) == 4


def test_every_service_is_drawn_whatever_their_number():
    for number in (1, 2, 30):
        names = [f"s{each}" for each in range(number)]
        values = np.full((number, number), 0.1) + 0.9 * np.eye(number)
        alike = pd.DataFrame(values, index=names, columns=names)
        drawn = plot_service_map(alike, {name: f"kind {place // 3}" for place, name in enumerate(names)})
        assert {text.get_text() for text in drawn.axes[0].texts} == set(names)


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
