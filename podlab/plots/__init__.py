"""Figures for notebooks and reports: functions that take data and return a matplotlib figure."""

from podlab.plots.curves import plot_deployment_curve, plot_leak, plot_row_curve
from podlab.plots.recording import plot_deployments, plot_traces
from podlab.plots.scores import plot_by_horizon, plot_confusion, plot_recall, plot_reliability

__all__ = [
    "plot_by_horizon",
    "plot_confusion",
    "plot_deployment_curve",
    "plot_deployments",
    "plot_leak",
    "plot_recall",
    "plot_reliability",
    "plot_row_curve",
    "plot_traces",
]
