from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab import plots
from podlab.identify.explain import Explanation, MetricContribution


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.get_yticklabels())]


def test_the_anytime_curve_has_a_line_for_each_rule_and_leaves_out_what_answers_nothing():
    rows = [
        {"rule": rule, "setting": setting, "mean_s": 10 + 50 * setting, "error": 0.1 - 0.09 * setting, "abstained": 0.1}
        for rule in ("revocable", "plain threshold", "fixed time")
        for setting in (0.5, 0.9)
    ]
    rows.append({"rule": "revocable", "setting": 1.0, "mean_s": 120.0, "error": np.nan, "abstained": 1.0})
    table = pd.DataFrame(rows).assign(n_deployments=40)
    figure = plots.plot_anytime(table.assign(error_low=table["error"] / 2, error_high=table["error"] * 2))
    wrong, silent = figure.axes
    lines = {line.get_label(): line for line in wrong.lines}
    assert {"revocable", "plain threshold", "fixed time", "goal: 2%"} == set(lines)
    assert lines["revocable"].get_xdata().tolist() == [35.0, 55.0]
    assert len(silent.lines) == 3
    assert "40 deployments" in figure.get_suptitle()


def test_an_explanation_shows_what_spoke_for_whom():
    evidence = tuple(
        MetricContribution(metric, 1e6, share, 0.4)
        for metric, share in (("memory_rss_bytes", 2.0), ("rx_bytes", -0.7), ("io_read_bytes", 0.1))
    )
    figure = plots.plot_explanation(Explanation("redis", "valkey", True, 0.4, 30.0, 0.9, 0.05, 1.4, evidence))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.1, -0.7]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [own.metric for own in evidence]
    assert "redis 0.90, valkey 0.05 after 30 s" in "".join(texts(figure)) + axes.get_title(loc="left")
