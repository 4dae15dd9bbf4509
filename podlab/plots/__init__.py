"""Figures for notebooks and reports: functions that take data and return a matplotlib figure."""

from podlab.plots.audit import (
    plot_ablations,
    plot_confounding,
    plot_separation,
)
from podlab.plots.bakeoff import plot_costs, plot_critical_difference
from podlab.plots.conditions import plot_by_age, plot_conditions, plot_sets
from podlab.plots.curves import plot_deployment_curve, plot_leak, plot_row_curve
from podlab.plots.identify import plot_anytime, plot_explanation
from podlab.plots.scores import plot_by_horizon, plot_confusion, plot_recall, plot_reliability
from podlab.plots.service_map import plot_service_map
from podlab.plots.unknown import plot_novelty, plot_risk_coverage, plot_similar_services, plot_unknown_services

__all__ = [
    "plot_ablations",
    "plot_anytime",
    "plot_by_age",
    "plot_by_horizon",
    "plot_conditions",
    "plot_confounding",
    "plot_confusion",
    "plot_costs",
    "plot_critical_difference",
    "plot_deployment_curve",
    "plot_explanation",
    "plot_leak",
    "plot_novelty",
    "plot_recall",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_row_curve",
    "plot_separation",
    "plot_service_map",
    "plot_sets",
    "plot_similar_services",
    "plot_unknown_services",
]
