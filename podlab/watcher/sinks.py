"""Whom the watcher tells: its log, the pod's events, its annotations, a measurement in InfluxDB."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from podlab.config_types import PodName
from podlab.errors import InputError
from podlab.kubernetes.client import MERGE_PATCH, ApiConnection
from podlab.kubernetes.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.influxdb_syntax import format_fields, format_tags
from podlab.watcher.announcement import Announcement, DecisionAnnouncement, Kind
from podlab.watcher.logs import JsonLines

log = logging.getLogger(__name__)

COMPONENT: Final = "podlab-watcher"
_REASONS: Final[dict[Kind, str]] = {
    "identified": "ServiceIdentified", "revised": "ServiceRevised", "unknown": "ServiceUnknown",
    "no-metrics": "NoMetrics", "anomalous": "AnomalyDetected", "anomaly-over": "AnomalyOver",
}  # fmt: skip
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/
_LONGEST_NAME: Final = 253
_LONGEST_LABEL: Final = 63
_LONGEST_MESSAGE: Final = 1024


class LogSink:
    """A JSON line for each announcement."""

    name = "log"
    repeatable = False

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines

    def tell(self, announcement: Announcement) -> bool:
        """Write the line."""
        self._lines.write(announcement.to_json())
        return True


class EventSink:
    """A Kubernetes Event on the pod.

    Its name follows from what is said, so that the API server itself refuses to have it twice: after a restart, and
    when two watchers run. It keeps events for an hour.

    Parameters
    ----------
    connection : ApiConnection
        With the right to create events.
    instance : str
        Which watcher this is.
    """

    name = "event"
    repeatable = True

    def __init__(self, connection: ApiConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    def tell(self, announcement: Announcement) -> bool:
        """Create the event; False where it is there already."""
        container = announcement.container
        path = events_path(container.namespace)
        try:
            self._connection.request("POST", path, make_event(announcement, self._instance))
        except ConflictError:
            return False
        except RefusedError as error:
            log.warning("an event is left out: %s", error)
        except (NotFoundError, ForbiddenError) as error:
            if not _is_going(error):
                raise
        return True


def events_path(namespace: str) -> str:
    """Where Events of a namespace are created."""
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/events"


def make_event(announcement: Announcement, instance: str) -> dict[str, object]:
    """Write the Event of an announcement, on its container's pod."""
    container = announcement.container
    return _event(
        PodName(container.namespace, container.pod, container.pod_uid), announcement.name,
        _REASONS[announcement.kind], announcement.words, announcement.at_s, instance,
        warns=announcement.kind == "anomalous", container=container.container,
    )  # fmt: skip


def make_own_event(pod: PodName, reason: str, message: str, at_s: float, instance: str) -> dict[str, object]:
    """Write an Event on the watcher's own pod that warns of something; its name follows from when that was."""
    return _event(pod, f"{round(at_s):x}", reason, message, at_s, instance, warns=True)


def _event(
    pod: PodName, name: str, reason: str, message: str, at_s: float, instance: str, *, warns: bool,
    container: str | None = None,
) -> dict[str, object]:  # fmt: skip
    """Write an Event; https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/."""
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
    """Annotations on the pod for each container, and a label of its main container's service to select by.

    Decisions only: an alarm comes and goes, and would outlive on the pod a watcher that ends meanwhile.
    """

    name = "annotation"
    repeatable = True

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    def tell(self, announcement: Announcement) -> bool:
        """Patch the pod."""
        if not isinstance(announcement, DecisionAnnouncement):
            return True
        container, verdict = announcement.container, announcement.verdict
        service = verdict.service or "unknown"
        metadata: dict[str, object] = {
            # Another pod of the same name is not to be touched: the server refuses where the uid differs.
            "uid": container.pod_uid,
            "annotations": {
                f"service.podlab.dev/{container.container}": service,
                f"confidence.podlab.dev/{container.container}": f"{verdict.confidence:.2f}",
            },
        }
        if container.kind == "main":
            metadata["labels"] = {"podlab.dev/service": _label(service)}
        path = f"/api/v1/namespaces/{quote(container.namespace, safe='')}/pods/{quote(container.pod, safe='')}"
        try:
            self._connection.request("PATCH", path, {"metadata": metadata}, content_type=MERGE_PATCH)
        except (ConflictError, NotFoundError):
            log.debug("%s is gone before it could be annotated", announcement.key)
        except RefusedError as error:
            log.warning("an annotation is left out: %s", error)
        return True


class InfluxSink:
    """A point for each announcement, beside the metrics.

    Parameters
    ----------
    database : InfluxDatabase
        Whose user may write.
    """

    name = "influxdb"
    repeatable = True

    def __init__(self, database: InfluxDatabase) -> None:
        self._database = database

    def tell(self, announcement: Announcement) -> bool:
        """Write the point."""
        container = announcement.container
        tags = {
            "cluster": announcement.cluster, "namespace": container.namespace, "pod_name": container.pod,
            "container_name": container.container, "service": announcement.service or "unknown",
        }  # fmt: skip
        values = {**announcement.values(), "pod_uid": container.pod_uid, "id": announcement.name}
        try:
            point = announcement.measurement + format_tags(tags, where=announcement.key)
            point += f" {format_fields(values)} {int(announcement.at_s * 1e9)}"
        except InputError as error:
            log.warning("an announcement cannot be stored in InfluxDB: %s", error)
        else:
            self._database.write(point.encode())
        return True


def _is_going(error: InputError) -> bool:
    """Whether what was to be told of vanishes meanwhile, so that nobody needs to hear it."""
    return isinstance(error, NotFoundError) or "being terminated" in error.message


def _label(value: str) -> str:
    """Make a label's value: letters, digits, dashes, dots, underscores, and no odd end."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", value)[:_LONGEST_LABEL].strip("._-")
