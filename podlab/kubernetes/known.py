"""The pods that are known, and what a list or an event changes about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from podlab.kubernetes.errors import OutOfOrderError, UnreadableError
from podlab.kubernetes.objects import Pod
from podlab.kubernetes.pods import Change, WatchedPod, watched

#: Namespace and name.
_Key = tuple[str, str]


class _Known(Struct, gc=False):
    pod: WatchedPod
    version: int
    list_number: int


class KnownPods:
    """The pods of a cluster as lists and events told of them.

    Its size is that of the cluster: what is gone is forgotten.
    """

    def __init__(self) -> None:
        # A name belongs to one pod at a time; the uid tells whether it is still the same.
        self._pods: dict[_Key, _Known] = {}
        self._list_number = 0

    def __len__(self) -> int:
        return len(self._pods)

    def begin_list(self) -> None:
        """Take note that a list begins."""
        self._list_number += 1

    def take_page(self, pods: Iterable[Pod]) -> list[Change]:
        """Compare a page of the list with what is known; the list is right, whatever was told before."""
        changes: list[Change] = []
        for pod in pods:
            key = (pod.metadata.namespace, pod.metadata.name)
            self._keep(key, self._pods.get(key), pod, version_of(pod.metadata.resource_version), changes)
        return changes

    def end_list(self) -> list[Change]:
        """Forget the pods that the list did not hold: their end was never told."""
        lost = [key for key, known in self._pods.items() if known.list_number != self._list_number]
        return [Change("gone", self._pods.pop(key).pod) for key in lost]

    def take_event(
        self, kind: Literal["ADDED", "MODIFIED", "DELETED"], pod: Pod, version: int, told_version: int
    ) -> list[Change]:
        """Compare an event with what is known.

        An event that is not newer than what is known of its pod is a repetition, and changes nothing.

        Parameters
        ----------
        kind : {"ADDED", "MODIFIED", "DELETED"}
            The type of the event.
        pod : Pod
            As it is now, or was in the end.
        version, told_version : int
            The event's version, and the newest one that was told of before.

        Raises
        ------
        OutOfOrderError
            If a pod appears that is not known, in an event that is not new.
        """
        key = (pod.metadata.namespace, pod.metadata.name)
        known = self._pods.get(key)
        if kind == "DELETED":
            if known is None or known.pod.uid != pod.metadata.uid:
                return []
            del self._pods[key]
            return [Change("gone", known.pod)]
        if known is not None and version <= known.version:
            return []
        if known is None and version <= told_version:
            what = f"the watch told of pod {key[1]!r} in namespace {key[0]!r} out of order"
            raise OutOfOrderError(f"{what} (version {version} after {told_version})")
        changes: list[Change] = []
        self._keep(key, known, pod, version, changes)
        return changes

    def _keep(self, key: _Key, known: _Known | None, pod: Pod, version: int, changes: list[Change]) -> None:
        now = watched(pod)
        self._pods[key] = _Known(now, version, self._list_number)
        if known is None:
            changes.append(Change("added", now))
        elif known.pod.uid != now.uid:
            changes += [Change("gone", known.pod), Change("added", now)]
        elif known.pod != now:
            changes.append(Change("changed", now))


def version_of(text: str) -> int:
    """Read a resource version; raises UnreadableError if it is no number.

    Versions of one kind of object are numbers that can be compared:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions.
    """
    if not text.isdecimal():
        raise UnreadableError(f"the API server gave a resource version that is no number: {text[:40]!r}")
    return int(text)
