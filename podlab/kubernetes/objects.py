"""The few fields of Kubernetes objects that podlab reads; all others are skipped while decoding.

A watch reads the least of them: each field that is decoded from 10,000 pods, each string above all, is to be paid for.
The inventory reads the same and more.

Decoded objects are trees, so the garbage collector need not follow them (``gc=False``): over 10,000 pods its walks
would take twice as long as all the rest. For the same reason they hold tuples, where an empty one costs nothing.
Names follow https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Raw, Struct, field

Item = TypeVar("Item")


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


class Running(Struct, gc=False):
    """``state.running`` of a container."""

    started_at: datetime | None = field(default=None, name="startedAt")


class Waiting(Struct, gc=False):
    """``state.waiting`` of a container."""

    reason: str | None = None


class Terminated(Struct, gc=False):
    """``state.terminated`` of a container."""

    started_at: datetime | None = field(default=None, name="startedAt")
    reason: str | None = None


class State(Struct, gc=False):
    """``state`` of a container: one of them, or none, which means waiting."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, gc=False):
    """What the kubelet says of a container."""

    name: str
    state: State = field(default_factory=State)


class Container(Struct, gc=False):
    """What the pod's author said of a container; an init container that always restarts is a sidecar."""

    name: str
    restart_policy: str | None = field(default=None, name="restartPolicy")


class PodSpec(Struct, gc=False):
    """``spec`` of a pod."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = field(default=(), name="initContainers")
    ephemeral_containers: tuple[Container, ...] = field(default=(), name="ephemeralContainers")
    node: str | None = field(default=None, name="nodeName")


class PodStatus(Struct, gc=False):
    """``status`` of a pod; init and ephemeral containers have lists of their own."""

    phase: str = ""
    reason: str | None = None
    containers: tuple[ContainerStatus, ...] = field(default=(), name="containerStatuses")
    init_containers: tuple[ContainerStatus, ...] = field(default=(), name="initContainerStatuses")
    ephemeral_containers: tuple[ContainerStatus, ...] = field(default=(), name="ephemeralContainerStatuses")


class WatchedMeta(Meta, gc=False):
    """``metadata`` of a pod that is watched; of very few are the labels read, so they stay JSON."""

    labels: Raw = Raw(b"{}")


class Pod(Struct, gc=False):
    """A pod, as it is watched."""

    metadata: WatchedMeta
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)


class Owner(Struct, gc=False):
    """One of an object's ``ownerReferences``."""

    kind: str
    name: str
    controller: bool | None = None


class OwnedMeta(Meta, gc=False):
    """``metadata`` of an object that something manages."""

    labels: dict[str, str] = field(default_factory=dict)
    owners: tuple[Owner, ...] = field(default=(), name="ownerReferences")


class ImageContainer(Container, gc=False):
    """A container, and the image its author asked for."""

    image: str = ""


class ImageContainerStatus(ContainerStatus, gc=False):
    """A container's status, and the image that the kubelet found."""

    image: str = ""
    image_id: str = field(default="", name="imageID")


class ListedPodSpec(Struct, gc=False):
    """``spec`` of a pod, for the inventory."""

    containers: tuple[ImageContainer, ...] = ()
    init_containers: tuple[ImageContainer, ...] = field(default=(), name="initContainers")
    node: str | None = field(default=None, name="nodeName")


class ListedPodStatus(Struct, gc=False):
    """``status`` of a pod, for the inventory."""

    containers: tuple[ImageContainerStatus, ...] = field(default=(), name="containerStatuses")
    init_containers: tuple[ImageContainerStatus, ...] = field(default=(), name="initContainerStatuses")


class ListedPod(Struct, gc=False):
    """A pod, as the inventory lists it."""

    metadata: OwnedMeta
    spec: ListedPodSpec = field(default_factory=ListedPodSpec)
    status: ListedPodStatus = field(default_factory=ListedPodStatus)


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
