"""What to do where metrics of a family are missing, by source."""

from __future__ import annotations

from typing import Final

from podlab.config import MetricsSource
from podlab.data.catalogue import Family

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
        "filesystem": "cAdvisor tells no log sizes; " + _KEEP.format("container_fs_usage_bytes", _CADVISOR),
        "volume": _KEEP.format("kubelet_volume_stats_used_bytes", "/metrics")
        + " and kube_pod_spec_volumes_persistentvolumeclaims_info of kube-state-metrics",
        "network": _KEEP.format("container_network_.*_bytes_total", _CADVISOR),
    },
    MetricsSource.KUBELET: {
        "io": "nothing, where the runtime tells none (control groups of version 1)",
        "volume": "nothing, where pods have no volumes",
        "filesystem": "nothing, where the runtime tells no sizes",
        "network": "nothing, where pods use the host's network",
    },
}


_SCRAPE: Final = "let Telegraf's prometheus input read the kubelets' /metrics/cadvisor (docs/kubernetes.md)"
#: Of metrics that no model looks at yet; where nothing stands, what is said of the others holds.
_FURTHER: Final[dict[str, dict[Family, str]]] = {
    MetricsSource.INFLUXDB: {
        "cpu": _SCRAPE,
        "memory": _SCRAPE,
        "network": _SCRAPE,
        "processes": _SCRAPE,
        "pressure": _SCRAPE,
        "filesystem": "Telegraf tells no inodes",
    },
    MetricsSource.PROMETHEUS: {
        "cpu": _KEEP.format("container_cpu_.*", _CADVISOR),
        "processes": _KEEP.format("container_(processes|threads|sockets|file_descriptors)", _CADVISOR),
        "network": _KEEP.format("container_network_.*", _CADVISOR),
        "io": _KEEP.format("container_fs_(reads|writes)_total", _CADVISOR),
        "filesystem": "cAdvisor tells no inodes",
    },
    MetricsSource.KUBELET: {
        "cpu": "nothing, where no container has a CPU limit: only then is one throttled",
        "pressure": "nothing on nodes with control groups of version 1; else Kubernetes 1.34 or later",
    },
}
_PRESSURE: Final = "pressure is told from Kubernetes 1.34 on, and with control groups of version 2 only"

_GRANT: Final = "grant get on nodes/metrics: kubectl apply -f deploy/overlays/kubelet/rbac.yaml"


def remedy_for(source: str, family: Family, *, further: bool = False, may_read_metrics: bool = True) -> str:
    """Say what to do where a family of metrics is missing.

    Parameters
    ----------
    source : str
    family : str
    further : bool
        Whether the metrics are such that no model looks at yet.
    may_read_metrics : bool
        Whether the kubelets' ``/metrics`` may be read, where block I/O stands, and most of the further metrics.
    """
    if source == MetricsSource.KUBELET and (further or family == "io") and not may_read_metrics:
        return f"{family}: {_GRANT}"
    if further and (said := _FURTHER.get(source, {}).get(family)):
        return f"{family}: {said}"
    if family == "pressure":
        return f"{family}: {_PRESSURE}"
    return f"{family}: {_REMEDIES.get(source, {}).get(family, 'update the kubelet and its container runtime')}"
