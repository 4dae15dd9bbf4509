"""Credentials for an API server: a pod's service account, a kubeconfig, or none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3
import yaml
from urllib3.exceptions import HTTPError

from podlab.errors import InputError
from podlab.http import one_line, proxy_headers
from podlab.proxies import find_proxy
from podlab.secret_text import clean_token

if TYPE_CHECKING:
    from kubernetes.client import Configuration

#: Where Kubernetes puts a pod's own credentials.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: The kubelet renews a pod's token before it ends; https://kubernetes.io/docs/concepts/storage/projected-volumes/.
_TOKEN_S: Final = 60.0
#: As many requests at once keep their connections open.
_CONNECTIONS: Final = 8


@dataclass(frozen=True)
class Credentials:
    """The address of an API server and what it needs to let a client in.

    Attributes
    ----------
    host : str
        ``https://...`` of the API server.
    pool : PoolManager
        Connections that trust the server's authority and show the client's certificate.
    headers : callable
        Returns the headers of the next request: a token in a file is renewed. Raises InputError if it cannot be read.
    authority, certificate, key : str or None
        Files: the certificate authority, the client's certificate and its key.
    """

    host: str
    pool: urllib3.PoolManager = field(repr=False)
    headers: Callable[[], dict[str, str]] = field(repr=False)
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None


def no_credentials(host: str) -> Credentials:
    """Use none, for ``kubectl proxy``."""
    return Credentials(host, _pool(), dict)


def service_account() -> Credentials:
    """Read a pod's own, without the official client, whose 75 MB are not in the watcher's image.

    Raises
    ------
    InputError
        If it is incomplete.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    authority = SERVICE_ACCOUNT / "ca.crt"
    try:
        if not host or not port:
            raise OSError("KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set")
        token = _Token(SERVICE_ACCOUNT / "token")
        if not authority.read_bytes().strip():
            raise OSError("ca.crt is empty")
        # Read here, not at the first request, so that a mistake is reported now.
        urllib3.util.create_urllib3_context().load_verify_locations(authority)
    except OSError as error:
        raise InputError(
            f"not in a pod with a service account: {error.strerror or one_line(str(error))}",
            where=str(SERVICE_ACCOUNT),
            hint="mount a service account token, or use a kubeconfig (access outside)",
        ) from None
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Credentials(address, _pool(str(authority)), token.headers, str(authority))


def kubeconfig(paths: str, context: str | None) -> Credentials:
    """Load a kubeconfig, or several that ``KUBECONFIG`` joins with ``:``, by the official client.

    Raises
    ------
    InputError
        If it does not exist, cannot be read, or is not a kubeconfig; or without the official client, which no image
        contains.
    """
    origin = f"kubeconfig {paths}"
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        hint = "name an existing one by KUBECONFIG, or run podlab in a pod (access inside)"
        raise InputError("no such file", where=origin, hint=hint)
    try:
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException, load_kube_config
    except ImportError:
        hint = "install podlab[kubeconfig], or run podlab in a pod (access inside)"
        raise InputError("reading it needs the package kubernetes", where=origin, hint=hint) from None
    configuration = Configuration()
    # The kubeconfig's own proxy is used, else the environment's, as for every other server.
    configuration.proxy = None
    configuration.no_proxy = None
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
        raise InputError("is not a kubeconfig", where=origin, hint="check it with kubectl config view") from None
    # A dead server is reported at once; and without retries there are no redirects either, so that credentials go to
    # the named server only.
    configuration.retries = False
    proxy = None if configuration.proxy else find_proxy(str(configuration.host))
    if proxy is not None:
        configuration.proxy, configuration.proxy_headers = proxy.url, proxy_headers(proxy)
    try:
        pool: urllib3.PoolManager = ApiClient(configuration).rest_client.pool_manager
    except (HTTPError, ImportError, ValueError):
        what = "its proxy-url cannot be used" if proxy is None else "the address of the proxy cannot be used"
        where = origin if proxy is None else proxy.variable
        raise InputError(what, where=where, hint="give it as http://HOST:PORT") from None
    named = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    authority, certificate, key = (None if file is None else str(file) for file in named)
    headers = _renewed(configuration, origin)
    headers()  # so that a wrong token is reported now
    return Credentials(str(configuration.host), pool, headers, authority, certificate, key)


def _renewed(configuration: Configuration, origin: str) -> Callable[[], dict[str, str]]:
    """Ask the official client each time: it renews tokens that expire, and rereads files from time to time."""
    from kubernetes.config import ConfigException

    def headers() -> dict[str, str]:
        try:
            shown: Any = configuration.auth_settings()
        except (ConfigException, OSError) as error:
            # From the first brace on the client quotes entries, tokens included.
            what = f"the credentials cannot be read: {one_line(str(error).partition('{')[0])}"
            raise InputError(what, where=origin) from None
        return {str(auth["key"]): _clean(str(auth["value"]), origin) for auth in shown.values()}

    return headers


class _Token:
    """A token in a file that is renewed in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    def _read(self) -> None:
        self._text = self._path.read_text(encoding="utf-8", errors="replace")
        self._read_s = time.monotonic()
        if not self._text.strip():
            raise OSError("token is empty")

    def headers(self) -> dict[str, str]:
        if time.monotonic() - self._read_s >= _TOKEN_S:
            try:
                self._read()
            except OSError as error:
                what = f"the credentials cannot be read: {error.strerror or error}"
                raise InputError(what, where=str(self._path)) from None
        return {"authorization": f"Bearer {clean_token(self._text, where=str(self._path))}"}


def _clean(value: str, origin: str) -> str:
    """Strip the line break at the end of a token file; the official client returns a whole header's value."""
    scheme, blank, token = value.strip().partition(" ")
    if not blank or not (scheme.isascii() and scheme.isalpha()):
        return clean_token(value, where=origin)
    return f"{scheme} {clean_token(token, where=origin)}"


def _pool(authority: str | None = None) -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False, ca_certs=authority, cert_reqs="CERT_REQUIRED")
