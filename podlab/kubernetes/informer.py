"""A pod informer: lists and watches the pods of a cluster for months, and reports every change.

The guarantees of an API server, and what clients must tolerate:
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
"""

from __future__ import annotations

import logging
import math
import random as random_module
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from podlab.errors import PodlabError
from podlab.kubernetes.client import ApiConnection, collection_path
from podlab.kubernetes.errors import Action, BusyError, ExpiredError, MissedEventError, UnreadableError, explain_status
from podlab.kubernetes.objects import (
    Change,
    NoticeEvent,
    Page,
    Pod,
    WatchedPod,
    app_of,
    decode_event,
    read_lines,
    read_pieces,
    watched,
)

log = logging.getLogger(__name__)

#: Pauses after consecutive failures, in seconds: 0.8, 1.6, ... 30, each lengthened at random by up to a half so that
#: many watchers do not return to a server at the same time. client-go's reflector does the same.
FIRST_PAUSE_S: Final = 0.8
LONGEST_PAUSE_S: Final = 30.0
#: A pause that the server asks for is respected, up to this.
LONGEST_ASKED_PAUSE_S: Final = 300.0
#: A watch that lasted this long has worked: earlier failures no longer count. A shorter one is followed by a pause
#: however it ended, so that a server that ends each watch at once is not flooded.
SETTLED_S: Final = 20.0
#: The manifests name podlab's own pods with this prefix.
_OWN_NAMES: Final = "podlab-"
#: After this many attempts to watch from a version that end in unreadable data, a new list gets past it.
_MOST_UNREADABLE: Final = 3


class Backoff:
    """Pauses that grow with consecutive failures, by a clock in seconds and random numbers in [0, 1)."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock, self._random = clock, random
        self._failures = 0
        self._opened_s: float | None = None

    def opened(self) -> None:
        """Note that a watch is open."""
        self._opened_s = self._clock()

    def pause_s(self, *, failed: bool, asked_s: float = 0.0) -> float:
        """Return how many seconds to pause after a list and a watch have ended, at least as long as the server asks."""
        settled = self._opened_s is not None and self._clock() - self._opened_s >= SETTLED_S
        self._opened_s = None
        if settled:
            self._failures = 0
            if not failed:
                return 0.0
        # Ten doublings are far beyond the longest pause.
        due_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(due_s, min(asked_s, LONGEST_ASKED_PAUSE_S)) * (1 + self._random() / 2)


#: Namespace and name.
_Key = tuple[str, str]


class _Cached(Struct, gc=False):
    pod: WatchedPod
    version: int
    list_number: int


class PodCache:
    """The pods of a cluster according to lists and events; a pod that is gone is dropped."""

    def __init__(self) -> None:
        # A name belongs to one pod at a time; the uid shows whether it is still the same pod.
        self._pods: dict[_Key, _Cached] = {}
        self._list_number = 0

    def __len__(self) -> int:
        return len(self._pods)

    def begin_list(self) -> None:
        """Note that a list begins."""
        self._list_number += 1

    def take_page(self, pods: Iterable[Pod]) -> list[Change]:
        """Compare a page of the list with the cache; the list is right, whatever events said before."""
        changes: list[Change] = []
        for pod in pods:
            key = (pod.metadata.namespace, pod.metadata.name)
            self._keep(key, self._pods.get(key), pod, version_of(pod.metadata.resource_version), changes)
        return changes

    def end_list(self) -> list[Change]:
        """Drop the pods that the list did not contain: no event reported their end."""
        lost = [key for key, cached in self._pods.items() if cached.list_number != self._list_number]
        return [Change("gone", self._pods.pop(key).pod) for key in lost]

    def take_event(
        self, kind: Literal["ADDED", "MODIFIED", "DELETED"], pod: Pod, version: int, newest_version: int
    ) -> list[Change]:
        """Compare an event with the cache; one that is not newer than its cached pod is a repetition and is ignored.

        ``pod`` is its state now, or the last one; ``newest_version`` the newest seen before the event's. Raises
        MissedEventError if an unknown pod appears in an event that is not new.
        """
        key = (pod.metadata.namespace, pod.metadata.name)
        cached = self._pods.get(key)
        if kind == "DELETED":
            if cached is None or cached.pod.uid != pod.metadata.uid:
                return []
            del self._pods[key]
            return [Change("gone", cached.pod)]
        if cached is not None and version <= cached.version:
            return []
        if cached is None and version <= newest_version:
            what = f"the watch reported pod {key[1]!r} in namespace {key[0]!r} out of order"
            raise MissedEventError(f"{what} (version {version} after {newest_version})")
        changes: list[Change] = []
        self._keep(key, cached, pod, version, changes)
        return changes

    def _keep(self, key: _Key, cached: _Cached | None, pod: Pod, version: int, changes: list[Change]) -> None:
        now = watched(pod)
        self._pods[key] = _Cached(now, version, self._list_number)
        if cached is None:
            changes.append(Change("added", now))
        elif cached.pod.uid != now.uid:
            changes += [Change("gone", cached.pod), Change("added", now)]
        elif cached.pod != now:
            changes.append(Change("changed", now))


def version_of(text: str) -> int:
    """Read a resource version; raises UnreadableError if it is not a number.

    Versions of one kind of object are numbers that can be compared:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions.
    """
    if not text.isdecimal():
        raise UnreadableError(f"the API server sent a resource version that is not a number: {text[:40]!r}")
    return int(text)


@dataclass
class InformerStatus:
    """The state of an informer; times are seconds on its clock."""

    synced: bool = False  # whether a list was read to its end, so that all pods are known
    #: When the last change of a pod arrived, and when the server last sent anything. A healthy server sends something
    #: at least every ``watch_s`` * 1.5 + ``grace_s``, if only the end of the watch.
    last_event_s: float | None = None
    last_contact_s: float | None = None
    #: When a watch was last seen open, and when the informer last did anything, successful or not.
    last_watch_s: float | None = None
    last_attempt_s: float | None = None
    #: How many lists and watches were started, and how many of both failed.
    lists: int = 0
    watches: int = 0
    errors: int = 0
    #: The version up to which everything is known; None while a list is needed.
    resource_version: int | None = None
    #: The last failure; None once a watch is open again.
    last_error: str | None = None


class PodInformer:
    """Reports every change of the pods of a cluster.

    Parameters
    ----------
    connect : callable
        Makes a connection; called again after failures, so that new credentials, certificates and addresses are found.
    on_change : callable
        Receives changes in order, on the informer's thread; must be quick and must not raise.
    namespaces : sequence of str, optional
        Only these; all by default. One needs rights in that namespace only, several need them in the whole cluster.
    exclude_namespaces : sequence of str
        Without these.
    label_selector : str, optional
        Only pods with these labels, written as for ``kubectl --selector``.
    own_namespace : str, optional
        Where podlab itself runs: pods there with podlab's own label ``app.kubernetes.io/name`` are left out.
    page_size : int
        Pods per request of a list; 500 like ``kubectl``.
    watch_s : float
        How long a watch lasts at the server, lengthened at random by up to a half. Reopening it costs the server next
        to nothing, and a dead connection is noticed sooner.
    grace_s : float
        How much longer the server may be silent before the connection counts as dead.
    clock : callable
        Returns the time in seconds, from any origin.
    wait : callable
        Waits for an event, at most this many seconds.
    random : callable
        Returns a number in [0, 1).
    """

    def __init__(
        self,
        connect: Callable[[], ApiConnection],
        on_change: Callable[[list[Change]], None],
        *,
        namespaces: Sequence[str] | None = None,
        exclude_namespaces: Sequence[str] = (),
        label_selector: str | None = None,
        own_namespace: str | None = None,
        page_size: int = 500,
        watch_s: float = 60.0,
        grace_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._connect, self._on_change = connect, on_change
        self._page_size, self._watch_s, self._grace_s = page_size, watch_s, grace_s
        self._clock, self._wait, self._random = clock, wait, random
        self._backoff = Backoff(clock, random)
        self._label_selector = label_selector
        self._wanted = None if namespaces is None else frozenset(namespaces) - frozenset(exclude_namespaces)
        self._own_namespace = own_namespace
        self._namespace = namespaces[0] if namespaces is not None and len(set(namespaces)) == 1 else None
        excluded = sorted(set(exclude_namespaces)) if namespaces is None else []
        self._field_selector = ",".join(f"metadata.namespace!={name}" for name in excluded) or None
        self._cache = PodCache()
        self._connection: ApiConnection | None = None
        self._response: BaseHTTPResponse | None = None
        self._unreadable = 0
        #: Read from any thread, written on the informer's.
        self.status = InformerStatus()

    def run(self, stop: threading.Event) -> None:
        """List and watch until ``stop`` is set; to wake a thread that waits for the server, call :meth:`close` too."""
        try:
            while not stop.is_set():
                pause_s = self._attempt(stop)
                if pause_s and not stop.is_set():
                    self._wait(stop, pause_s)
        finally:
            self._disconnect()

    def close(self) -> None:
        """End the open watch, from any thread; call it when ``stop`` is set."""
        response = self._response
        if response is not None:
            with suppress(OSError, RuntimeError, ValueError):  # it may have ended just now
                response.shutdown()

    def _attempt(self, stop: threading.Event) -> float:
        """List if needed, then watch until that ends; return the pause that is due, in seconds."""
        status, asked_s = self.status, 0.0
        has_version = status.resource_version is not None
        status.last_attempt_s = self._clock()
        try:
            self._connection = self._connection or self._connect()
            if status.resource_version is None:
                status.resource_version = self._list(self._connection, stop)
            if status.resource_version is not None and not stop.is_set():
                self._watch(self._connection, status.resource_version, stop)
            return self._backoff.pause_s(failed=False)
        except (ExpiredError, MissedEventError) as error:
            self._note(error)
            status.resource_version = None
            if has_version and isinstance(error, ExpiredError):
                # The server is healthy, only the version is too old: after a pause of ours, or a restart of the
                # server. A new list solves that at once. A list that expires is a failure like any other.
                return 0.0
        except BusyError as error:
            self._note(error)
            asked_s = error.retry_after_s or 0.0
        except UnreadableError as error:
            self._note(error)
            self._unreadable += 1
            if self._unreadable >= _MOST_UNREADABLE:
                status.resource_version = None
        except PodlabError as error:
            self._note(error)
            # A new connection may find a new token, certificate or address.
            self._disconnect()
        return self._backoff.pause_s(failed=True, asked_s=asked_s)

    def _list(self, connection: ApiConnection, stop: threading.Event) -> int | None:
        """Read all pods, page by page; return their version."""
        status = self.status
        status.lists += 1
        self._cache.begin_list()
        version = token = None
        while token != "" and not stop.is_set():
            page = connection.list_page(
                Page[Pod], "pods", namespace=self._namespace, label_selector=self._label_selector,
                field_selector=self._field_selector, limit=self._page_size, continue_token=token,
            )  # fmt: skip
            status.last_contact_s = status.last_attempt_s = self._clock()
            # All pages have one version; the watch reports what happens meanwhile.
            version = version_of(page.metadata.resource_version)
            self._hand_over(self._cache.take_page(filter(self._is_wanted, page.items or [])))
            token = page.metadata.continue_token
        if token != "":
            return None
        self._hand_over(self._cache.end_list())
        status.synced = True
        self._unreadable = 0
        log.info("%s: %d pods at version %s", connection.host, len(self._cache), version)
        return version

    def _watch(self, connection: ApiConnection, version: int, stop: threading.Event) -> None:
        """Follow changes after a version, until the server ends the watch in time."""
        status = self.status
        status.watches += 1
        watch_s = self._watch_s * (1 + self._random() / 2)
        given = {
            "watch": "true", "resourceVersion": str(version), "allowWatchBookmarks": "true",
            "timeoutSeconds": str(math.ceil(watch_s)), "labelSelector": self._label_selector,
            "fieldSelector": self._field_selector,
        }  # fmt: skip
        query = {name: value for name, value in given.items() if value is not None}
        timeout_s = watch_s + self._grace_s
        response = connection.open("GET", collection_path("pods", self._namespace), query=query, timeout_s=timeout_s)
        self._response = response
        try:
            self._backoff.opened()
            status.last_contact_s = status.last_watch_s = self._clock()
            status.last_error = None
            if stop.is_set():
                return
            for lines in read_lines(read_pieces(response)):
                status.last_contact_s = status.last_watch_s = self._clock()
                self._take(lines, connection)
                if stop.is_set():
                    return
        except HTTPError as error:
            if not stop.is_set():
                raise connection.explain(error, timeout_s) from None
        finally:
            self._response = None
            response.close()

    def _take(self, lines: list[bytes], connection: ApiConnection) -> None:
        """Process the lines of the watch; hand over what was understood even if one line was not."""
        changes: list[Change] = []
        try:
            for line in lines:
                event = decode_event(line)
                newest = self.status.resource_version or 0
                if isinstance(event, NoticeEvent):
                    notice = event.object
                    if event.type == "ERROR":
                        notice.message = connection.redact(notice.message)
                        watch = Action("watch", "pods")
                        raise explain_status(notice.code, notice, watch, host=connection.host, origin=connection.origin)
                    version = version_of(notice.metadata.resource_version)
                    if version < newest:
                        raise MissedEventError(f"the API server went back from version {newest} to {version}")
                else:
                    version = version_of(event.object.metadata.resource_version)
                    if self._is_wanted(event.object):
                        changes += self._cache.take_event(event.type, event.object, version, newest)
                    self.status.last_event_s = self.status.last_contact_s
                if version > newest:
                    self.status.resource_version = version
                    self._unreadable = 0
        finally:
            self._hand_over(changes)

    def _is_wanted(self, pod: Pod) -> bool:
        namespace = pod.metadata.namespace
        if self._wanted is not None and namespace not in self._wanted:
            return False
        return namespace != self._own_namespace or not app_of(pod.metadata.labels).startswith(_OWN_NAMES)

    def _hand_over(self, changes: list[Change]) -> None:
        if changes:
            self._on_change(changes)

    def _note(self, error: PodlabError) -> None:
        """Remember a failure; a repeated one is logged once."""
        level = logging.DEBUG if str(error) == self.status.last_error else logging.WARNING
        self.status.errors += 1
        self.status.last_error = str(error)
        log.log(level, "pods are not followed for now: %s", error)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
