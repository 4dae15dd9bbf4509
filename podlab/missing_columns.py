"""Missing metric columns: what they cost in accuracy, as measured of the model itself, and what to do about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from podlab.config import MetricsSource
from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS, Family
from podlab.model.bundle import BundleInfo

#: The name of the scores in a bundle: a list of what was measured with some families of columns only.
SCORE = "fewer_columns"


class _Measured(msgspec.Struct):
    """One line of :data:`SCORE`, as far as it is needed."""

    condition: str
    families: list[str]
    horizon_s: float
    n_deployments: int
    lost: float
    lost_low: float
    lost_high: float


@dataclass(frozen=True)
class Cost:
    """What is lost where some columns are missing."""

    words: str  # for people
    #: The condition that was measured and is nearest; None where none was.
    measured: str | None = None
    #: Whether it is the condition here; otherwise more columns are here than were measured, and less is lost.
    exact: bool = False
    #: How much lower macro-F1 was than with all columns, with its 95 % interval over deployments.
    lost: float | None = None
    lost_low: float | None = None
    lost_high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def missing_families(absent: Collection[str], columns: Sequence[str]) -> list[str]:
    """Name the families of which no column is left."""
    left = {CATALOGUE[name].family for name in columns if name not in absent}
    return sorted({CATALOGUE[name].family for name in absent} - left)


def cost_of(model: BundleInfo | None, absent: Collection[str]) -> Cost:
    """Estimate what it costs that some of a model's columns are missing altogether.

    The measured conditions leave out whole families. The one that keeps most of what is here, and nothing that is not,
    bounds what is lost.
    """
    if model is None or not absent:
        return Cost("")
    columns = model.manifest["columns"]
    here = {CATALOGUE[name].family for name in columns} - {CATALOGUE[name].family for name in absent}
    try:
        measured = msgspec.convert(model.manifest["scores"].get(SCORE, []), type=list[_Measured])
    except msgspec.ValidationError:
        measured = []
    if not measured:
        return Cost("What that costs was not measured of this model (`make train` does).")
    fitting = [each for each in measured if set(each.families) <= here]
    if not fitting:
        return Cost("So few columns were never tried: expect answers to be unreliable.")
    nearest = max(fitting, key=lambda each: (len(each.families), -each.lost))
    exact = set(nearest.families) == here
    lost = f"{nearest.lost:.3f} of macro-F1"
    if nearest.lost <= 0:
        lost = f"nothing: macro-F1 was {-nearest.lost:.3f} higher"
    words = (
        f"It costs {'as much as' if exact else 'no more than'} {nearest.condition!r} does: {lost} "
        f"({nearest.lost_low:.3f} to {nearest.lost_high:.3f}) after {nearest.horizon_s:g} s, "
        f"split by deployment, {nearest.n_deployments} deployments."
    )
    return Cost(words, nearest.condition, exact, nearest.lost, nearest.lost_low, nearest.lost_high)


_KUBELET: Final = "ask the kubelets instead: PODLAB_METRICS_SOURCE=kubelet and kubectl apply -k deploy/overlays/kubelet"
_TELEGRAF: Final = "let Telegraf's kubernetes input write it: namepass = [{}] (deploy/telegraf/telegraf.conf)"
_KEEP: Final = "let Prometheus keep {} of the kubelets' {} (metric_relabel_configs drops it, or the job is missing)"
_CADVISOR: Final = "/metrics/cadvisor"

_REMEDIES: Final[dict[str, dict[Family, str]]] = {
    MetricsSource.INFLUXDB: {
        "io": f"Telegraf reads block I/O from Docker only ([[inputs.docker]]); on containerd {_KUBELET}",
        "cpu": _TELEGRAF.format('"kubernetes_pod_container"'),
        "memory": _TELEGRAF.format('"kubernetes_pod_container"'),
        "filesystem": _TELEGRAF.format('"kubernetes_pod_container"'),
        "volume": "nothing, where pods have no volumes; else " + _TELEGRAF.format('"kubernetes_pod_volume"'),
        "network": _TELEGRAF.format('"kubernetes_pod_network"'),
    },
    MetricsSource.PROMETHEUS: {
        "io": _KEEP.format("container_fs_reads_bytes_total and container_fs_writes_bytes_total", _CADVISOR),
        "cpu": _KEEP.format("container_cpu_usage_seconds_total", _CADVISOR),
        "memory": _KEEP.format("container_memory_.*", _CADVISOR),
        "filesystem": "cAdvisor reports no log sizes; " + _KEEP.format("container_fs_usage_bytes", _CADVISOR),
        "volume": _KEEP.format("kubelet_volume_stats_used_bytes", "/metrics")
        + " and kube_pod_spec_volumes_persistentvolumeclaims_info of kube-state-metrics",
        "network": _KEEP.format("container_network_.*_bytes_total", _CADVISOR),
    },
    MetricsSource.KUBELET: {
        "io": "nothing, where the runtime reports none (control groups of version 1)",
        "volume": "nothing, where pods have no volumes",
        "filesystem": "nothing, where the runtime reports no sizes",
        "network": "nothing, where pods use the host's network",
    },
}


_SCRAPE: Final = "let Telegraf's prometheus input read the kubelets' /metrics/cadvisor (docs/kubernetes.md)"
#: For metrics beside the original ones; where none is listed, the remedy of those holds.
_FURTHER: Final[dict[str, dict[Family, str]]] = {
    MetricsSource.INFLUXDB: {
        "cpu": _SCRAPE,
        "memory": _SCRAPE,
        "network": _SCRAPE,
        "processes": _SCRAPE,
        "pressure": _SCRAPE,
        "filesystem": "Telegraf reports no inodes",
    },
    MetricsSource.PROMETHEUS: {
        "cpu": _KEEP.format("container_cpu_.*", _CADVISOR),
        "processes": _KEEP.format("container_(processes|threads|sockets|file_descriptors)", _CADVISOR),
        "network": _KEEP.format("container_network_.*", _CADVISOR),
        "io": _KEEP.format("container_fs_(reads|writes)_total", _CADVISOR),
        "filesystem": "cAdvisor reports no inodes",
    },
    MetricsSource.KUBELET: {
        "cpu": "nothing, where no container has a CPU limit: only then is one throttled",
        "pressure": "nothing on nodes with control groups of version 1; else Kubernetes 1.34 or later",
    },
}
_PRESSURE: Final = "pressure is reported from Kubernetes 1.34 on, and with control groups of version 2 only"

_GRANT: Final = "grant get on nodes/metrics: kubectl apply -f deploy/overlays/kubelet/rbac.yaml"


def remedies(source: str, absent: Collection[str], *, may_read_metrics: bool = True) -> str:
    """Say what to do where metrics are missing, family by family.

    ``may_read_metrics`` says whether the kubelets' ``/metrics`` may be read, where block I/O stands, and most of the
    further metrics.
    """
    original = {CATALOGUE[name].family for name in absent if name in ORIGINAL_METRICS}
    families = sorted({CATALOGUE[name].family for name in absent})
    return "; ".join(f"{each}: {_remedy(source, each, each not in original, may_read_metrics)}" for each in families)


def _remedy(source: str, family: Family, further: bool, may_read_metrics: bool) -> str:
    if source == MetricsSource.KUBELET and (further or family == "io") and not may_read_metrics:
        return _GRANT
    if further and family in (known := _FURTHER.get(source, {})):
        return known[family]
    if family == "pressure":
        return _PRESSURE
    return _REMEDIES.get(source, {}).get(family, "update the kubelet and its container runtime")
