from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from podlab import plots
from podlab.audit.confounding import ANOTHER, WRONG
from podlab.evaluation.metrics import score_answers
from tests.support.synthetic import make_samples

SERVICES = [f"a-rather-long-service-name-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    truth = np.repeat(SERVICES, 4)
    answers = [service if rng.random() < 0.8 else rng.choice([None, *SERVICES]) for service in truth]
    return score_answers(
        list(truth), answers, range(truth.size), confidence=rng.uniform(0.2, 1, truth.size), resamples=50
    )


@pytest.fixture(scope="module")
def samples():
    return make_samples(("nginx", "mysql", "redis", "etcd", "node"), deployments_per_service=2, seconds=20)


def by_horizon() -> pd.DataFrame:
    rows = [
        {
            "method": who,
            "horizon_s": horizon,
            "macro_f1": value,
            "macro_f1_low": value - 0.05,
            "macro_f1_high": value + 0.05,
        }
        for who, value in (("podlab", 0.9), ("1-NN", 0.8), ("shuffled labels", 0.08))
        for horizon in (10.0, 60.0)
    ]
    return pd.DataFrame(rows).assign(score="macro_f1", containers="all", n_deployments=96)


def leak() -> pd.DataFrame:
    table = pd.DataFrame({"split": ["random rows", "by deployment", "left out"]})
    table["protocol"] = ["random rows, all columns", "by deployment, podlab after 60 s", "version left out"]
    table["best_guess"] = [1.0, 0.6, 0.8]
    return table.assign(
        macro_f1=[1.0, 0.6, 0.5], macro_f1_low=[0.99, 0.5, 0.4], macro_f1_high=[1.0, 0.7, 0.6], chance=0.1
    )


def by_metric() -> pd.DataFrame:
    windows, metrics = ("start-up", "steady state"), ("rx_bytes", "memory")
    rows = [{"window": window, "metric": metric, "macro_f1": 0.5} for window in windows for metric in metrics]
    return pd.DataFrame(rows[:3]).assign(low=0.4, high=0.7, deployments=96, chance=0.1)


def by_chance() -> pd.DataFrame:
    rows = [
        {"window": window, "property": name, "pairs": pairs, "shared": 0.3}
        for window in ("start-up", "steady state")
        for name in ("load pattern", "start time")
        for pairs in (ANOTHER, WRONG)
    ]
    return pd.DataFrame(rows).assign(features="all", chance=0.25, low=0.2, high=0.28)


#: Figures whose lines are named one by one.
NAMED_IN_WORDS = ("leak", "ablations", "separation", "confounding")
FIGURES = {
    "ablations": lambda scores, samples: plots.plot_ablations(
        by_metric().rename(columns={"metric": "features"}), by_metric()
    ),
    "confounding": lambda scores, samples: plots.plot_confounding(by_chance()),
    "confounding of nothing": lambda scores, samples: plots.plot_confounding(by_chance()[:0]),
    "confounding without errors": lambda scores, samples: plots.plot_confounding(
        by_chance()[lambda table: table["pairs"] == ANOTHER]
    ),
    "separation": lambda scores, samples: plots.plot_separation(by_metric()),
    "reliability": lambda scores, samples: plots.plot_reliability(scores),
    "by_horizon": lambda scores, samples: plots.plot_by_horizon(by_horizon(), chance=1 / 12),
    "leak": lambda scores, samples: plots.plot_leak(leak()),
}


def is_clipped(figure: Figure) -> bool:
    """Whether anything drawn reaches beyond the figure's edge, by more than a line's width."""
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return bool(drawn.x0 < -0.02 or drawn.y0 < -0.02 or drawn.x1 > width + 0.02 or drawn.y1 > height + 0.02)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_names_its_axes_is_whole_and_leaves_no_state(name, scores, samples, tmp_path):
    before = dict(mpl.rcParams)
    figure = FIGURES[name](scores, samples)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert not is_clipped(figure)
    main = figure.axes[0]
    assert main.get_xlabel() or figure.get_supxlabel()
    assert main.get_ylabel() or figure.get_supylabel() or name.startswith(NAMED_IN_WORDS)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_a_score_without_confidence_can_be_drawn():
    figure = plots.plot_reliability(score_answers(["a"], ["a"], [0]))
    figure.draw_without_rendering()
    [axes] = figure.axes
    assert [line.get_label() for line in axes.get_lines()] == ["promise kept"]
    assert not axes.collections
