"""The few fields of Kubernetes objects that podlab reads; all others are skipped while decoding.

Decoded objects are trees, so the garbage collector need not follow them (``gc=False``): over 10,000 pods its walks
would take twice as long as all the rest.
Names follow https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct, field

Item = TypeVar("Item")


class ListMeta(Struct, gc=False):
    """``metadata`` of a list; ``continue_token`` is empty on its last page."""

    continue_token: str = field(default="", name="continue")


class Page(Struct, Generic[Item], gc=False):
    """One page of a list; some servers write null for no items."""

    items: list[Item] | None
    metadata: ListMeta = field(default_factory=ListMeta)


class Owner(Struct, gc=False):
    """One of an object's ``ownerReferences``."""

    kind: str
    name: str
    controller: bool | None = None


class Meta(Struct, gc=False):
    """``metadata`` of an object."""

    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    owners: list[Owner] = field(default_factory=list, name="ownerReferences")


class Running(Struct, gc=False):
    """``state.running`` of a container."""

    started_at: str | None = field(default=None, name="startedAt")


class State(Struct, gc=False):
    """``state`` of a container: running, waiting or terminated."""

    running: Running | None = None


class ContainerStatus(Struct, gc=False):
    """What the kubelet says of a regular container."""

    name: str
    image: str = ""
    image_id: str = field(default="", name="imageID")
    state: State = field(default_factory=State)


class Container(Struct, gc=False):
    """What the pod's author said of a regular container."""

    name: str
    image: str = ""


class PodSpec(Struct, gc=False):
    """``spec`` of a pod."""

    containers: list[Container] = field(default_factory=list)
    node: str | None = field(default=None, name="nodeName")


class PodStatus(Struct, gc=False):
    """``status`` of a pod; init and ephemeral containers have lists of their own, which are not read."""

    containers: list[ContainerStatus] = field(default_factory=list, name="containerStatuses")


class Pod(Struct, gc=False):
    """A pod."""

    metadata: Meta
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)


class Image(Struct, gc=False):
    """An image on a node: the names it is known by, and its size."""

    names: list[str] | None = None
    size_bytes: int | None = field(default=None, name="sizeBytes")


class NodeStatus(Struct, gc=False):
    """``status`` of a node."""

    images: list[Image] | None = None


class Node(Struct, gc=False):
    """A node."""

    metadata: Meta
    status: NodeStatus = field(default_factory=NodeStatus)
