"""Pods and nodes for the test API server, as complete as the official client's models demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STARTED_AT = "2026-01-05T08:00:00Z"


def make_pod(
    name: str,
    *,
    namespace: str = "default",
    images: Mapping[str, str] | None = None,
    started_at: str | None = STARTED_AT,
    node: str | None = "node-1",
    labels: Mapping[str, str] | None = None,
    owner: tuple[str, str] | None = None,
    uid: str | None = None,
    image_id: str = "",
) -> dict[str, Any]:
    """Make a pod with a container for each of ``images`` (name -> image); without ``started_at`` they wait."""
    images = images or {"main": "nginx:1.25"}
    state = {"running": {"startedAt": started_at}} if started_at else {"waiting": {"reason": "CrashLoopBackOff"}}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    if uid:
        metadata["uid"] = uid
    if owner:
        kind, owner_name = owner
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": f"uid-{owner_name}", "controller": True}
        ]
    spec: dict[str, Any] = {"containers": [{"name": key, "image": image} for key, image in images.items()]}
    if node:
        spec["nodeName"] = node
    statuses = [
        {
            "name": key, "image": image, "imageID": image_id, "ready": started_at is not None, "restartCount": 0,
            "state": state,
        }
        for key, image in images.items()
    ]  # fmt: skip
    return {
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def make_pending_pod(name: str, *, namespace: str = "default") -> dict[str, Any]:
    """Make a pod that no node has taken yet: it has no node and no container statuses."""
    pod = make_pod(name, namespace=namespace, node=None)
    pod["status"] = {"phase": "Pending"}
    return pod


def make_node(
    name: str = "node-1",
    images: Mapping[tuple[str, ...], int] | None = None,
    *,
    address: tuple[str, int] | None = None,
) -> dict[str, Any]:
    """Make a node with images, each known by several names (names -> bytes), and its kubelet's address and port."""
    listed = [{"names": list(names), "sizeBytes": size_bytes} for names, size_bytes in (images or {}).items()]
    status: dict[str, Any] = {"images": listed}
    if address is not None:
        status["addresses"] = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address[0]}]
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": address[1]}}
    return {"metadata": {"name": name}, "spec": {}, "status": status}
