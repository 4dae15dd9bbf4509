"""A small Kubernetes API server for tests: real HTTP on loopback, bearer tokens, RBAC, and faults on demand.

It answers get and list of pods and nodes from a :class:`tests.support.kubestore.Store`, as the documentation says,
and knows nothing of podlab. The official client drives it as well (tests/cluster/test_kubeapi.py).
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.support.kubestore import KINDS, StatusError, Store

ANONYMOUS = "system:anonymous"


@dataclass(frozen=True)
class Request:
    """One request that was understood, whatever was answered."""

    user: str
    verb: str
    resource: str
    namespace: str | None
    name: str | None
    params: dict[str, str]


@dataclass(frozen=True)
class Fault:
    """An answer that takes the place of the right one.

    ``cut_at`` bytes of the body are sent; with ``announce_all`` the headers still promise the whole body, so that
    the connection breaks off in the middle of it.
    """

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    announce_all: bool = True


@dataclass(frozen=True)
class _Right:
    user: str
    verb: str
    resource: str
    namespace: str | None


class KubeApi:
    """The server; use it in a ``with`` block.

    Parameters
    ----------
    certificate : Path, optional
        PEM file with certificate and key: serve HTTPS.

    Attributes
    ----------
    store : Store
        The objects.
    tokens : dict
        Bearer token -> user. Any other token is answered with 401.
    requests : list of Request
        All requests so far.
    faults : deque of Fault
        Each takes the place of one answer, the first first.
    before_answer : callable, optional
        Called with each request before it is answered; may change the store.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.store = Store()
        self.tokens: dict[str, str] = {}
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.before_answer: Callable[[Request], None] | None = None
        self._rights: set[_Right] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        # A short poll makes the end of a test quick; requests do not wait for it.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> KubeApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def allow(self, user: str, verbs: Iterable[str], resources: Iterable[str], namespace: str | None = None) -> None:
        """Grant rights, in one namespace or (as a ClusterRole does) everywhere."""
        resources = list(resources)
        self._rights |= {_Right(user, verb, resource, namespace) for verb in verbs for resource in resources}

    def add_user(self, token: str, user: str = "reader") -> None:
        """Make a user who may read pods and nodes everywhere."""
        self.tokens[token] = user
        self.allow(user, ("get", "list"), ("pods", "nodes"))

    def write_kubeconfig(self, path: Path, token: str | None = None, **cluster: object) -> Path:
        """Write a kubeconfig for this server; further entries go into its cluster."""
        user = {} if token is None else {"token": token}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "me", "user": user}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def answer(self, path: str, authorization: str | None) -> Any:
        """Answer a GET: who asks, may they, and what is there."""
        user = self._user_of(authorization)
        request = _understand(path, user)
        self.requests.append(request)
        if self.before_answer is not None:
            self.before_answer(request)
        self._check_right(request)
        if request.verb == "watch":
            raise StatusError(405, "MethodNotAllowed", "the test server does not serve watches")
        if request.name is None:
            return self.store.list(request.resource, request.namespace, request.params)
        found = self.store.get(request.resource, request.name, request.namespace or "")
        return {"kind": KINDS[request.resource], "apiVersion": "v1", **found}

    def _user_of(self, authorization: str | None) -> str:
        if authorization is None:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return self.tokens[token]

    def _check_right(self, request: Request) -> None:
        if {
            _Right(request.user, request.verb, request.resource, None),
            _Right(request.user, request.verb, request.resource, request.namespace),
        } & self._rights:
            return
        subject = request.resource if request.name is None else f'{request.resource} "{request.name}"'
        place = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
        message = (
            f'{subject} is forbidden: User "{request.user}" cannot {request.verb} resource "{request.resource}" '
            f'in API group "" {place}'
        )
        details = {"kind": request.resource} | ({"name": request.name} if request.name else {})
        raise StatusError(403, "Forbidden", message, details)


def _understand(path: str, user: str) -> Request:
    split = urlsplit(path)
    params = dict(parse_qsl(split.query))
    parts = split.path.strip("/").split("/")
    namespace = None
    if parts[:3] == ["api", "v1", "namespaces"] and len(parts) in (5, 6):
        namespace, parts = parts[3], [*parts[:2], *parts[4:]]
    if parts[:2] != ["api", "v1"] or len(parts) not in (3, 4) or parts[2] not in KINDS:
        raise StatusError(404, "NotFound", "the server could not find the requested resource")
    name = parts[3] if len(parts) == 4 else None
    verb = "get" if name else "watch" if params.get("watch") in ("true", "1") else "list"
    return Request(user, verb, parts[2], namespace, name, params)


def _handler_for(api: KubeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body go out in two writes; with Nagle's algorithm the second would wait for 40 ms.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status = 200
            try:
                answer = api.answer(self.path, self.headers.get("Authorization"))
            except StatusError as error:
                status, answer = error.code, error.body
            body = json.dumps(answer).encode()
            fault = api.faults.popleft() if api.faults else Fault(status)
            self._send(fault, fault.body if fault.body is not None else body)

        def _send(self, fault: Fault, body: bytes) -> None:
            sent = body[: fault.cut_at]
            self.send_response(fault.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body if fault.announce_all else sent)))
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = self.close_connection or len(sent) < len(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    return Handler
