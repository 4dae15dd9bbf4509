"""Which deployment and which workload a container belongs to: by Kubernetes label, controller and pod name.

Replicas of one Deployment share image, configuration and usually load. Were they counted as independent, an evaluation
would train on what it tests. So whenever it is not sure that two containers are independent, they get one deployment
here: too few deployments make an evaluation cautious, too many make it false.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import pandas as pd

#: The label that the API's recommended labels reserve for one installation of an application.
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
# Generated parts of names have no vowels, no y and no 0, 1 or 3, lest they spell a word (k8s.io/apimachinery,
# pkg/util/rand). The hash of a ReplicaSet is a decimal number written with ten of them.
_RANDOM: Final = "[bcdfghjklmnpqrstvwxz2456789]{5}"
_HASH: Final = "[bcdf4-9]{5,10}"
_GENERATED_ENDINGS: Final = tuple(
    (kind, re.compile(f"(?<=.)-{ending}$"))
    for kind, ending in (
        ("Deployment", f"{_HASH}-{_RANDOM}"),  # pod of its ReplicaSet
        ("CronJob", rf"\d{{8,10}}-{_RANDOM}"),  # pod of its Job, which is named by the minute it was due
        ("Job", rf"\d{{1,5}}-{_RANDOM}"),  # pod of an indexed Job
        ("DaemonSet", _RANDOM),  # or pod of a Job or a bare ReplicaSet
        ("StatefulSet", r"\d{1,5}"),
    )
)
#: What a controller's own name ends with where another one made it, and the kind of that one.
_OWNER_ENDINGS: Final = {
    "ReplicaSet": ("Deployment", re.compile(f"(?<=.)-{_HASH}$")),
    "Job": ("CronJob", re.compile(r"(?<=.)-\d{8,10}$")),
}
# A static pod is owned by its node, which says nothing about its configuration.
_NO_OWNER: Final = ("Node",)


def deployments_of(containers: pd.DataFrame) -> pd.Series:
    """Name the deployment of each container.

    The name has three parts, ``cluster/namespace/name``. The last one is the first of these that is there: the
    pod's label ``app.kubernetes.io/instance``; its controller's name, where a ReplicaSet stands for its Deployment
    and a Job for its CronJob; the pod's name without the endings that Kubernetes generates. So all containers of a
    pod, all replicas, all restarts and all revisions of a workload are one deployment; and so are workloads of one
    namespace that share an instance label, such as the parts of one Helm release. A pod of which only the name is
    known joins the deployment of the pods that are named alike.

    Parameters
    ----------
    containers : DataFrame
        One row per container with ``pod``; ``cluster``, ``namespace``, ``pod_labels``, ``owner_kind`` and
        ``owner_name`` where known.

    Returns
    -------
    Series of str
        Aligned with ``containers``.

    Examples
    --------
    >>> pods = pd.DataFrame({"namespace": "shop", "pod": ["web-7d4b9c6f5d-x2kzq", "web-7d4b9c6f5d-bbbbb", "db-0"]})
    >>> deployments_of(pods).tolist()
    ['local/shop/web', 'local/shop/web', 'local/shop/db']
    """
    rows = containers.reindex(columns=["cluster", "namespace", "pod", "pod_labels", "owner_kind", "owner_name"])
    told: list[str | None] = []
    by_name: list[str] = []
    for row in rows.itertuples(index=False):
        place = f"{_text(row.cluster) or 'local'}/{_text(row.namespace) or ''}/"
        owner = _controller(_text(row.owner_kind), _text(row.owner_name))
        name = _instance(row.pod_labels) or (owner and owner[1])
        told.append(place + name if name else None)
        by_name.append(place + strip_generated(str(row.pod)))
    # A pod that is gone from the cluster has only its name left; it joins the replicas of which more is known.
    known = {name: deployment for name, deployment in zip(by_name, told, strict=True) if deployment}
    deployments = [deployment or known.get(name, name) for name, deployment in zip(by_name, told, strict=True)]
    return pd.Series(deployments, index=containers.index, dtype="str", name="deployment")


def strip_generated(pod: str) -> str:
    """Take from a pod's name the ending that Kubernetes generated.

    Examples
    --------
    >>> strip_generated("backup-29123460-7hd2k"), strip_generated("mysql-2"), strip_generated("mysql-primary")
    ('backup', 'mysql', 'mysql-primary')
    """
    return _by_pod_name(pod)[1]


def workload_of(pod: str, owner_kind: str | None = None, owner_name: str | None = None) -> str:
    """Name the workload of a pod, what one controller keeps running, as ``Kind/name``.

    It is narrower than a deployment. Where the API did not say who controls the pod, kind and name are guessed from the
    pod's name; one without a generated ending is a ``Pod`` by itself. A ReplicaSet stands for its Deployment, and a
    Job for its CronJob.

    Examples
    --------
    >>> workload_of("web-7d4b9c6f5d-x2kzq"), workload_of("db-0", "StatefulSet", "db"), workload_of("mysql-primary")
    ('Deployment/web', 'StatefulSet/db', 'Pod/mysql-primary')
    """
    if owner_kind in _NO_OWNER:
        return f"Pod/{pod}"
    return "/".join(_controller(owner_kind, owner_name) or _by_pod_name(pod))


def _by_pod_name(pod: str) -> tuple[str, str]:
    """Guess the kind and the name of a pod's workload."""
    for kind, ending in _GENERATED_ENDINGS:
        name, found = ending.subn("", pod)
        if found:
            return kind, name
    return "Pod", pod


def _text(value: object) -> str | None:
    """Return a cell's text; None where it is missing or empty."""
    return value if isinstance(value, str) and value else None


def _instance(labels: object) -> str | None:
    return _text(labels.get(INSTANCE_LABEL)) if isinstance(labels, dict) else None


# Replicas have the same one, and each event of a watch asks.
@lru_cache(maxsize=4096)
def _controller(kind: str | None, owner: str | None) -> tuple[str, str] | None:
    """Return the kind and name of what controls a pod in the end; None where nothing does, or nobody knows."""
    if kind is None or owner is None or kind in _NO_OWNER:
        return None
    if kind in _OWNER_ENDINGS:
        made_by, ending = _OWNER_ENDINGS[kind]
        name, found = ending.subn("", owner)
        return (made_by if found else kind), name
    return kind, owner
