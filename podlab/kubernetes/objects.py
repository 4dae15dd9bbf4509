"""Kubernetes objects: the few fields that podlab reads, the pods as the watcher sees them, the lines of a watch.

All other fields are skipped while decoding. A watch reads the fewest, because each field decoded from 10,000 pods costs
time and memory, strings most of all. The inventory reads more.

Decoded objects are trees, so the garbage collector need not follow them (``gc=False``): over 10,000 pods its walks
would take twice as long as everything else. For the same reason they hold tuples: an empty one costs nothing.
Names follow https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from urllib3 import BaseHTTPResponse

from podlab.data.workloads import workload_of
from podlab.http import DECODE_ERRORS, one_line
from podlab.kubernetes.errors import Status, UnreadableError

Item = TypeVar("Item")
StatusT = TypeVar("StatusT", bound="ContainerStatus")


class ListMeta(Struct, gc=False):
    """``metadata`` of a list; ``continue_token`` is empty on its last page."""

    continue_token: str = field(default="", name="continue")
    resource_version: str = field(default="", name="resourceVersion")


class Page(Struct, Generic[Item], gc=False):
    """One page of a list; some servers write null for no items."""

    items: list[Item] | None
    metadata: ListMeta = field(default_factory=ListMeta)


class Meta(Struct, gc=False):
    """``metadata`` of an object."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = field(default="", name="resourceVersion")


class StateDetails(Struct, gc=False):
    """``running``, ``waiting`` or ``terminated`` of a container's state, as far as each has these."""

    started_at: datetime | None = field(default=None, name="startedAt")
    reason: str | None = None


class State(Struct, gc=False):
    """``state`` of a container: one of them, or none, which means waiting."""

    running: StateDetails | None = None
    waiting: StateDetails | None = None
    terminated: StateDetails | None = None


class ContainerStatus(Struct, gc=False):
    """A container's status, from the kubelet."""

    name: str
    state: State = field(default_factory=State)


class Container(Struct, gc=False):
    """A container's specification; an init container that always restarts is a sidecar."""

    name: str
    restart_policy: str | None = field(default=None, name="restartPolicy")
    image: str = ""


class PodSpec(Struct, gc=False):
    """``spec`` of a pod."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = field(default=(), name="initContainers")
    ephemeral_containers: tuple[Container, ...] = field(default=(), name="ephemeralContainers")
    node: str | None = field(default=None, name="nodeName")


class PodStatus(Struct, Generic[StatusT], gc=False):
    """``status`` of a pod; init and ephemeral containers have lists of their own."""

    phase: str = ""
    reason: str | None = None
    containers: tuple[StatusT, ...] = field(default=(), name="containerStatuses")
    init_containers: tuple[StatusT, ...] = field(default=(), name="initContainerStatuses")
    ephemeral_containers: tuple[StatusT, ...] = field(default=(), name="ephemeralContainerStatuses")


class OwnerReference(Struct, gc=False):
    """One of an object's ``ownerReferences``."""

    kind: str
    name: str
    controller: bool | None = None


class WatchedMeta(Meta, gc=False):
    """``metadata`` of a watched pod; labels stay JSON, because very few are read."""

    labels: Raw = Raw(b"{}")
    owners: tuple[OwnerReference, ...] = field(default=(), name="ownerReferences")


class Pod(Struct, gc=False):
    """A pod, for the watch."""

    metadata: WatchedMeta
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus[ContainerStatus] = field(default_factory=PodStatus)


class OwnedMeta(Meta, gc=False):
    """``metadata`` of an object that may have an owner."""

    labels: dict[str, str] = field(default_factory=dict)
    owners: tuple[OwnerReference, ...] = field(default=(), name="ownerReferences")


class ImageContainerStatus(ContainerStatus, gc=False):
    """A container's status with the image that the kubelet reports."""

    image: str = ""
    image_id: str = field(default="", name="imageID")


class ListedPod(Struct, gc=False):
    """A pod, for the inventory."""

    metadata: OwnedMeta
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus[ImageContainerStatus] = field(default_factory=PodStatus)


class Image(Struct, gc=False):
    """An image on a node: the names it is known by, and its size."""

    names: list[str] | None = None
    size_bytes: int | None = field(default=None, name="sizeBytes")


class Address(Struct, gc=False):
    """One address of a node, and what kind of address it is."""

    kind: str = field(default="", name="type")
    address: str = ""


class Port(Struct, gc=False):
    """Where a daemon listens."""

    port: int = field(default=0, name="Port")


class Endpoints(Struct, gc=False):
    """The daemons of a node."""

    kubelet: Port | None = field(default=None, name="kubeletEndpoint")


class NodeStatus(Struct, gc=False):
    """``status`` of a node."""

    images: list[Image] | None = None
    addresses: list[Address] | None = None
    endpoints: Endpoints | None = field(default=None, name="daemonEndpoints")


class Node(Struct, gc=False):
    """A node."""

    metadata: Meta
    status: NodeStatus = field(default_factory=NodeStatus)


ContainerKind = Literal["main", "init", "sidecar", "ephemeral"]
ContainerState = Literal["waiting", "running", "ended"]
ChangeKind = Literal["added", "changed", "gone"]

_ENDED_PHASES: Final = ("Succeeded", "Failed")


class WatchedContainer(Struct, frozen=True, gc=False):
    """A container of a pod, as its kubelet last reported it."""

    #: Its identity. A restarted container is a new one with another ``started_at``.
    namespace: str
    pod: str
    pod_uid: str
    container: str
    #: Where the pod runs; None before it is scheduled.
    node: str | None
    #: Its start, in UTC; None while it waits.
    started_at: datetime | None
    kind: ContainerKind  # a sidecar is an init container that is restarted always
    state: ContainerState  # ``waiting`` also before the kubelet reported anything
    #: Why it waits or ended: CrashLoopBackOff, ImagePullBackOff, OOMKilled, Evicted, ...
    reason: str | None
    #: What controls its pod: :func:`podlab.data.workloads.workload_of`.
    workload: str = ""
    image: str = ""  # as the pod's specification names it
    app: str = ""  # the pod's label ``app.kubernetes.io/name``


class WatchedPod(Struct, frozen=True, gc=False):
    """A pod with all its containers: init containers and sidecars, then the main ones, then ephemeral ones.

    One recreated under the same name has another uid; ``node`` is None before it is scheduled.
    """

    namespace: str
    name: str
    uid: str
    node: str | None
    containers: tuple[WatchedContainer, ...]


class Change(Struct, frozen=True, gc=False):
    """What happened to a pod, and its present state; the last one seen if it is gone.

    Pods are identified by uid: one deleted and recreated under its name is ``gone`` and ``added``.
    """

    kind: ChangeKind
    pod: WatchedPod


def watched(pod: Pod) -> WatchedPod:
    """Join the specification of a decoded pod with its status, which may be missing yet.

    This runs for each event and each pod of a list, so it is written for speed: fields are passed by position, and
    names that occur in thousands of pods are interned.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    namespace, name, uid = sys.intern(meta.namespace), meta.name, meta.uid
    node = spec.node and sys.intern(spec.node)
    owner_kind, owner_name = controller_of(meta.owners)
    workload = sys.intern(workload_of(name, owner_kind, owner_name) if owner_kind else f"Pod/{name}")
    app = sys.intern(app_of(meta.labels))
    parts: tuple[tuple[ContainerKind, tuple[Container, ...], tuple[ContainerStatus, ...]], ...] = (
        ("init", spec.init_containers, status.init_containers),
        ("main", spec.containers, status.containers),
        ("ephemeral", spec.ephemeral_containers, status.ephemeral_containers),
    )
    found = []
    for part, containers, statuses in parts:
        if not containers:
            continue
        by_name = {one.name: one for one in statuses}
        for container in containers:
            one = by_name.get(container.name)
            state, started_at, reason = _state(one, status)
            kind: ContainerKind = "sidecar" if part == "init" and container.restart_policy == "Always" else part
            which, image = sys.intern(container.name), sys.intern(container.image)
            found.append(
                WatchedContainer(
                    namespace, name, uid, which, node, started_at, kind, state, reason, workload, image, app
                )
            )
    return WatchedPod(namespace, name, uid, node, tuple(found))


class _AppLabel(Struct, gc=False):
    app: str = field(default="", name="app.kubernetes.io/name")


_APP_LABEL: Final = msgspec.json.Decoder(_AppLabel)


def app_of(labels: Raw) -> str:
    """Return the label ``app.kubernetes.io/name``; empty where there is none."""
    try:
        return _APP_LABEL.decode(labels).app
    except DECODE_ERRORS:  # null, or no text
        return ""


def controller_of(owners: Iterable[OwnerReference]) -> tuple[str | None, str | None]:
    """Return the kind and name of what manages an object: at most one of its owners."""
    return next(((owner.kind, owner.name) for owner in owners if owner.controller), (None, None))


def _state(
    one: ContainerStatus | None, status: PodStatus[ContainerStatus]
) -> tuple[ContainerState, datetime | None, str | None]:
    """Return a container's state, its start and the reason."""
    if one is None:
        # A pod that is evicted before its start has ended, and its containers never had a status.
        return "ended" if status.phase in _ENDED_PHASES else "waiting", None, status.reason
    state = one.state
    if state.running is not None:
        return "running", state.running.started_at, None
    if state.terminated is not None:
        return "ended", state.terminated.started_at, state.terminated.reason
    return "waiting", None, state.waiting.reason if state.waiting else None


#: No object of the API server is larger than the 1.5 MB of its database, and the 3 MB of a request.
LONGEST_LINE_BYTES: Final = 16 * 2**20
_PIECE_BYTES: Final = 65536


class PodEvent(msgspec.Struct, gc=False):
    """A change of a pod."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Pod


class _Version(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class Notice(Status):
    """The object of a BOOKMARK or an ERROR: a version, or an error status."""

    metadata: _Version = msgspec.field(default_factory=_Version)


class NoticeEvent(msgspec.Struct):
    """A bookmark, or the end of the watch."""

    type: Literal["BOOKMARK", "ERROR"]
    object: Notice


_POD_EVENT: Final = msgspec.json.Decoder(PodEvent)
_NOTICE_EVENT: Final = msgspec.json.Decoder(NoticeEvent)


def read_pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Read a stream as it arrives; raises urllib3's errors where it breaks off."""
    if response.chunked:
        # The API server sends each event as a chunk, and reading by chunks takes a third of the time of read1.
        yield from response.stream(_PIECE_BYTES, decode_content=False)
        return
    while piece := response.read1(_PIECE_BYTES, decode_content=False):
        yield piece


def read_lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    r"""Split a stream into the lines that each piece completes, some with their break; often one, sometimes none.

    Raises UnreadableError if a line does not end.

    Examples
    --------
    >>> list(read_lines([b"one\ntw", b"o\nthree\n", b"four\n"]))
    [[b'one'], [b'two', b'three'], [b'four\n']]
    """
    begun: list[bytes] = []
    begun_bytes = 0
    for piece in pieces:
        if not begun and 0 < piece.find(b"\n") == len(piece) - 1:
            # One event in one piece, as the API server sends it: nothing to split or copy.
            yield [piece]
            continue
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            begun.append(head)
            yield [line for line in b"".join(begun).split(b"\n") if line]
            begun, begun_bytes = [], 0
        else:
            yield []
        if tail:
            begun.append(tail)
            begun_bytes += len(tail)
        if begun_bytes > LONGEST_LINE_BYTES:
            raise UnreadableError(f"the watch sent a line of more than {LONGEST_LINE_BYTES} bytes")
    if begun:
        raise UnreadableError("the watch ended in the middle of a line")


def decode_event(line: bytes) -> PodEvent | NoticeEvent:
    """Decode a line; raises UnreadableError if it is not an event."""
    try:
        return _POD_EVENT.decode(line)
    except DECODE_ERRORS as error:
        try:
            # A bookmark lacks fields that every pod has, so it is never decoded as a pod.
            return _NOTICE_EVENT.decode(line)
        except DECODE_ERRORS:
            raise UnreadableError(f"the watch sent something that is not an event: {one_line(str(error))}") from None
