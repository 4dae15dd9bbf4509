from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from podlab import plots
from podlab.evaluation.watched import OUTCOMES


def _legend(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_only_outcomes_that_there_are_fill_the_picture():
    shares = {outcome: np.zeros(4) for outcome in OUTCOMES}
    shares["waiting"] = np.array([1.0, 0.5, 0.0, 0.0])
    shares["right"] = 1 - shares["waiting"]
    figure = plots.plot_outcomes(pd.DataFrame({"seconds": np.arange(4.0), **shares}))
    assert _legend(figure) == {"right", "waiting"}
    assert len(figure.axes[0].collections) == 2


def test_each_container_has_a_lane_of_what_was_said_of_it():
    rows = [("a", 2.0, "wrong"), ("a", 5.0, "right"), ("b", 3.0, "unknown")]
    judged = pd.DataFrame(rows, columns=["pod", "seconds", "outcome"])
    judged = judged.assign(
        namespace="lab", container="main", started_at=pd.Timestamp("2026-01-05", tz="UTC"), truth="x"
    )
    figure = plots.plot_lanes(judged)
    assert _legend(figure) == {"right", "wrong", "unknown", "waiting"}
    assert [len(lane.get_paths()) for lane in figure.axes[0].collections] == [3, 2]
    assert "2 of 2 containers" in figure.axes[0].get_title(loc="left")


def test_of_very_many_containers_the_slowest_are_shown():
    judged = pd.DataFrame({"pod": [f"p{n}" for n in range(90)], "seconds": np.arange(90.0), "outcome": "right"})
    judged = judged.assign(
        namespace="lab", container="main", started_at=pd.Timestamp("2026-01-05", tz="UTC"), truth="x"
    )
    lanes = plots.plot_lanes(judged).axes[0].collections
    assert len(lanes) == 40
    assert lanes[0].get_paths()[0].get_extents().x1 == 50.0
