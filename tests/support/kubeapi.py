"""A small Kubernetes API server for tests: real HTTP on loopback, bearer tokens, RBAC, watches, and faults on demand.

It answers for pods, nodes, events and leases from a :class:`tests.support.kubestore.Store`, as the documentation
says, and knows nothing of podlab. The official client drives it as well (tests/kubernetes/test_kubeapi*.py).
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.support.kubechecks import check_body, check_stored
from tests.support.kubehttp import Server, handler_for
from tests.support.kubekinds import KINDS
from tests.support.kuberequest import ANONYMOUS, Request
from tests.support.kubestatus import Object, StatusError
from tests.support.kubestore import Store
from tests.support.kubewatch import Stream

__all__ = ["ANONYMOUS", "Fault", "KubeApi", "Request"]


@dataclass(frozen=True)
class Fault:
    """An answer that takes the place of the right one; where its status is no success, nothing is done either.

    ``cut_at`` bytes of the body are sent; with ``announce_all`` the headers still promise the whole body, so that
    the connection breaks off in the middle of it. A ``silent`` answer has no end: what is to be sent is sent, without
    a body not even the headers, and then nothing. Only requests with the ``verb`` are struck, by default all.
    """

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    announce_all: bool = True
    silent: bool = False
    verb: str | None = None


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
        All requests so far whose sender was known.
    faults : deque of Fault
        Each takes the place of one answer, the first first.
    before_answer : callable, optional
        Called with each request before it is answered; may change the store.
    streams : list of Stream
        The open watches.
    watches_end_at_once : bool
        Whether a watch ends when it has told what there is.
    expired_as_status : bool
        Whether a watch from a forgotten version is refused by HTTP status, instead of by an event in the stream.
    piece_bytes : int, optional
        In pieces of which size the lines of a watch are sent; each as a whole by default.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.store = Store()
        self.tokens: dict[str, str] = {}
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.before_answer: Callable[[Request], None] | None = None
        self.streams: list[Stream] = []
        self.watches_end_at_once = False
        self.expired_as_status = False
        self.piece_bytes: int | None = None
        self.closing = threading.Event()
        self._rights: set[_Right] = set()
        self._server = Server(("127.0.0.1", 0), handler_for(self))
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
        self.closing.set()
        self.order("end")
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

    def order(self, what: bytes | str) -> None:
        """Send these bytes as they are to all open watches, or do with them: ``bookmark``, ``end``, ``reset``."""
        with self.store.lock:
            for stream in self.streams:
                stream.order(what)

    def user_of(self, authorization: str | None) -> str:
        """Tell who asks."""
        if authorization is None:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return self.tokens[token]

    def take_fault(self, request: Request) -> Fault | None:
        """Give the fault that is to strike this request."""
        for fault in self.faults:
            if fault.verb in (None, request.verb):
                self.faults.remove(fault)
                return fault
        return None

    def answer(self, request: Request) -> Object | Stream:
        """Do what is asked: may they, and what is there."""
        if request.resource == "selfsubjectaccessreviews":
            return self._review(request)
        self._check_right(request)
        kind, namespace = KINDS[request.resource], request.namespace or ""
        if request.verb == "watch":
            return self._open_watch(request)
        if request.verb == "list":
            return self.store.list(request.resource, request.namespace, request.params)
        if request.verb == "create":
            return self.store.create(request.resource, check_body(request.json(), kind, request.namespace, None))
        assert request.name is not None
        if request.verb == "get":
            found = self.store.get(request.resource, request.name, namespace)
        elif request.verb == "update":
            body = check_body(request.json(), kind, request.namespace, request.name)
            found = self.store.update(request.resource, body)
        elif request.verb == "patch":
            found = self.store.patch(
                request.resource, request.name, namespace, request.content_type, request.json(),
                lambda patched: check_stored(patched, kind),
            )  # fmt: skip
        else:
            options: Any = request.json() if request.body else {}
            found = self.store.delete(request.resource, request.name, namespace, options.get("preconditions"))
        return {"kind": kind.kind, "apiVersion": kind.api_version, **found}

    def _open_watch(self, request: Request) -> Stream:
        with self.store.lock:
            stream = Stream(
                self.store, request.resource, request.namespace, request.params, at_once=self.watches_end_at_once
            )
            if self.expired_as_status and stream.starts_after:
                self.store.changes_after(stream.starts_after)
            self.streams.append(stream)
            # Whoever waits for a watch to be open is woken.
            self.store.lock.notify_all()
        return stream

    def _review(self, request: Request) -> Object:
        """Tell whether the user may do something; all who are known may ask that of themselves."""
        asked = request.json()["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        places = {None, asked.get("namespace") or None}
        allowed = {_Right(request.user, asked["verb"], resource, place) for place in places} & self._rights
        review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", **request.json()}
        return review | {"status": {"allowed": bool(allowed)}}

    def _check_right(self, request: Request) -> None:
        if {
            _Right(request.user, request.verb, request.resource, None),
            _Right(request.user, request.verb, request.resource, request.namespace),
        } & self._rights:
            return
        subject = KINDS[request.resource].full_name + (f' "{request.name}"' if request.name else "")
        place = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
        message = (
            f'{subject} is forbidden: User "{request.user}" cannot {request.verb} resource "{request.resource}" '
            f'in API group "{KINDS[request.resource].group}" {place}'
        )
        details = {"kind": request.resource} | ({"name": request.name} if request.name else {})
        raise StatusError(403, "Forbidden", message, details)
