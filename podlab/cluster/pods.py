"""Pods as the watcher sees them: which containers they have, and what each is doing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

ContainerKind = Literal["main", "init", "sidecar", "ephemeral"]
ContainerState = Literal["waiting", "running", "ended"]
ChangeKind = Literal["added", "changed", "gone"]


class WatchedContainer(Struct, frozen=True, gc=False):
    """A container of a pod, as its kubelet last told.

    Attributes
    ----------
    namespace, pod, pod_uid, container : str
        Which one. A restarted container is a new one with another ``started_at``.
    node : str or None
        Where the pod runs; None before it is scheduled.
    started_at : datetime or None
        The start of what runs now or has ended, in UTC; None while it waits.
    restart_count : int
        How often it was restarted.
    kind : {"main", "init", "sidecar", "ephemeral"}
        A sidecar is an init container that is restarted always.
    state : {"waiting", "running", "ended"}
        ``waiting`` also before the kubelet told anything.
    reason : str or None
        Why it waits or has ended: CrashLoopBackOff, ImagePullBackOff, OOMKilled, Evicted, ...
    image : str or None
        As in the pod's spec.
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    node: str | None
    started_at: datetime | None
    restart_count: int
    kind: ContainerKind
    state: ContainerState
    reason: str | None
    image: str | None


class WatchedPod(Struct, frozen=True, gc=False):
    """A pod with all its containers.

    Attributes
    ----------
    namespace, name, uid : str
        Which one; a pod made anew under the same name has another uid.
    labels : dict
        Its Kubernetes labels.
    node : str or None
        Where it runs; None before it is scheduled.
    phase : str
        Pending, Running, Succeeded, Failed or Unknown.
    containers : tuple of WatchedContainer
        In the order of the spec: init containers and sidecars, then the main ones, then ephemeral ones.
    """

    namespace: str
    name: str
    uid: str
    labels: dict[str, str]
    node: str | None
    phase: str
    containers: tuple[WatchedContainer, ...]


class Change(NamedTuple):
    """What happened to a pod.

    Attributes
    ----------
    kind : {"added", "changed", "gone"}
        Pods are told apart by uid: one deleted and made anew under its name is ``gone`` and ``added``.
    pod : WatchedPod
        As it is now; where it is gone, as it was last seen.
    """

    kind: ChangeKind
    pod: WatchedPod
