"""Finding the API server and the credentials for it: in a pod, by kubeconfig, or at a given address."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader

from podlab.cluster.api import ApiConnection
from podlab.cluster.refusals import one_line
from podlab.errors import InputError

Access = Literal["auto", "inside", "outside"]

#: Where Kubernetes puts a pod's own credentials.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_IN_POD: Final = "the pod's service account"


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
    configuration = Configuration()
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")
    asked_for_file = named is not None or context is not None
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").is_file()
    if access == "inside" or (access == "auto" and in_pod and not asked_for_file):
        origin = _load_service_account(configuration)
    elif access == "outside" or asked_for_file or Path(_DEFAULT_KUBECONFIG).expanduser().is_file():
        origin = _load_kubeconfig(configuration, named or _DEFAULT_KUBECONFIG, context)
    elif endpoint is not None:
        origin = f"{endpoint} (no credentials)"
        configuration.host = endpoint
    else:
        raise InputError(
            "no way to a Kubernetes API server: KUBECONFIG is not set, there is no ~/.kube/config, "
            "and podlab does not run in a pod",
            todo="name a kubeconfig by KUBECONFIG, or give the API server's address",
        )
    # Whoever waits shall hear of a dead server at once; and without retries there are no redirects either, so that
    # credentials go to the named server only.
    configuration.retries = False
    _keep(configuration, endpoint, origin)
    _refuse_clear_text(configuration)
    return ApiConnection(ApiClient(configuration), origin, timeout_s)


def _load_service_account(configuration: Configuration) -> str:
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    try:
        loader = InClusterConfigLoader(str(token), str(authority), environ=os.environ)  # type: ignore[no-untyped-call]
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise InputError(
            f"not in a pod with a service account: {one_line(str(error))}",
            where=str(SERVICE_ACCOUNT),
            todo="mount a service account token, or use a kubeconfig (access outside)",
        ) from None
    return _IN_POD


def _load_kubeconfig(configuration: Configuration, paths: str, context: str | None) -> str:
    """Load a kubeconfig, or several that ``KUBECONFIG`` joins with ``:``."""
    origin = f"kubeconfig {paths}"
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        todo = "name an existing one by KUBECONFIG, or run podlab in a pod (access inside)"
        raise InputError("no such file", where=origin, todo=todo)
    try:
        # Renewed tokens are kept in memory only: the user's file is not podlab's to change.
        load_kube_config(paths, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except yaml.YAMLError:
        raise InputError("is not valid YAML", where=origin) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=origin) from None
    except ConfigException as error:
        # From the first brace on the client quotes the file's entries, tokens included.
        raise InputError(one_line(str(error).partition("{")[0]).rstrip("/ "), where=origin) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError("is not a kubeconfig", where=origin, todo="check it with kubectl config view") from None
    return origin


def _keep(configuration: Configuration, endpoint: str | None, origin: str) -> None:
    """Hold on to the given address, and to a clean token, whenever the client renews its credentials.

    The client's hook runs before every request, and sets both the address and the hook itself back to its own.
    """
    renew: Callable[[Configuration], None] | None = configuration.refresh_api_key_hook

    def renew_and_keep(renewed: Configuration) -> None:
        if renew is not None:
            renew(renewed)
        if endpoint is not None:
            renewed.host = endpoint
        token = renewed.api_key.get("BearerToken")
        if token is not None:
            # A token file often ends with a line break, which no HTTP header may hold.
            token = token.strip()
            if not (token.isascii() and token.isprintable()):
                raise InputError("the token holds a character that no token may hold", where=origin)
            renewed.api_key["BearerToken"] = token
        renewed.refresh_api_key_hook = renew_and_keep  # type: ignore[assignment]

    renew_and_keep(configuration)


def _refuse_clear_text(configuration: Configuration) -> None:
    address = urlsplit(configuration.host)
    if address.scheme == "https" or "BearerToken" not in configuration.api_key or _is_loopback(address.hostname or ""):
        return
    raise InputError(
        "the credentials would be sent unencrypted", where=configuration.host, todo="give an https:// address"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
