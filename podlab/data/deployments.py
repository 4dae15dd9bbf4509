"""What the names of pods and images say; above all which deployment a container belongs to, the unit of every split.

Replicas of one Deployment share image, configuration and usually load. Were they counted as independent, an
evaluation would train on what it tests. So whenever it is not sure that two containers are independent, they get one
deployment here: too few deployments make an evaluation cautious, too many make it false.
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
    re.compile(f"(?<=.)-{ending}$")
    for ending in (
        f"{_HASH}-{_RANDOM}",  # pod of a Deployment's ReplicaSet
        rf"\d{{8,10}}-{_RANDOM}",  # pod of a CronJob's Job, which is named by the minute it was due
        rf"\d{{1,5}}-{_RANDOM}",  # pod of an indexed Job
        _RANDOM,  # pod of a DaemonSet, a Job or a bare ReplicaSet
        r"\d{1,5}",  # pod of a StatefulSet
    )
)
_OWNER_ENDINGS: Final = {"ReplicaSet": re.compile(f"(?<=.)-{_HASH}$"), "Job": re.compile(r"(?<=.)-\d{8,10}$")}
# A static pod is owned by its node, which says nothing about its configuration.
_NO_OWNER: Final = ("Node",)
_RUNTIME_PREFIX: Final = re.compile(r"[a-z-]+://")
#: A digest by itself, also where a runtime has put its default registry before it.
_DIGEST: Final = re.compile(r"(?:.*/)?(?:sha(?:1|224|256|384|512)|md5|blake[23]\w*)(?::.*|[_-]+[0-9a-f]{12,})?")
#: An id, short as ``docker ps`` shows it or whole; either may have registry and tag put around it.
_ID: Final = re.compile(r"(?:.*/)?[0-9a-f]{12,64}(?::.*)?")
#: What tools write where there is no name.
_NO_NAME: Final = re.compile(r"|-|none|null|nil|nan|n/a|unknown|<[^>]*>(?::.*)?")


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
        name = _instance(row.pod_labels) or _workload(_text(row.owner_kind), _text(row.owner_name))
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
    for ending in _GENERATED_ENDINGS:
        name, found = ending.subn("", pod)
        if found:
            return name
    return pod


def _text(value: object) -> str | None:
    """Return a cell's text; None where it is missing or empty."""
    return value if isinstance(value, str) and value else None


def _instance(labels: object) -> str | None:
    return _text(labels.get(INSTANCE_LABEL)) if isinstance(labels, dict) else None


def _workload(kind: str | None, owner: str | None) -> str | None:
    if kind is None or owner is None or kind in _NO_OWNER:
        return None
    ending = _OWNER_ENDINGS.get(kind)
    return ending.sub("", owner) if ending else owner


# Thousands of containers run a few dozen images.
@lru_cache(maxsize=4096)
def names_image(text: str) -> bool:
    """Tell whether a text names an image, be it with tag and digest or without.

    Examples
    --------
    >>> [names_image(text) for text in ("mysql:8.4@sha256:0123", "sha256:7614ae9453d1d87e", "<none>")]
    [True, False, False]
    """
    name = _RUNTIME_PREFIX.sub("", text.strip().lower(), count=1).partition("@")[0]
    return not any(form.fullmatch(name) for form in (_DIGEST, _ID, _NO_NAME))
