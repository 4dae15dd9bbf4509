"""Where the kubelet of each node listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podlab.kubernetes.inventory import list_all
from podlab.kubernetes.objects import Node, Page
from podlab.sources.kubelet_http import KubeletAddress

if TYPE_CHECKING:
    from podlab.kubernetes.api import ApiConnection

#: A kubelet's address, the best first; a name may not be known where podlab runs.
_KINDS = ("InternalIP", "Hostname", "ExternalIP", "InternalDNS", "ExternalDNS")
_DEFAULT_PORT = 10250


def list_kubelets(connection: ApiConnection, *, page_size: int = 500) -> list[KubeletAddress]:
    """List the kubelets of a cluster; nodes that have no address yet are left out.

    Parameters
    ----------
    connection : ApiConnection
        It needs the right to list nodes.
    page_size : int
        Nodes fetched in one request.

    Raises
    ------
    InputError
        If the API server cannot be reached or trusted, or refuses.
    PodlabError
        If the API server fails or breaks off.
    """
    found = []
    for node in list_all(connection, Page[Node], "nodes", page_size=page_size):
        told = {address.kind: address.address for address in node.status.addresses or () if address.address}
        host = next((told[kind] for kind in _KINDS if kind in told), None)
        if host is not None:
            endpoints = node.status.endpoints
            port = endpoints.kubelet.port if endpoints and endpoints.kubelet else 0
            found.append(KubeletAddress(node.metadata.name, host, port or _DEFAULT_PORT))
    return found
