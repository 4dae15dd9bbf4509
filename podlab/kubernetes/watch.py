"""Every change of the cluster's pods, told for months: list, then watch, then begin again where it broke off.

What an API server promises, and what clients must bear, is written in
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
"""

from __future__ import annotations

import logging
import math
import random as random_module
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from podlab.errors import PodlabError
from podlab.kubernetes.api import ApiConnection, collection_path
from podlab.kubernetes.errors import BusyError, ExpiredError, OutOfOrderError, UnreadableError
from podlab.kubernetes.events import NoticeEvent, decode_event, read_lines, read_pieces
from podlab.kubernetes.known import KnownPods, version_of
from podlab.kubernetes.objects import Page, Pod
from podlab.kubernetes.patience import Patience
from podlab.kubernetes.pods import Change
from podlab.kubernetes.refusals import Action, explain_status

log = logging.getLogger(__name__)

_NAME_LABEL: Final = "app.kubernetes.io/name"
#: How the manifests call podlab's own pods.
_OWN_NAMES: Final = "podlab-"
#: How often a watch is begun anew from a version after which it sent what is no event, before a list gets past it.
_MOST_UNREADABLE: Final = 3


@dataclass(frozen=True)
class FeedStatus:
    """How a feed is doing.

    Attributes
    ----------
    synced : bool
        Whether a list was read to its end, so that all pods are known.
    last_event_s, last_contact_s : float or None
        When the last change of a pod was told, and when the server last sent anything, on the feed's clock. A healthy
        server sends something at least every ``watch_s`` * 1.5 + ``grace_s``, if only that it ends the watch.
    last_watch_s : float or None
        When a watch was last seen open, on the feed's clock.
    last_attempt_s : float or None
        When the feed last did anything, successful or not, on its clock.
    lists, watches, errors : int
        How many lists and watches were begun, and how many of both failed.
    resource_version : int or None
        Up to which version all is known; None while a list is needed.
    last_error : str or None
        What failed last; None since a watch is open.
    """

    synced: bool
    last_event_s: float | None
    last_contact_s: float | None
    last_watch_s: float | None
    last_attempt_s: float | None
    lists: int
    watches: int
    errors: int
    resource_version: int | None
    last_error: str | None


class PodFeed:
    """Tells every change of the pods of a cluster.

    Parameters
    ----------
    connect : callable
        Makes a connection; called again after failures, so that new credentials, certificates and addresses are found.
    on_change : callable
        Gets changes in order, from the thread that runs the feed; it must be quick, and raise nothing.
    namespaces : sequence of str, optional
        Only these; all by default. One needs rights in that namespace only, several need them in the whole cluster.
    exclude_namespaces : sequence of str
        Without these.
    label_selector : str, optional
        Only pods with these labels, written as for ``kubectl --selector``.
    own_namespace : str, optional
        Where podlab itself runs: pods there whose label ``app.kubernetes.io/name`` is one of podlab's are left out.
    page_size : int
        Pods fetched in one request of a list; 500 as ``kubectl`` does.
    watch_s : float
        How long a watch lasts at the server, lengthened at random by up to a half. Opening it again costs the server
        next to nothing, while a dead connection is noticed so much earlier.
    grace_s : float
        How much longer the server may say nothing before the connection counts as dead.
    clock : callable
        Tells the time in seconds, from any beginning.
    wait : callable
        Waits for an event, at most so many seconds.
    random : callable
        Gives a number in [0, 1).
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
        self._patience = Patience(clock, random)
        self._label_selector = label_selector
        self._wanted = None if namespaces is None else frozenset(namespaces) - frozenset(exclude_namespaces)
        self._own_namespace = own_namespace
        self._namespace = namespaces[0] if namespaces is not None and len(set(namespaces)) == 1 else None
        excluded = sorted(set(exclude_namespaces)) if namespaces is None else []
        self._field_selector = ",".join(f"metadata.namespace!={name}" for name in excluded) or None
        self._known = KnownPods()
        self._connection: ApiConnection | None = None
        self._response: BaseHTTPResponse | None = None
        self._version: int | None = None
        self._unreadable = 0
        self._synced = False
        self._last_event_s: float | None = None
        self._last_contact_s: float | None = None
        self._last_watch_s: float | None = None
        self._last_attempt_s: float | None = None
        self._last_error: str | None = None
        self._lists = self._watches = self._errors = 0

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
        """End the open watch, from any thread; to be called when ``stop`` is set."""
        response = self._response
        if response is not None:
            with suppress(OSError, RuntimeError, ValueError):  # it may have ended just now
                response.shutdown()

    def status(self) -> FeedStatus:
        """Tell how the feed is doing, from any thread."""
        return FeedStatus(
            synced=self._synced,
            last_event_s=self._last_event_s,
            last_contact_s=self._last_contact_s,
            last_watch_s=self._last_watch_s,
            last_attempt_s=self._last_attempt_s,
            lists=self._lists,
            watches=self._watches,
            errors=self._errors,
            resource_version=self._version,
            last_error=self._last_error,
        )

    def _attempt(self, stop: threading.Event) -> float:
        """List if need be, then watch until that ends; give the pause that is due, in seconds."""
        asked_s = 0.0
        has_version = self._version is not None
        self._last_attempt_s = self._clock()
        try:
            self._connection = self._connection or self._connect()
            if self._version is None:
                self._version = self._list(self._connection, stop)
            if self._version is not None and not stop.is_set():
                self._watch(self._connection, self._version, stop)
            return self._patience.pause_s(failed=False)
        except (ExpiredError, OutOfOrderError) as error:
            self._note(error)
            self._version = None
            if has_version and isinstance(error, ExpiredError):
                # The server is well, only the version is too old: after a pause of ours, or a restart of its own. A
                # list is the answer, and nothing to wait for. One that expires by itself is a failure like others.
                return 0.0
        except BusyError as error:
            self._note(error)
            asked_s = error.retry_after_s or 0.0
        except UnreadableError as error:
            self._note(error)
            self._unreadable += 1
            if self._unreadable >= _MOST_UNREADABLE:
                self._version = None
        except PodlabError as error:
            self._note(error)
            # What is wrong may be known better by now: a new token, certificate or address.
            self._disconnect()
        return self._patience.pause_s(failed=True, asked_s=asked_s)

    def _list(self, connection: ApiConnection, stop: threading.Event) -> int | None:
        """Read all pods, page by page; give the version they are of."""
        self._lists += 1
        self._known.begin_list()
        version = token = None
        while token != "" and not stop.is_set():
            page = connection.list_page(
                Page[Pod], "pods", namespace=self._namespace, label_selector=self._label_selector,
                field_selector=self._field_selector, limit=self._page_size, continue_token=token,
            )  # fmt: skip
            self._last_contact_s = self._last_attempt_s = self._clock()
            # All pages are of one version: what happens meanwhile is told by the watch.
            version = version_of(page.metadata.resource_version)
            self._hand_over(self._known.take_page(filter(self._is_wanted, page.items or [])))
            token = page.metadata.continue_token
        if token != "":
            return None
        self._hand_over(self._known.end_list())
        self._synced = True
        self._unreadable = 0
        log.info("%s: %d pods at version %s", connection.host, len(self._known), version)
        return version

    def _watch(self, connection: ApiConnection, version: int, stop: threading.Event) -> None:
        """Follow what happens after a version, until the server ends the watch in time."""
        self._watches += 1
        watch_s = self._watch_s * (1 + self._random() / 2)
        given = {
            "watch": "true", "resourceVersion": str(version), "allowWatchBookmarks": "true",
            "timeoutSeconds": str(math.ceil(watch_s)), "labelSelector": self._label_selector,
            "fieldSelector": self._field_selector,
        }  # fmt: skip
        query = {name: value for name, value in given.items() if value is not None}
        timeout_s = watch_s + self._grace_s
        response = connection.open_stream(collection_path("pods", self._namespace), query, timeout_s=timeout_s)
        self._response = response
        try:
            self._patience.opened()
            self._last_contact_s = self._last_watch_s = self._clock()
            self._last_error = None
            if stop.is_set():
                return
            for lines in read_lines(read_pieces(response)):
                self._last_contact_s = self._last_watch_s = self._clock()
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
        """Take in what a piece of the watch tells; hand over what was understood, even if a line was not."""
        changes: list[Change] = []
        try:
            for line in lines:
                event = decode_event(line)
                told = self._version or 0
                if isinstance(event, NoticeEvent):
                    notice = event.object
                    if event.type == "ERROR":
                        watch = Action("watch", "pods")
                        raise explain_status(notice.code, notice, watch, host=connection.host, origin=connection.origin)
                    version = version_of(notice.metadata.resource_version)
                    if version < told:
                        raise OutOfOrderError(f"the API server went back from version {told} to {version}")
                else:
                    version = version_of(event.object.metadata.resource_version)
                    if self._is_wanted(event.object):
                        changes += self._known.take_event(event.type, event.object, version, told)
                    self._last_event_s = self._last_contact_s
                if version > told:
                    self._version = version
                    self._unreadable = 0
        finally:
            self._hand_over(changes)

    def _is_wanted(self, pod: Pod) -> bool:
        namespace = pod.metadata.namespace
        if self._wanted is not None and namespace not in self._wanted:
            return False
        return namespace != self._own_namespace or not _is_podlabs(pod)

    def _hand_over(self, changes: list[Change]) -> None:
        if changes:
            self._on_change(changes)

    def _note(self, error: PodlabError) -> None:
        """Remember a failure; the same one again and again is logged once."""
        level = logging.DEBUG if str(error) == self._last_error else logging.WARNING
        self._errors += 1
        self._last_error = str(error)
        log.log(level, "pods are not followed for now: %s", error)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_podlabs(pod: Pod) -> bool:
    try:
        labels = msgspec.json.decode(pod.metadata.labels)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    name = labels.get(_NAME_LABEL) if isinstance(labels, dict) else None
    return isinstance(name, str) and name.startswith(_OWN_NAMES)
