"""Leader election: of several watchers one announces, the one that holds a Lease and renews it while it works.

The rules are those of client-go's leader election: no watcher trusts another's clock, only how long ago it saw the
Lease change; one that cannot renew in time stops before another may begin.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from podlab.errors import InputError, PodlabError
from podlab.http import DECODE_ERRORS
from podlab.kubernetes.client import ApiConnection, Method
from podlab.kubernetes.errors import ConflictError, NotFoundError
from podlab.watcher.runtime import Clock

log = logging.getLogger(__name__)

#: For this long nobody else takes a Lease that is not renewed, in seconds.
DURATION_S: Final = 15.0
#: For this long after the last renewal its holder still acts.
_DEADLINE_S: Final = 10.0
_RETRY_S: Final = 2.0

LeaseJson = dict[str, Any]


class LeaderElection:
    """Takes part in the election.

    Raises InputError if ``place`` is not of that form.

    Parameters
    ----------
    connection : ApiConnection
        With the rights to get, create and update the Lease.
    place : str
        ``namespace/name`` of the Lease.
    identity : str
        Identifies this watcher.
    healthy : callable
        Whether this watcher works; one that does not gives the Lease up.
    """

    def __init__(
        self, connection: ApiConnection, place: str, identity: str, *, healthy: Callable[[], bool], clock: Clock
    ) -> None:
        namespace, _, name = place.partition("/")
        if not namespace or not name or "/" in name:
            raise InputError(f"{place!r} is not the place of a Lease", where="watch_lease", hint="write namespace/name")
        self._connection = connection
        self._place = place
        self._new = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace},
        }  # fmt: skip
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._mine = f"{self._leases}/{quote(name, safe='')}"
        self._identity = identity
        self._healthy = healthy
        self._clock = clock
        self._renewed_s: float | None = None
        self._seen: tuple[str, float] | None = None
        #: When another holder last renewed the Lease, on the steady clock.
        self.leader_alive_s: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this watcher announces."""
        return self._renewed_s is not None and self._clock.steady() - self._renewed_s < _DEADLINE_S

    def attempt(self) -> None:
        """Renew the Lease, or take it where it is free.

        Raises PodlabError if the API server does not take part.
        """
        begun_s = self._clock.steady()
        held = self._read()
        holder = _spec(held).get("holderIdentity")
        if held and holder and holder != self._identity and not self._expired(held, begun_s):
            self._renewed_s = None
            return
        if not self._healthy():
            return
        try:
            if held is None:
                self._send("POST", self._leases, self._claim(self._new))
            else:
                self._send("PUT", self._mine, self._claim(held))
        except ConflictError:  # another watcher was quicker
            self._renewed_s = None
            return
        if self._renewed_s is None:
            log.info("this watcher announces from now on: it holds Lease %s", self._place)
        self._renewed_s = begun_s

    def release(self) -> None:
        """Give the Lease up, so that another watcher need not wait for its end."""
        if not self.leading:
            return
        self._renewed_s = None
        try:
            held = self._read()
            if held and _spec(held).get("holderIdentity") == self._identity:
                self._send("PUT", self._mine, {**held, "spec": {**_spec(held), "holderIdentity": ""}})
        except PodlabError as error:
            log.info("the Lease is left to expire: %s", error)

    def run(
        self, stop: threading.Event, wait: Callable[[threading.Event, float], object] = threading.Event.wait
    ) -> None:
        """Take part until ``stop`` is set."""
        while not stop.is_set():
            try:
                self.attempt()
            except PodlabError as error:
                log.warning("the Lease cannot be acquired now: %s", error)
            except Exception:
                # Nothing may end the election: nobody would notice that this watcher is silent.
                log.exception("the Lease cannot be acquired now")
            wait(stop, _RETRY_S)

    def _read(self) -> LeaseJson | None:
        try:
            held = msgspec.json.decode(self._send("GET", self._mine), type=LeaseJson)
        except NotFoundError:
            return None
        except DECODE_ERRORS as error:
            raise PodlabError(f"Lease {self._place} cannot be read: {error}", where=self._connection.host) from None
        if not isinstance(_spec(held), dict):
            raise PodlabError(f"Lease {self._place} is not a Lease", where=self._connection.host)
        return held

    def _expired(self, held: LeaseJson, now_s: float) -> bool:
        """Whether another holder's Lease has not changed for its whole duration."""
        version = str(held.get("metadata", {}).get("resourceVersion"))
        if self._seen is None or self._seen[0] != version:
            self._seen = version, now_s
            self.leader_alive_s = now_s
        return now_s - self._seen[1] > float(_spec(held).get("leaseDurationSeconds") or DURATION_S)

    def _claim(self, held: LeaseJson) -> LeaseJson:
        now = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {**_spec(held), "leaseDurationSeconds": int(DURATION_S), "renewTime": now}
        if spec.get("holderIdentity") != self._identity:
            transitions = int(spec.get("leaseTransitions") or 0) + ("holderIdentity" in spec)
            spec |= {"holderIdentity": self._identity, "acquireTime": now, "leaseTransitions": transitions}
        return {**held, "spec": spec}

    def _send(self, method: Method, path: str, body: LeaseJson | None = None) -> bytes:
        return self._connection.request(method, path, body, timeout_s=_DEADLINE_S / 2)


def _spec(held: LeaseJson | None) -> LeaseJson:
    return (held or {}).get("spec") or {}
