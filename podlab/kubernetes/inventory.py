"""The inventory: which containers run where, since when, from which image of what size; and where kubelets listen."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import pandas as pd

from podlab.data.catalogue import ALL_COLUMNS, CONTAINER_KEY
from podlab.data.labels import names_image
from podlab.errors import PodlabError
from podlab.kubernetes.client import ApiConnection, Resource
from podlab.kubernetes.errors import ExpiredError, ForbiddenError
from podlab.kubernetes.objects import Item, ListedPod, Node, Page, controller_of
from podlab.sources.kubelet import KubeletAddress

log = logging.getLogger(__name__)

_TIME_DTYPE: Final = "datetime64[ns, UTC]"
#: The columns of an inventory, in order, and their types.
COLUMNS: Final = {
    "cluster": "str", "node": "str", "namespace": "str", "pod": "str", "pod_uid": "str", "container": "str",
    "image": "str", "started_at": _TIME_DTYPE, "image_size_bytes": "float64",
    "pod_labels": "object", "owner_kind": "str", "owner_name": "str",
}  # fmt: skip
#: What :func:`enrich` fills in.
FILLED: Final = ("node", "pod_uid", "image", "started_at", "image_size_bytes")
#: Two reports of one container's start differ by no more than this.
_SAME_START: Final = pd.Timedelta(5, "s")
_NAMES: Final = ["cluster", "namespace", "pod", "container"]
#: How often a list is started again because it expired while it was read. A token lives for minutes, so even one
#: restart is rare.
_MOST_RESTARTS: Final = 3


def read_inventory(
    connection: ApiConnection,
    *,
    cluster: str = "local",
    namespaces: Sequence[str] | None = None,
    label_selector: str | None = None,
    page_size: int = 500,
) -> pd.DataFrame:
    """List the running containers of a cluster.

    A container is listed while its ``state`` is running: one that waits (pod pending, image not pulled, crash loop) or
    has ended has no start that a sample could belong to. Sidecars (init containers that always restart) are listed;
    other init containers and ephemeral ones are left out. Raises InputError if the API server cannot be reached or
    trusted, or refuses; PodlabError if the API server fails, breaks off, or the list expires repeatedly.

    Parameters
    ----------
    connection : ApiConnection
        From :func:`podlab.kubernetes.client.connect`. It needs the right to list pods and, for the images' sizes,
        nodes; without the latter the sizes are missing and a warning is logged.
    cluster : str
        The name to write into the column ``cluster``.
    namespaces : sequence of str, optional
        Only these; all by default.
    label_selector : str, optional
        Only pods with these labels, written as for ``kubectl --selector``.
    page_size : int
        Objects per request; 500 like ``kubectl``.

    Returns
    -------
    DataFrame
        One row per container, sorted by container, with the columns of :data:`COLUMNS`. ``image`` is the one of the
        pod's spec, ``pod_labels`` is a dict, ``owner_kind`` and ``owner_name`` describe the pod's controller and are
        missing for a bare pod. ``image_size_bytes`` is missing where the node's list does not contain the image (by
        default a kubelet reports no more than 50).
    """
    pods: list[ListedPod] = []
    scopes: Sequence[str | None] = [None] if namespaces is None else list(dict.fromkeys(namespaces))
    for namespace in scopes:
        pods += list_all(
            connection, Page[ListedPod], "pods", page_size=page_size, namespace=namespace, label_selector=label_selector
        )
    sizes_bytes = _read_image_sizes(connection, page_size)
    rows = [row for pod in pods for row in _running_containers(pod, sizes_bytes)]
    table = pd.DataFrame(rows, columns=[column for column in COLUMNS if column != "cluster"])
    table["cluster"] = cluster
    # An empty name is a missing one: the API omits what is not set.
    table = table.assign(
        started_at=pd.to_datetime(table["started_at"], utc=True, errors="coerce"),
        node=table["node"].replace("", None),
        pod_uid=table["pod_uid"].replace("", None),
    )
    table = table.astype(COLUMNS)[list(COLUMNS)].dropna(subset=["started_at"])
    return table.sort_values(list(CONTAINER_KEY), ignore_index=True)


def enrich(samples: pd.DataFrame, inventory: pd.DataFrame) -> pd.DataFrame:
    """Fill in what a metrics source does not know: uid, node, image, its size, and the start of each container.

    A row belongs to the running container of its cluster, namespace, pod and container name that started last
    before it. It is unchanged if there is none (it was taken before that start, so it is of an earlier container), or
    if its own ``pod_uid`` or ``started_at`` shows that it belongs to another. A source's start may be some seconds
    before the API's: cAdvisor reports when a container was created, the API when it ran.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    inventory : DataFrame
        From :func:`read_inventory`; inventories of different times may be concatenated.

    Returns
    -------
    DataFrame
        The samples in their order, with the columns of :data:`FILLED`; existing values are unchanged, except an image
        that is known by its digest only.
    """
    filled = samples.copy()
    for column in FILLED:
        if column not in filled:
            filled[column] = pd.Series(None, index=filled.index, dtype=COLUMNS[column])
    found = _match(filled, inventory)
    for column in FILLED:
        kept = filled[column].notna()
        if column == "image":
            named = [image for image in filled[column].dropna().unique() if names_image(image)]
            kept &= filled[column].isin(named) | found["found_image"].isna()
        filled[column] = filled[column].where(kept, found[f"found_{column}"])
    return filled[sorted(filled.columns, key=ALL_COLUMNS.index)]


def _match(samples: pd.DataFrame, inventory: pd.DataFrame) -> pd.DataFrame:
    """Find the values of each sample's container; missing where there is none."""
    wanted = samples[[*_NAMES, "pod_uid", "time", "started_at"]].reset_index(drop=True)
    # Two pods of one name that started in the same second: the order of uids makes the choice repeatable.
    known = inventory.sort_values(["started_at", "pod_uid"], kind="stable")
    known = known[[*_NAMES, *FILLED]].rename(columns={column: f"found_{column}" for column in FILLED})
    with_uid, with_start = wanted["pod_uid"].notna(), wanted["started_at"].notna()
    parts = []
    for has_uid in (True, False):
        by = [*_NAMES, "pod_uid"] if has_uid else _NAMES
        usable = known.assign(pod_uid=known["found_pod_uid"]).dropna(subset=by)[[*by, *known.columns.difference(by)]]
        for has_start in (True, False):
            at = "started_at" if has_start else "time"
            part = wanted[(with_uid == has_uid) & (with_start == has_start)].reset_index(names="row")
            parts.append(
                pd.merge_asof(
                    part.sort_values(at, kind="stable"), usable, left_on=at, right_on="found_started_at", by=by,
                    direction="nearest" if has_start else "backward", tolerance=_SAME_START if has_start else None,
                )
            )  # fmt: skip
    found = pd.concat(parts).set_index("row").sort_index()
    belongs = (found["found_started_at"] <= found["time"]) | with_start
    return found.where(belongs).set_index(samples.index)


def list_all(
    connection: ApiConnection, page_type: type[Page[Item]], resource: Resource, *, page_size: int, **scope: str | None
) -> list[Item]:
    """Read a list page by page; start again if it expires, so that all pages are of one moment.

    ``scope`` is as for :meth:`podlab.kubernetes.client.ApiConnection.list_page`, errors are those of
    :func:`read_inventory`.
    """
    for _ in range(_MOST_RESTARTS + 1):
        items: list[Item] = []
        token: str | None = None
        try:
            while token != "":
                page = connection.list_page(page_type, resource, limit=page_size, continue_token=token, **scope)
                items += page.items or []
                token = page.metadata.continue_token
        except ExpiredError:
            log.info("%s: the list of %s expired while it was read and is started again", connection.host, resource)
        else:
            return items
    what = f"the list of {resource} expired {_MOST_RESTARTS + 1} times while it was read"
    raise PodlabError(what, where=connection.host, hint="read larger pages, or fewer namespaces")


def _read_image_sizes(connection: ApiConnection, page_size: int) -> dict[str, dict[str, int]]:
    """Read the image sizes: node -> normal name -> bytes."""
    try:
        nodes = list_all(connection, Page[Node], "nodes", page_size=page_size)
    except ForbiddenError as error:
        log.warning("image sizes are missing: %s", error)
        return {}
    return {
        node.metadata.name: {
            normal_name(name): image.size_bytes
            for image in node.status.images or []
            for name in image.names or []
            if image.size_bytes is not None
        }
        for node in nodes
    }


def _running_containers(pod: ListedPod, sizes_bytes: dict[str, dict[str, int]]) -> Iterator[dict[str, Any]]:
    owner_kind, owner_name = controller_of(pod.metadata.owners)
    sidecars = [container for container in pod.spec.init_containers if container.restart_policy == "Always"]
    images = {container.name: container.image for container in (*pod.spec.containers, *sidecars)}
    names = {sidecar.name for sidecar in sidecars}
    statuses = [status for status in pod.status.init_containers if status.name in names]
    for status in (*pod.status.containers, *statuses):
        if status.state.running is None:
            continue
        candidates = [image for image in (images.get(status.name), status.image) if image]
        image = next((name for name in candidates if names_image(name)), candidates[0] if candidates else "")
        yield {
            "node": pod.spec.node,
            "namespace": pod.metadata.namespace,
            "pod": pod.metadata.name,
            "pod_uid": pod.metadata.uid,
            "container": status.name,
            "image": image,
            "started_at": status.state.running.started_at,
            # A tag may have moved since the container started; the digest has not.
            "image_size_bytes": size_of(
                (status.image_id, image, status.image), sizes_bytes.get(pod.spec.node or "", {})
            ),
            "pod_labels": pod.metadata.labels,
            "owner_kind": owner_kind,
            "owner_name": owner_name,
        }


_RUNTIME_PREFIXES: Final = ("docker-pullable://", "docker://")
_DEFAULT_REGISTRY: Final = "docker.io"
_DEFAULT_TAG: Final = "latest"


# Thousands of containers run a few dozen images.
@lru_cache(maxsize=4096)
def normal_name(image: str) -> str:
    """Spell an image's name in full, as runtimes do: registry, path and tag, or the digest alone if it has one.

    The first part of a name is a registry only if it contains a dot or a colon or is ``localhost``
    (https://github.com/distribution/reference); Docker Hub's own images are below ``library/``.

    Examples
    --------
    >>> normal_name("nginx")
    'docker.io/library/nginx:latest'
    >>> normal_name("docker-pullable://nginx@sha256:0123")
    'sha256:0123'
    """
    for prefix in _RUNTIME_PREFIXES:
        image = image.removeprefix(prefix)
    name, _, digest = image.partition("@")
    if digest:
        return digest
    if name.startswith("sha256:"):
        return name
    registry, slash, path = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = _DEFAULT_REGISTRY, name
    if registry == "index.docker.io":
        registry = _DEFAULT_REGISTRY
    if registry == _DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    tag = "" if ":" in path.rpartition("/")[2] else f":{_DEFAULT_TAG}"
    return f"{registry}/{path}{tag}"


def size_of(names: Iterable[str], sizes_bytes: dict[str, int]) -> int | None:
    """Find an image's size in bytes by the first of its names, in any spelling, that a node knows by its normal name.

    None where the node's list does not contain the image: by default a kubelet reports at most 50.
    """
    found = (sizes_bytes.get(normal_name(name)) for name in names if name)
    return next((size for size in found if size is not None), None)


#: Kinds of a kubelet's address, the best first; a name may not resolve where podlab runs.
_KINDS = ("InternalIP", "Hostname", "ExternalIP", "InternalDNS", "ExternalDNS")
_DEFAULT_PORT = 10250


def list_kubelets(connection: ApiConnection, *, page_size: int = 500) -> list[KubeletAddress]:
    """List the kubelets of a cluster, which needs the right to list nodes; nodes that have no address yet are left out.

    Errors are those of :func:`read_inventory`.
    """
    found = []
    for node in list_all(connection, Page[Node], "nodes", page_size=page_size):
        addresses = {address.kind: address.address for address in node.status.addresses or () if address.address}
        host = next((addresses[kind] for kind in _KINDS if kind in addresses), None)
        if host is not None:
            endpoints = node.status.endpoints
            port = endpoints.kubelet.port if endpoints and endpoints.kubelet else 0
            found.append(KubeletAddress(node.metadata.name, host, port or _DEFAULT_PORT))
    return found
