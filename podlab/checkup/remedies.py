"""What to do where metrics of a family are missing, by source."""

from __future__ import annotations

from typing import Final

from podlab.metrics import Family
from podlab.settings import MetricsSource

_KUBELET: Final = "ask the kubelets instead: PODLAB_METRICS_SOURCE=kubelet and kubectl apply -k deploy/overlays/kubelet"
_TELEGRAF: Final = "let Telegraf's kubernetes input write it: namepass = [{}] (deploy/telegraf/telegraf.conf)"
_KEEP: Final = "let Prometheus keep {} of the kubelets' {} (metric_relabel_configs drops it, or the job is missing)"
_CADVISOR: Final = "/metrics/cadvisor"

_REMEDIES: Final[dict[MetricsSource, dict[Family, str]]] = {
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


_GRANT: Final = "grant get on nodes/metrics: kubectl apply -f deploy/overlays/kubelet/rbac.yaml"


def remedy_for(source: MetricsSource, family: Family, *, may_read_metrics: bool = True) -> str:
    """Say what to do where a family of metrics is missing.

    Parameters
    ----------
    source : MetricsSource
    family : str
    may_read_metrics : bool
        Whether the kubelets' ``/metrics`` may be read, where block I/O stands.
    """
    if source is MetricsSource.KUBELET and family == "io" and not may_read_metrics:
        return f"{family}: {_GRANT}"
    return f"{family}: {_REMEDIES[source].get(family, 'update the kubelet and its container runtime')}"
