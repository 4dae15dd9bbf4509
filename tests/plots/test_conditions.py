"""Figures of the bake-off and of conditions show every method and condition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from podlab import plots
from podlab.evaluation.benchmark import Benchmark, critical_difference, find_cliques, rank_methods


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " | ".join(found)


@pytest.fixture(scope="module")
def baked() -> Benchmark:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.7, 0.9, 15)
    cases = pd.DataFrame({"podlab": level + 0.05, "forest": level + rng.normal(0, 0.02, 15), "1-NN": level - 0.3})
    table = pd.DataFrame(
        [
            {"method": name, "horizon_s": horizon_s, "macro_f1": cases[name].mean(), "low": 0.4, "high": 0.99,
             "fit_cpu_s": 0.5, "answer_cpu_ms": 0.1, "n_deployments": 30, "n_containers": 30}
            for horizon_s in (10.0, 60.0) for name in cases
        ]
    )  # fmt: skip
    control = pd.DataFrame({"method": ["podlab"], "horizon_s": 60.0, "macro_f1": 0.05, "low": 0.0, "high": 0.1})
    return Benchmark(
        table,
        cases,
        rank_methods(cases),
        critical_difference(15, 3),
        find_cliques(cases),
        control,
        0.05,
        pd.DataFrame(),
    )


def test_every_method_stands_at_its_rank_and_its_price(baked):
    drawn = texts(plots.plot_critical_difference(baked))
    assert all(f"{method}  " in drawn or f"  {method}" in drawn for method in baked.cases)
    assert "15 cases" in drawn
    figure = plots.plot_costs(baked)
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    drawn = texts(figure)
    assert "CPU-seconds" in drawn
    assert "30 deployments" in drawn
    assert "shuffled labels" in drawn


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    lines = [
        {"condition": f"{h:g} s", "containers": kind, "horizon_s": h, "macro_f1": 0.83, "macro_f1_low": 0.74,
         "macro_f1_high": 0.92, "best_guess": 0.85, "best_guess_low": 0.76, "best_guess_high": 0.93, "coverage": 0.96,
         "coverage_low": 0.9, "coverage_high": 0.99, "set_size": 1.1, "set_size_low": 1.0, "set_size_high": 1.2,
         "worst_coverage": 0.8, "n_deployments": 12}
        for h in (10.0, 60.0) for kind in ("all", "loaded", "idle")
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_conditions_are_named_with_their_deployments_and_the_axis_says_where_it_begins(table):
    of_all = table[table["containers"] == "all"]
    drawn = texts(plots.plot_conditions(of_all, "Title"))
    assert "10 s (12)" in drawn
    assert "the axis begins at 0.7" in drawn
    drawn = texts(plots.plot_by_age(table, of_all[:0]))
    assert "idle (12 deployments)" in drawn
    assert "recorded longest" not in drawn
    assert "recorded longest (12 deployments)" in texts(plots.plot_by_age(table, of_all))
