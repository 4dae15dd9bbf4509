"""The objects behind the test API server: versions, history, optimistic locking, and lists of one moment.

https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource versions, lists in chunks, watches).
"""

from __future__ import annotations

import copy
import random
import threading
import uuid
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from tests.support.kubekinds import KINDS
from tests.support.kubepages import encode_token, version_and_start
from tests.support.kubepatch import apply_patch
from tests.support.kubeselect import matcher
from tests.support.kubestatus import Object, StatusError

_CREATED_AT = "2026-01-05T08:00:00Z"
#: The letters that the server appends to a ``generateName``: none that make words.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_STALE = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Change:
    """One write: the object before and after it, None where there was or is none."""

    version: int
    resource: str
    key: str
    before: Object | None
    after: Object | None


@dataclass
class Store:
    """Objects by resource and key, and every change since the last compaction."""

    version: int = 1000
    oldest: int = 0
    history: list[Change] = field(default_factory=list)
    lock: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    _now: dict[str, dict[str, Object]] = field(default_factory=lambda: {resource: {} for resource in KINDS})
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def put(self, resource: str, body: Object) -> Object:
        """Create or replace an object; it gets the next version and, where new, a uid and a creation time."""
        stored = copy.deepcopy(body)
        metadata, key = stored["metadata"], key_of(stored)
        with self.lock:
            before = self._now[resource].get(key)
            if before is not None:
                metadata.setdefault("uid", before["metadata"]["uid"])
            metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.version + 1}/{key}")))
            metadata.setdefault("creationTimestamp", _CREATED_AT)
            self._write(resource, key, stored)
        return copy.deepcopy(stored)

    def create(self, resource: str, body: Object) -> Object:
        """Create an object; its name may be left to the server."""
        metadata = body["metadata"]
        with self.lock:
            if not metadata.get("name"):
                # https://kubernetes.io/docs/reference/using-api/api-concepts/#generated-values
                suffix = "".join(self._random.choices(_SUFFIX_LETTERS, k=5))
                metadata["name"] = metadata["generateName"][:58] + suffix
            if key_of(body) in self._now[resource]:
                name = metadata["name"]
                message = f'{KINDS[resource].full_name} "{name}" already exists'
                raise StatusError(409, "AlreadyExists", message, {"name": name, "kind": resource})
            given = ("uid", "creationTimestamp", "resourceVersion")
            return self.put(resource, {**body, "metadata": {k: v for k, v in metadata.items() if k not in given}})

    def update(self, resource: str, body: Object) -> Object:
        """Replace an object, if it is still of the version and uid that the body names."""
        metadata, kind = body["metadata"], KINDS[resource]
        with self.lock:
            before = self._now[resource].get(key_of(body))
            if before is None and kind.create_on_update:
                return self.create(resource, body)
            if before is None:
                raise missing(resource, metadata["name"])
            if not (metadata.get("resourceVersion") or kind.unconditional_update):
                what = f'{kind.full_name} "{metadata["name"]}" is invalid: metadata.resourceVersion'
                raise StatusError(422, "Invalid", f"{what}: Invalid value: 0: must be specified for an update")
            check_still(resource, before, metadata)
            kept = {key: before["metadata"][key] for key in ("uid", "creationTimestamp", "resourceVersion")}
            stored = {**copy.deepcopy(body), "metadata": {**metadata, **kept}}
            # A write that changes nothing makes no new version and no event.
            return copy.deepcopy(before) if stored == before else self.put(resource, stored)

    def patch(
        self,
        resource: str,
        name: str,
        namespace: str,
        content_type: str,
        patch: object,
        check: Callable[[Object], None],
    ) -> Object:
        """Change parts of an object; ``check`` may refuse what comes out."""
        with self.lock:
            before = self.get(resource, name, namespace)
            after = apply_patch(before, content_type, patch)
            if key_of(after) != key_of(before):
                raise StatusError(400, "BadRequest", "the name of the object does not match the name on the URL")
            check(after)
            return self.update(resource, after)

    def delete(self, resource: str, name: str, namespace: str = "", preconditions: Object | None = None) -> Object:
        """Remove an object, if it is still of the version and uid that ``preconditions`` name; give its last state."""
        with self.lock:
            found = self.get(resource, name, namespace)
            check_still(resource, found, preconditions or {})
            self._write(resource, f"{namespace}/{name}", None)
            found["metadata"]["resourceVersion"] = str(self.version)
            return found

    def compact(self) -> None:
        """Forget all versions but the present one, as the server does every five minutes."""
        with self.lock:
            self.oldest = self.version
            self.history.clear()

    def get(self, resource: str, name: str, namespace: str = "") -> Object:
        """Return one object as it is now."""
        with self.lock:
            found = self._now[resource].get(f"{namespace}/{name}")
            if found is None:
                raise missing(resource, name)
            return copy.deepcopy(found)

    def list(self, resource: str, namespace: str | None, params: Mapping[str, str]) -> Object:
        """Answer a list request with one page."""
        matches = matcher(resource, params)
        limit = int(params.get("limit") or 0)
        with self.lock:
            version, start = version_and_start(params, self.version, self.oldest)
            objects = self._at(resource, version)
        prefix = "" if namespace is None else f"{namespace}/"
        keys = sorted(key for key in objects if key.startswith(prefix) and key >= start)
        items: list[Object] = []
        left = len(keys)
        for key in keys:
            if limit and len(items) == limit:
                break
            left -= 1
            if matches(objects[key]):
                items.append(objects[key])
        metadata: Object = {"resourceVersion": str(version)}
        if left:
            # Whether the rest matches is not known yet, so that the last page may be empty.
            metadata["continue"] = encode_token(version, keys[-left])
            if not (params.get("labelSelector") or params.get("fieldSelector")):
                metadata["remainingItemCount"] = left
        kind = KINDS[resource]
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    def changes_after(self, version: int) -> list[Change]:
        """Return what happened after a version, oldest first; 410 if that is forgotten."""
        with self.lock:
            if version < self.oldest:
                raise StatusError(410, "Expired", f"too old resource version: {version} ({self.oldest})")
            return self.history[bisect_right(self.history, version, key=attrgetter("version")) :]

    def _write(self, resource: str, key: str, after: Object | None) -> None:
        """Make the next version; whoever waits for it is woken."""
        self.version += 1
        before = self._now[resource].get(key)
        if after is None:
            del self._now[resource][key]
        else:
            after["metadata"]["resourceVersion"] = str(self.version)
            self._now[resource][key] = after
        self.history.append(Change(self.version, resource, key, before, after))
        self.lock.notify_all()

    def _at(self, resource: str, version: int) -> dict[str, Object]:
        """Go back from the present to an earlier version."""
        objects = dict(self._now[resource])
        for change in reversed(self.changes_after(version)):
            if change.resource == resource:
                if change.before is None:
                    del objects[change.key]
                else:
                    objects[change.key] = change.before
        return objects


def key_of(obj: Object) -> str:
    """Namespace and name of an object."""
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def missing(resource: str, name: str) -> StatusError:
    """Make the refusal of what is not there."""
    return StatusError(
        404, "NotFound", f'{KINDS[resource].full_name} "{name}" not found', {"name": name, "kind": resource}
    )


def check_still(resource: str, found: Object, wanted: Mapping[str, str]) -> None:
    """Refuse to write over what somebody else has written meanwhile."""
    name = found["metadata"]["name"]
    for key in ("uid", "resourceVersion"):
        if wanted.get(key) and wanted[key] != found["metadata"][key]:
            message = f'Operation cannot be fulfilled on {KINDS[resource].full_name} "{name}": {_STALE}'
            raise StatusError(409, "Conflict", message, {"name": name, "kind": resource})
