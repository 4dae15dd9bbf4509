"""The built-in sinks: the log, Events on pods, annotations, and a measurement in InfluxDB."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from podlab.config import PodName, Settings
from podlab.errors import InputError
from podlab.kubernetes.client import MERGE_PATCH, ApiConnection
from podlab.kubernetes.errors import ConflictError, ForbiddenError, NotFoundError, RejectedError
from podlab.live import influx_database
from podlab.plugins import SINKS
from podlab.sources.influxdb_client import InfluxDatabase, format_fields, format_tags
from podlab.watcher.logs import JsonLines
from podlab.watcher.notify import Announcement, Kind, Sink

log = logging.getLogger(__name__)

COMPONENT: Final = "podlab-watcher"
_REASONS: Final[dict[Kind, str]] = {
    "identified": "ServiceIdentified", "revised": "ServiceRevised", "unknown": "ServiceUnknown",
    "no-metrics": "NoMetrics", "anomalous": "AnomalyDetected", "anomaly-over": "AnomalyOver",
    "mismatch": "IdentityMismatch", "miner-like": "MinerLike",
}  # fmt: skip
_WARNINGS: Final = ("anomalous", "mismatch", "miner-like")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/
_LONGEST_NAME: Final = 253
_LONGEST_LABEL: Final = 63
_LONGEST_MESSAGE: Final = 1024
#: How long a database may take to store a point.
_DATABASE_S: Final = 10.0


@dataclass(frozen=True)
class SinkContext:
    """What a sink can be made from; its factory is called with it.

    A factory is registered as an entry point of the group ``podlab.sinks``; its name is then valid in the setting
    ``watch_sinks``.
    """

    settings: Settings
    lines: JsonLines  # the watcher's output
    connection: ApiConnection  # to the cluster's API server
    instance: str  # identifies this watcher


def make_sinks(names: Sequence[str], context: SinkContext, *, log_first: bool) -> list[Sink]:
    """Make the sinks of these names.

    The log comes after the Event sink, which knows what was announced before; ``log_first`` is with ``--once``, which
    writes everything.
    """
    order = [name for name in SINKS.names() if name in names]
    if log_first:
        order.sort(key=lambda name: name != "log")
    return [SINKS.load(name)(context) for name in order]


class LogSink:
    """A JSON line for each announcement."""

    name = "log"
    repeatable = False

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines

    def send(self, announcement: Announcement) -> bool:
        """Write the line."""
        self._lines.write(announcement.to_json())
        return True


class EventSink:
    """A Kubernetes Event on the pod.

    Its name is derived from its content, so the API server itself refuses a second one: after a restart, and when two
    watchers run. The server keeps Events for an hour. The connection needs the right to create Events; ``instance``
    identifies this watcher.
    """

    name = "event"
    repeatable = True

    def __init__(self, connection: ApiConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    def send(self, announcement: Announcement) -> bool:
        """Create the Event; False where it exists already."""
        path = events_path(announcement.view.namespace)
        try:
            self._connection.request("POST", path, make_event(announcement, self._instance))
        except ConflictError:
            return False
        except RejectedError as error:
            log.warning("an event is left out: %s", error)
        except (NotFoundError, ForbiddenError) as error:
            # The pod or its namespace vanishes, so that nobody needs to know.
            if not (isinstance(error, NotFoundError) or "being terminated" in error.message):
                raise
        return True


def events_path(namespace: str) -> str:
    """Return the path to create Events of a namespace at."""
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/events"


def make_event(announcement: Announcement, instance: str) -> dict[str, object]:
    """Make the Event of an announcement, on its container's pod."""
    view = announcement.view
    return _event(
        PodName(view.namespace, view.pod, view.pod_uid), announcement.id, _REASONS[announcement.kind],
        announcement.message, announcement.at_s, instance, warns=announcement.kind in _WARNINGS,
        container=view.container,
    )  # fmt: skip


def make_own_event(pod: PodName, reason: str, message: str, at_s: float, instance: str) -> dict[str, object]:
    """Make a warning Event on the watcher's own pod; its name is derived from its time."""
    return _event(pod, f"{round(at_s):x}", reason, message, at_s, instance, warns=True)


def _event(
    pod: PodName, name: str, reason: str, message: str, at_s: float, instance: str, *, warns: bool,
    container: str | None = None,
) -> dict[str, object]:  # fmt: skip
    """Make an Event; https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/."""
    room = _LONGEST_NAME - len(name) - 1
    head = re.sub(r"[^a-z0-9.-]", "-", pod.name.lower())[:room].strip("-.") or "pod"
    at = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    where = {} if container is None else {"fieldPath": f"spec.containers{{{container}}}"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{head}.{name}", "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid, **where,
        },
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "type": "Warning" if warns else "Normal",
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": COMPONENT, "host": instance},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
    }  # fmt: skip


class AnnotationSink:
    """Annotations on the pod for each container, and a label with its main container's service to select by.

    Decisions only: an alarm comes and goes, and would stay on the pod if the watcher ended meanwhile.
    """

    name = "annotation"
    repeatable = True

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    def send(self, announcement: Announcement) -> bool:
        """Patch the pod."""
        if announcement.topic != "decision":
            return True
        view, service = announcement.view, announcement.service or "unknown"
        metadata: dict[str, object] = {
            # The server refuses if the uid differs, so another pod of the same name is never changed.
            "uid": view.pod_uid,
            "annotations": {
                f"service.podlab.dev/{view.container}": service,
                f"confidence.podlab.dev/{view.container}": f"{announcement.values['confidence']:.2f}",
            },
        }
        if view.kind == "main":
            metadata["labels"] = {"podlab.dev/service": _label(service)}
        path = f"/api/v1/namespaces/{quote(view.namespace, safe='')}/pods/{quote(view.pod, safe='')}"
        try:
            self._connection.request("PATCH", path, {"metadata": metadata}, content_type=MERGE_PATCH)
        except (ConflictError, NotFoundError):
            log.debug("%s is gone before it could be annotated", announcement.container.key)
        except RejectedError as error:
            log.warning("an annotation is left out: %s", error)
        return True


class InfluxSink:
    """A point for each announcement, in the database of the metrics.

    The database's user may write.
    """

    name = "influxdb"
    repeatable = True

    def __init__(self, database: InfluxDatabase) -> None:
        self._database = database

    def send(self, announcement: Announcement) -> bool:
        """Write the point."""
        view = announcement.view
        tags = {
            "cluster": announcement.cluster, "namespace": view.namespace, "pod_name": view.pod,
            "container_name": view.container, "service": announcement.service or "unknown",
        }  # fmt: skip
        values = {**announcement.values, "pod_uid": view.pod_uid, "id": announcement.id}
        try:
            point = announcement.measurement + format_tags(tags, where=announcement.container.key)
            point += f" {format_fields(values)} {int(announcement.at_s * 1e9)}"
        except InputError as error:
            log.warning("an announcement cannot be stored in InfluxDB: %s", error)
        else:
            self._database.write(point.encode())
        return True


def _label(value: str) -> str:
    """Make a label's value: letters, digits, dashes, dots, underscores, the first and last alphanumeric."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", value)[:_LONGEST_LABEL].strip("._-")


def log_sink(context: SinkContext) -> Sink:
    """Make the sink ``log``."""
    return LogSink(context.lines)


def event_sink(context: SinkContext) -> Sink:
    """Make the sink ``event``."""
    return EventSink(context.connection, context.instance)


def annotation_sink(context: SinkContext) -> Sink:
    """Make the sink ``annotation``."""
    return AnnotationSink(context.connection)


def influxdb_sink(context: SinkContext) -> Sink:
    """Make the sink ``influxdb``."""
    return InfluxSink(influx_database(context.settings, timeout_s=_DATABASE_S))
