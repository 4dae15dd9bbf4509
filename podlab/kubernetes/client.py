"""Access to the Kubernetes API: find the server and the credentials for it, send requests, decode the needed fields.

The official client's models are not used: they cost 2 ms and 150 kB per pod. Decoding the needed fields from the raw
bytes takes microseconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3
import yaml
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from podlab.errors import InputError, PodlabError
from podlab.http import API_SERVER, DECODE_ERRORS, HttpClient, one_line, proxy_headers
from podlab.kubernetes.errors import describe, explain_status, read_status
from podlab.proxies import find_proxy, is_loopback
from podlab.secret_text import clean_token

if TYPE_CHECKING:
    from kubernetes.client import Configuration

Access = Literal["auto", "inside", "outside"]

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
#: Where Kubernetes puts a pod's own credentials.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: The kubelet renews a pod's token before it ends; https://kubernetes.io/docs/concepts/storage/projected-volumes/.
_TOKEN_S: Final = 60.0
#: As many requests at once keep their connections open.
_CONNECTIONS: Final = 8


def connect(
    endpoint: str | None = None,
    access: Access = "auto",
    kubeconfig: Path | None = None,
    context: str | None = None,
    timeout_s: float = 30.0,
) -> ApiConnection:
    """Find the API server and the credentials for it; no request is sent yet.

    ``auto`` takes the first that exists: a kubeconfig named by argument or by ``KUBECONFIG``; the service account of
    the pod podlab runs in; ``~/.kube/config``; with an ``endpoint``, no credentials at all, for ``kubectl proxy``.
    Raises InputError if no credentials were found, they cannot be read, or they would be sent unencrypted over a
    network.

    Parameters
    ----------
    endpoint : str, optional
        Address to use instead of the one in the credentials.
    access : {"auto", "inside", "outside"}
        ``inside`` uses only the pod's service account, ``outside`` only a kubeconfig.
    kubeconfig : Path, optional
        The kubeconfig to use instead of ``KUBECONFIG`` and ``~/.kube/config``.
    context : str, optional
        The kubeconfig's context; its current one by default.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer, in seconds.
    """
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")
    asked_for_file = named is not None or context is not None
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").is_file()
    if access == "inside" or (access == "auto" and in_pod and not asked_for_file):
        found, origin = service_account(), "the pod's service account"
    elif access == "outside" or asked_for_file or Path(_DEFAULT_KUBECONFIG).expanduser().is_file():
        paths = named or _DEFAULT_KUBECONFIG
        found, origin = read_kubeconfig(paths, context), f"kubeconfig {paths}"
    elif endpoint is not None:
        found, origin = no_credentials(endpoint), f"{endpoint} (no credentials)"
    else:
        raise InputError(
            "cannot find a Kubernetes API server: KUBECONFIG is not set, there is no ~/.kube/config, "
            "and podlab does not run in a pod",
            hint="name a kubeconfig by KUBECONFIG, or give the API server's address",
        )
    if endpoint is not None:
        found = replace(found, host=endpoint)
    _refuse_clear_text(found)
    return ApiConnection(found, origin, timeout_s)


def _refuse_clear_text(found: Credentials) -> None:
    address = urlsplit(found.host)
    if address.scheme == "https" or not found.headers() or is_loopback(address.hostname or ""):
        return
    raise InputError("the credentials would be sent unencrypted", where=found.host, hint="give an https:// address")


@dataclass(frozen=True)
class Credentials:
    """The address of an API server and what it needs to let a client in.

    ``pool`` trusts the server's authority and shows the client's certificate; ``headers`` returns those of the next
    request, because a token in a file is renewed, and raises InputError if it cannot be read. The others are files.
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

    Raises InputError if it is incomplete.
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
        what = f"not in a pod with a service account: {error.strerror or one_line(str(error))}"
        hint = "mount a service account token, or use a kubeconfig (access outside)"
        raise InputError(what, where=str(SERVICE_ACCOUNT), hint=hint) from None
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Credentials(address, _pool(str(authority)), token.headers, str(authority))


def read_kubeconfig(paths: str, context: str | None) -> Credentials:
    """Load a kubeconfig, or several that ``KUBECONFIG`` joins with ``:``, by the official client.

    Raises InputError if it does not exist, cannot be read, or is not a kubeconfig; or without the official client,
    which no image contains.
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


Resource = Literal["pods", "nodes"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
PageT = TypeVar("PageT")

JSON: Final = "application/json"
#: Content type of a PATCH: https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True)
class ApiConnection:
    """Access to one API server; made by :func:`connect`. Threads may share it.

    ``origin`` says in errors where the credentials came from; ``timeout_s`` is the longest wait for a connection, and
    for each piece of a response.
    """

    credentials: Credentials = field(repr=False)
    origin: str
    timeout_s: float

    @property
    def host(self) -> str:
        """Address of the API server."""
        return self.credentials.host

    @cached_property
    def _http(self) -> HttpClient:
        service = replace(API_SERVER, untrusted=f"check the certificate authority in {self.origin}")
        proxy = self.credentials.pool.proxy
        secrets = [] if proxy is None or proxy.auth is None else [proxy.auth, proxy.auth.partition(":")[2]]
        return HttpClient(service, self.credentials.pool, self.host, timeout_s=self.timeout_s, secrets=secrets)

    def close(self) -> None:
        """Close the open connections."""
        self._http.close()

    def request(
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        timeout_s: float | None = None,
    ) -> bytes:
        """Send one request and read the whole response.

        Raises the errors of :mod:`podlab.kubernetes.errors`; InputError if the server cannot be reached or trusted, or
        refuses the credentials or the request; PodlabError if the server fails, or the response breaks off.

        Parameters
        ----------
        path : str
            From ``/api/`` or ``/apis/`` on; quote names in it by :func:`urllib.parse.quote` where they may contain
            anything but letters, digits, dots and dashes.
        body : bytes or object, optional
            Bytes are sent as they are, anything else as JSON encoded by msgspec.
        content_type : str
            Of the body; it is the kind of a PATCH (:data:`MERGE_PATCH`).
        timeout_s : float, optional
            Instead of the connection's own.
        """
        response = self.open(method, path, body, query=query, content_type=content_type, timeout_s=timeout_s)
        try:
            answer: bytes = response.data
        except HTTPError as error:
            raise self.explain(error, timeout_s) from None
        return answer

    def open(
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        timeout_s: float | None = None,
    ) -> BaseHTTPResponse:
        """Send one request and return the open response, which the caller reads and closes.

        Reading it raises errors that :meth:`explain` puts into words. All else is as for :meth:`request`.
        """
        headers = {"Accept": JSON}
        payload = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if payload is not None:
            headers["Content-Type"] = content_type
        headers |= self.credentials.headers()
        target = path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        response = self._http.open(method, target, where=self.host, body=payload, headers=headers, timeout_s=timeout_s)
        if 200 <= response.status <= 299:
            return response
        try:
            status = read_status(self._http.redact_bytes(response.data), response.headers.get("Retry-After"))
        except HTTPError as error:
            raise self.explain(error, timeout_s) from None
        action = describe(method, path, query or {})
        raise explain_status(response.status, status, action, host=self.host, origin=self.origin)

    def redact(self, text: str) -> str:
        """Take the credentials out of a text of the server."""
        return self._http.redact(text)

    def explain(self, error: HTTPError, timeout_s: float | None) -> PodlabError:
        """Turn a transport error into one that says what to do."""
        return self._http.explain(error, where=self.host, timeout_s=timeout_s)

    def list_page(
        self,
        page_type: type[PageT],
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        continue_token: str | None = None,
    ) -> PageT:
        """Fetch one page of a list, decoded into a msgspec struct, of all namespaces by default.

        Selectors are written as for ``kubectl``; ``continue_token`` is the ``metadata.continue`` of the page before.
        Raises ExpiredError if the token is too old, so that the list has to start again; PodlabError as
        :meth:`request`, and if the response is not what was asked for.
        """
        given = {
            "labelSelector": label_selector, "fieldSelector": field_selector, "limit": limit, "continue": continue_token
        }  # fmt: skip
        query = {name: str(value) for name, value in given.items() if value is not None}
        body = self.request("GET", collection_path(resource, namespace), query=query)
        try:
            return msgspec.json.decode(body, type=page_type)
        except DECODE_ERRORS as error:
            what = f"the response to list {resource} cannot be read: {one_line(str(error))}"
            hint = "check that this address is a Kubernetes API server, then try again"
            raise PodlabError(what, where=self.host, hint=hint) from None


def collection_path(resource: Resource, namespace: str | None = None) -> str:
    """Return the path of all objects of a kind, or of those in one namespace."""
    return f"/api/v1/{resource}" if namespace is None else f"/api/v1/namespaces/{quote(namespace, safe='')}/{resource}"
