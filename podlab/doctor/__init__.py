"""Looking at what podlab needs: installation, model, the cluster and its rights, the metrics and their worth."""

from __future__ import annotations

from podlab.config import Settings
from podlab.doctor.alternatives import look_at_alternatives
from podlab.doctor.finding import Finding, as_finding
from podlab.doctor.metrics import look_at_metrics
from podlab.doctor.place import look_at_installation, look_at_model
from podlab.doctor.rights import look_at_cluster

__all__ = ["Finding", "as_finding", "examine"]


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the settings lead to; nothing is changed anywhere.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    list of Finding
        In the order of a watcher's needs, and then the other sources of metrics. It could not work where one that is
        ``needed`` is not ``ok``.
    """
    model, finding = look_at_model(settings)
    cluster = look_at_cluster(settings)
    return [
        look_at_installation(), finding, *cluster, *look_at_metrics(settings, model, cluster),
        *look_at_alternatives(settings, model),
    ]  # fmt: skip
