"""Figures for notebooks and reports: functions that take data and return a matplotlib figure."""

from podlab.plots.audit import plot_ablations, plot_confounding, plot_separation
from podlab.plots.evaluation import (
    plot_by_age,
    plot_by_horizon,
    plot_conditions,
    plot_costs,
    plot_critical_difference,
    plot_leak,
    plot_reliability,
)
from podlab.plots.identify import plot_anytime, plot_explanation, plot_service_map

__all__ = [
    "plot_ablations",
    "plot_anytime",
    "plot_by_age",
    "plot_by_horizon",
    "plot_conditions",
    "plot_confounding",
    "plot_costs",
    "plot_critical_difference",
    "plot_explanation",
    "plot_leak",
    "plot_reliability",
    "plot_separation",
    "plot_service_map",
]
