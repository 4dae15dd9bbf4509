"""Watches of the test API server: every change after a version, as one JSON object a line.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes and .../#watch-bookmarks.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping

from tests.support.kubekinds import KINDS
from tests.support.kubeselect import matcher
from tests.support.kubestatus import Object, StatusError
from tests.support.kubestore import Change, Store

#: A server without a wish of the client's ends a watch after half an hour to an hour.
_LONGEST_S = 1800.0


class ResetError(Exception):
    """The connection is to be reset where it is."""


class Stream:
    """One open watch.

    Parameters
    ----------
    store : Store
        What is watched.
    resource : str
        The kind of object.
    namespace : str, optional
        Only objects of this one.
    params : mapping
        Of the request.
    at_once : bool
        Send what there is, then end, as if the time were up.

    Attributes
    ----------
    starts_after : int
        The version that it was asked to start after; 0 for none.

    Raises
    ------
    StatusError
        If the parameters make no sense.
    """

    def __init__(
        self, store: Store, resource: str, namespace: str | None, params: Mapping[str, str], *, at_once: bool = False
    ) -> None:
        if "sendInitialEvents" in params:
            raise StatusError(422, "Invalid", "sendInitialEvents is forbidden: the feature gate WatchList is disabled")
        wanted = params.get("resourceVersion", "")
        if wanted and not wanted.isdecimal():
            raise StatusError(400, "BadRequest", f"Invalid resource version: {wanted!r}")
        self._store = store
        self._kind = KINDS[resource]
        self._prefix = "" if namespace is None else f"{namespace}/"
        self._matches = matcher(resource, params)
        self._bookmarks = params.get("allowWatchBookmarks") in ("true", "1")
        self._ends_at = time.monotonic() + float(params.get("timeoutSeconds") or _LONGEST_S)
        self._at_once = at_once
        self.starts_after = int(wanted or 0)
        self._orders: deque[bytes | str] = deque()

    def order(self, what: bytes | str) -> None:
        """Send these bytes as they are, or do one of: ``bookmark``, ``end``, ``reset``."""
        with self._store.lock:
            self._orders.append(what)
            self._store.lock.notify_all()

    def lines(self) -> Iterator[bytes]:
        """Give one piece after another, until the watch ends."""
        try:
            version = yield from self._begin()
            while True:
                changes, orders = self._next(version)
                for change in changes:
                    yield from self._tell(change)
                version = changes[-1].version if changes else version
                for order in orders:
                    if isinstance(order, bytes):
                        yield order
                    elif order == "bookmark":
                        yield from self._bookmark(version)
                    elif order == "reset":
                        raise ResetError
                    else:
                        return
                if self._is_over():
                    yield from self._bookmark(version)
                    return
        except StatusError as error:
            yield _line("ERROR", error.body)

    def _begin(self) -> Iterator[bytes]:  # type: ignore[misc]
        if self.starts_after:
            return self.starts_after
        # From no version in particular: what there is now comes first.
        with self._store.lock:
            version = self._store.version
            objects = self._store.list(self._kind.resource, None, {})["items"]
        for obj in objects:
            if self._is_wanted(obj):
                yield self._event("ADDED", obj)
        return version

    def _next(self, version: int) -> tuple[list[Change], list[bytes | str]]:
        """Wait for something to tell."""
        with self._store.lock:
            while True:
                changes = self._store.changes_after(version)
                orders = list(self._orders)
                if changes or orders or self._is_over():
                    self._orders.clear()
                    return changes, orders
                self._store.lock.wait(max(0.0, self._ends_at - time.monotonic()))

    def _is_over(self) -> bool:
        return self._at_once or time.monotonic() >= self._ends_at

    def _tell(self, change: Change) -> Iterator[bytes]:
        """Tell a change; an object that begins or ceases to match comes and goes."""
        if change.resource != self._kind.resource:
            return
        before = change.before if change.before is not None and self._is_wanted(change.before) else None
        after = change.after if change.after is not None and self._is_wanted(change.after) else None
        if after is not None:
            yield self._event("ADDED" if before is None else "MODIFIED", after)
        elif before is not None:
            # The last state of what is gone, with the version of its going.
            metadata = {**before["metadata"], "resourceVersion": str(change.version)}
            yield self._event("DELETED", {**before, "metadata": metadata})

    def _is_wanted(self, obj: Object) -> bool:
        namespace = obj["metadata"].get("namespace", "")
        return f"{namespace}/".startswith(self._prefix) and self._matches(obj)

    def _event(self, kind: str, obj: Object) -> bytes:
        return _line(kind, {"kind": self._kind.kind, "apiVersion": self._kind.api_version, **obj})

    def _bookmark(self, version: int) -> Iterator[bytes]:
        if self._bookmarks:
            # A bookmark is an empty object of its kind; what is no pointer there is null.
            obj = {"metadata": {"resourceVersion": str(version), "creationTimestamp": None}}
            spec = {"spec": {"containers": None}, "status": {}} if self._kind.kind == "Pod" else {}
            yield self._event("BOOKMARK", {**obj, **spec})


def _line(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
