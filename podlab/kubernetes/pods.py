"""Pods as the watcher sees them: which containers they have, and what each is doing."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from podlab.kubernetes.objects import Container, ContainerStatus, Pod, PodStatus

ContainerKind = Literal["main", "init", "sidecar", "ephemeral"]
ContainerState = Literal["waiting", "running", "ended"]
ChangeKind = Literal["added", "changed", "gone"]

_ENDED_PHASES: Final = ("Succeeded", "Failed")


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
    kind : {"main", "init", "sidecar", "ephemeral"}
        A sidecar is an init container that is restarted always.
    state : {"waiting", "running", "ended"}
        ``waiting`` also before the kubelet told anything.
    reason : str or None
        Why it waits or has ended: CrashLoopBackOff, ImagePullBackOff, OOMKilled, Evicted, ...
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    node: str | None
    started_at: datetime | None
    kind: ContainerKind
    state: ContainerState
    reason: str | None


class WatchedPod(Struct, frozen=True, gc=False):
    """A pod with all its containers.

    Attributes
    ----------
    namespace, name, uid : str
        Which one; a pod made anew under the same name has another uid.
    node : str or None
        Where it runs; None before it is scheduled.
    containers : tuple of WatchedContainer
        In the order of the spec: init containers and sidecars, then the main ones, then ephemeral ones.
    """

    namespace: str
    name: str
    uid: str
    node: str | None
    containers: tuple[WatchedContainer, ...]


class Change(Struct, frozen=True, gc=False):
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


def watched(pod: Pod) -> WatchedPod:
    """Take from a decoded pod what there is to watch: what the author said, joined with what the kubelet says.

    The latter may not have come yet. This runs for each event and each pod of a list, so it makes no detours: fields
    are passed by position, and names that stand in thousands of pods are kept once.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    namespace, name, uid = sys.intern(meta.namespace), meta.name, meta.uid
    node = spec.node and sys.intern(spec.node)
    parts: tuple[tuple[ContainerKind, tuple[Container, ...], tuple[ContainerStatus, ...]], ...] = (
        ("init", spec.init_containers, status.init_containers),
        ("main", spec.containers, status.containers),
        ("ephemeral", spec.ephemeral_containers, status.ephemeral_containers),
    )
    found = []
    for part, containers, statuses in parts:
        if not containers:
            continue
        told = {one.name: one for one in statuses}
        for container in containers:
            one = told.get(container.name)
            state, started_at, reason = _state(one, status)
            kind: ContainerKind = "sidecar" if part == "init" and container.restart_policy == "Always" else part
            which = sys.intern(container.name)
            found.append(WatchedContainer(namespace, name, uid, which, node, started_at, kind, state, reason))
    return WatchedPod(namespace, name, uid, node, tuple(found))


def _state(one: ContainerStatus | None, status: PodStatus) -> tuple[ContainerState, datetime | None, str | None]:
    """Tell what a container is doing, since when, and why."""
    if one is None:
        # A pod that is evicted before it starts has ended, and its containers never had a status.
        return "ended" if status.phase in _ENDED_PHASES else "waiting", None, status.reason
    state = one.state
    if state.running is not None:
        return "running", state.running.started_at, None
    if state.terminated is not None:
        return "ended", state.terminated.started_at, state.terminated.reason
    return "waiting", None, state.waiting.reason if state.waiting else None
