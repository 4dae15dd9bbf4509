"""What is asked of the test API server."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.kubekinds import KINDS
from tests.support.kubestatus import StatusError

ANONYMOUS = "system:anonymous"
_PATH = re.compile(r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?/?")
#: HTTP method -> verb for a collection, verb for one object.
_VERBS = {
    "GET": ("list", "get"), "POST": ("create", None), "PUT": (None, "update"), "PATCH": (None, "patch"),
    "DELETE": (None, "delete"),
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request that was understood, whatever was answered."""

    user: str
    verb: str
    resource: str
    namespace: str | None
    name: str | None
    params: dict[str, str]
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        """Read the body."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise StatusError(400, "BadRequest", f"couldn't get version/kind; json parse error: {error}") from error


def understand(method: str, path: str, user: str, content_type: str = "", body: bytes = b"") -> Request:
    """Read a request; 404 for a path that leads nowhere, 405 for a method that cannot be used there."""
    split = urlsplit(path)
    for kind in KINDS.values():
        found = _PATH.fullmatch(split.path.removeprefix(kind.path)) if split.path.startswith(kind.path + "/") else None
        if found is None or found["resource"] != kind.resource:
            continue
        namespace, name = (unquote(part) if part else None for part in found.group("namespace", "name"))
        nowhere = bool(namespace) != kind.namespaced and not (kind.namespaced and name is None and method == "GET")
        if nowhere:
            break
        params = dict(parse_qsl(split.query))
        verb = _VERBS[method][name is not None]
        if verb is None:
            raise StatusError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        if verb == "list" and params.get("watch") in ("true", "1"):
            verb = "watch"
        return Request(user, verb, kind.resource, namespace, name, params, content_type, body)
    raise StatusError(404, "NotFound", "the server could not find the requested resource")
