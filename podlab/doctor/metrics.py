"""The metrics: whether their source answers, how fresh and dense they are, which are missing, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pandas as pd

from podlab.config import MetricsSource, Settings
from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.doctor.cost import cost_of, missing_families
from podlab.doctor.finding import Finding, failure
from podlab.doctor.remedies import remedy_for
from podlab.errors import PodlabError
from podlab.live import live_source
from podlab.model.bundle import BundleInfo
from podlab.sources.kubelet import KubeletSource

#: How each source is called.
NAMES: Final[dict[str, str]] = {
    MetricsSource.INFLUXDB: "metrics in InfluxDB",
    MetricsSource.PROMETHEUS: "metrics in Prometheus",
    MetricsSource.KUBELET: "metrics of the kubelets",
}
#: Kubelets are asked so often before what they gave is looked at.
_ROUNDS: Final = 4
#: Samples older than so many intervals, and than so many seconds, are stale: agents write late, and miss one at times.
_STALE_INTERVALS, _STALE_S = 4, 60.0
#: So far a clock may be ahead of ours before it is told.
_SKEW_S: Final = 30.0
_MOST_CLUSTERS: Final = 3
#: The first sample of a container comes within an interval, and a decision needs some samples.
_DENSE_S: Final = 30.0


def look_at_metrics(settings: Settings, model: BundleInfo | None, rights: Sequence[Finding] = ()) -> list[Finding]:
    """Fetch what the watcher would fetch now, and look at it.

    Parameters
    ----------
    settings : Settings
    model : BundleInfo or None
    rights : sequence of Finding
        What :func:`podlab.doctor.rights.look_at_cluster` found: what is granted need not be advised.
    """
    subject = NAMES.get(settings.metrics_source, f"metrics of {settings.metrics_source}")
    try:
        with closing(live_source(settings)) as source:
            if not source.has_past:
                time.sleep(_ROUNDS * settings.kubelet_interval.total_seconds())
            until = datetime.now(UTC)
            # An agent's clock may run before ours.
            samples = source.fetch(until - settings.fetch_window, until + timedelta(minutes=5))
            failing = dict(source.failures) if isinstance(source, KubeletSource) else {}
            lacking = list(source.without_cadvisor.values()) if isinstance(source, KubeletSource) else []
            name = source.name
    except PodlabError as error:
        return [failure(subject, error)]
    nodes = [
        Finding(f"kubelet of {node}", False, error.message, error.hint or "", needed=False)
        for node, error in sorted(failing.items())
    ]
    fresh = freshness_of(subject, name, samples, until, settings.cluster)
    own = samples[samples["cluster"] == settings.cluster]
    if own.empty:
        return [fresh, *nodes]
    refused = any(not right.ok and right.details.get("resource") == "nodes/metrics" for right in rights)
    # A kubelet may know of another right than the cluster.
    refused |= any("no right" in what for what in lacking)
    used = columns_of(model)
    return [
        fresh,
        *nodes,
        _coverage(settings, own, used, model, may_read_metrics=not refused),
        further_columns(settings.metrics_source, own, used, may_read_metrics=not refused),
    ]


def further_columns(
    source: str, samples: pd.DataFrame, used: Sequence[str], *, may_read_metrics: bool = True
) -> Finding:
    """Tell which metrics there are that no model looks at yet: a recording holds them for later."""
    share = missing_shares(samples, [name for name in MEASURED_METRICS if name not in used])
    given = [name for name, missing in share.items() if missing < 1.0]
    families = sorted({CATALOGUE[name].family for name, missing in share.items() if missing == 1.0})
    said = f"{len(given)} of {len(share)} that only `podlab collect` keeps"
    if not families:
        return Finding("further columns", True, said, needed=False, details={"given": given})
    todo = "; ".join(remedy_for(source, family, further=True, may_read_metrics=may_read_metrics) for family in families)
    said += f"; some are missing of {', '.join(families)}"
    return Finding("further columns", True, said, todo, needed=False, details={"given": given})


def columns_of(model: BundleInfo | None) -> tuple[str, ...]:
    """Name the columns that a model looks at; all there are where there is no model."""
    return FEATURE_METRICS if model is None else tuple(model.manifest["columns"])


def freshness_of(subject: str, name: str, samples: pd.DataFrame, until: datetime, cluster: str) -> Finding:
    """Tell how many containers there are samples of, how often they come, and how old the newest is."""
    others = samples.loc[samples["cluster"] != cluster, "cluster"].unique()
    samples = samples[samples["cluster"] == cluster]
    if samples.empty:
        # The watcher leaves out other clusters' rows.
        said = f"{name}: no rows of cluster {cluster!r}, only of {', '.join(map(repr, others[:_MOST_CLUSTERS]))}"
        return Finding(subject, False, said, f"set cluster to this one's name there: PODLAB_CLUSTER={others[0]}")
    age_s = (until - samples["time"].max()).total_seconds()
    interval_s = _interval_s(samples)
    containers = int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups)
    details: dict[str, Any] = {
        "rows": len(samples), "containers": containers, "newest_s": round(age_s, 1), "interval_s": interval_s
    }  # fmt: skip
    often = "seen once" if interval_s is None else f"each {interval_s:g} s"
    old = f"{age_s:.0f} s old" if age_s >= 0 else f"{-age_s:.0f} s ahead of our clock"
    said = f"{name}: {containers} containers {often}, {len(samples)} rows, the newest {old}"
    if age_s < -_SKEW_S:
        todo = "set the clocks of the nodes and of this machine (NTP)"
        return Finding(subject, False, said, todo, False, details)
    if age_s > max(_STALE_S, _STALE_INTERVALS * (interval_s or 0.0)):
        todo = "see whether the agent still runs, and whether its clock is right"
        return Finding(subject, False, f"{said}: stale", todo, details=details)
    if interval_s is not None and interval_s > _DENSE_S:
        todo = "let the agent measure each 10 s (Telegraf: agent.interval, Prometheus: scrape_interval)"
        return Finding(subject, False, f"{said}: too seldom to tell within a minute", todo, False, details)
    return Finding(subject, True, said, details=details)


def _interval_s(samples: pd.DataFrame) -> float | None:
    """Estimate the usual time between two samples of a container; None where each was seen once."""
    ordered = samples.sort_values("time")
    steps = ordered.groupby(list(INSTANCE_KEY), dropna=False)["time"].diff().dropna().dt.total_seconds()
    return None if steps.empty else round(float(steps.median()), 1)


def missing_shares(samples: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Give of each column the share of rows without it, 1 where it is missing altogether."""
    return {name: float(samples[name].isna().mean()) if name in samples else 1.0 for name in columns}


def _coverage(
    settings: Settings, samples: pd.DataFrame, columns: Sequence[str], model: BundleInfo | None, *,
    may_read_metrics: bool,
) -> Finding:  # fmt: skip
    """Tell which of the model's columns are missing, how much of the others, and what it costs."""
    share = missing_shares(samples, columns)
    absent = [name for name, missing in share.items() if missing == 1.0]
    cost = cost_of(model, absent)
    details: dict[str, Any] = {
        "missing_share": {name: round(each, 4) for name, each in share.items()},
        "cost": cost.to_json(),
    }
    holes = {name: missing for name, missing in share.items() if 0.05 < missing < 1.0}
    some = "; partly missing: " + ", ".join(f"{name} {each:.0%}" for name, each in holes.items()) if holes else ""
    if not absent:
        return Finding("columns", True, f"all {len(columns)} columns of the model{some}", needed=False, details=details)
    said = f"{len(columns) - len(absent)} of {len(columns)} columns; without {', '.join(absent)}{some}. {cost.words}"
    families = sorted({CATALOGUE[name].family for name in absent})
    todo = "; ".join(remedy_for(settings.metrics_source, f, may_read_metrics=may_read_metrics) for f in families)
    # Without any column nothing can be told; with one something can.
    details["families_without_any"] = missing_families(absent, columns)
    return Finding("columns", False, said, todo, needed=len(absent) == len(columns), details=details)
