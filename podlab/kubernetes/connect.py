"""Finding the API server and the credentials for it: in a pod, by kubeconfig, or at a given address."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from podlab.errors import InputError
from podlab.kubernetes import credentials
from podlab.kubernetes.api import ApiConnection
from podlab.kubernetes.credentials import Credentials

Access = Literal["auto", "inside", "outside"]

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"


def connect(
    endpoint: str | None = None,
    access: Access = "auto",
    kubeconfig: Path | None = None,
    context: str | None = None,
    timeout_s: float = 30.0,
) -> ApiConnection:
    """Find the API server and prepare requests to it; none is sent yet.

    ``auto`` takes the first that is there: a kubeconfig named by argument or by ``KUBECONFIG``; the service account
    of the pod podlab runs in; ``~/.kube/config``; with an ``endpoint``, no credentials at all, as ``kubectl proxy``
    wants it.

    Parameters
    ----------
    endpoint : str, optional
        Address to use instead of the one that comes with the credentials.
    access : {"auto", "inside", "outside"}
        ``inside`` uses only the pod's service account, ``outside`` only a kubeconfig.
    kubeconfig : Path, optional
        The kubeconfig to use instead of ``KUBECONFIG`` and ``~/.kube/config``.
    context : str, optional
        The kubeconfig's context; its current one by default.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer, in seconds.

    Returns
    -------
    ApiConnection

    Raises
    ------
    InputError
        If there are no credentials where they were looked for, they cannot be read, or they would be sent
        unencrypted over a network.
    """
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")
    asked_for_file = named is not None or context is not None
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and (credentials.SERVICE_ACCOUNT / "token").is_file()
    if access == "inside" or (access == "auto" and in_pod and not asked_for_file):
        found, origin = credentials.service_account(), "the pod's service account"
    elif access == "outside" or asked_for_file or Path(_DEFAULT_KUBECONFIG).expanduser().is_file():
        paths = named or _DEFAULT_KUBECONFIG
        found, origin = credentials.kubeconfig(paths, context), f"kubeconfig {paths}"
    elif endpoint is not None:
        found, origin = credentials.no_credentials(endpoint), f"{endpoint} (no credentials)"
    else:
        raise InputError(
            "no way to a Kubernetes API server: KUBECONFIG is not set, there is no ~/.kube/config, "
            "and podlab does not run in a pod",
            hint="name a kubeconfig by KUBECONFIG, or give the API server's address",
        )
    if endpoint is not None:
        found = replace(found, host=endpoint)
    _refuse_clear_text(found)
    return ApiConnection(found, origin, timeout_s)


def _refuse_clear_text(found: Credentials) -> None:
    address = urlsplit(found.host)
    if address.scheme == "https" or not found.headers() or _is_loopback(address.hostname or ""):
        return
    raise InputError("the credentials would be sent unencrypted", where=found.host, hint="give an https:// address")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
