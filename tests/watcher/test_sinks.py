"""What each sink leaves behind."""

from __future__ import annotations

import logging
from io import StringIO

import pandas as pd
import pytest

from podlab.config import PodName
from podlab.detect.scoring import ContributingSignal
from podlab.identify.early import Reason
from podlab.kubernetes.client import ApiConnection
from podlab.kubernetes.errors import ForbiddenError
from podlab.kubernetes.objects import WatchedPod
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.watcher.alarms import ActiveAlarm, announce_alarm
from podlab.watcher.containers import DecisionRecord, PredictionSummary, TrackedContainer
from podlab.watcher.logs import JsonHandler, JsonLines
from podlab.watcher.notify import Announcement, announce_decision
from podlab.watcher.sinks import AnnotationSink, EventSink, InfluxSink, events_path, make_own_event
from tests.support.influxd import Influxd
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod
from tests.support.synthetic import EPOCH
from tests.support.watch_process import USER, events
from tests.support.watching import make_watched

START = EPOCH.to_pydatetime()
PREDICTION = PredictionSummary(
    (("redis", 0.97), ("nginx", 0.03)), (("redis", 0.8), ("nginx", 0.1)), True, 0.2, 24.0, "small@abc"
)


def track(pod: WatchedPod) -> TrackedContainer:
    return TrackedContainer(pod.containers[0], START, 1, 0.0, 0.0)


def say(service: str | None = "redis", *, uid: str = "uid-1", kind: str = "main") -> Announcement:
    tracked = track(make_watched("web", uid, START, container="app", kind=kind))
    reason: Reason = "confident" if service else "unlike"
    decision = DecisionRecord(tracked.key, service, reason, 0, 1_767_600_024.5, 24.0, seen=PREDICTION.pack())
    return announce_decision(tracked, decision, cluster="local", decided_s=0.0)


def test_an_event_stands_on_the_pod_once(watch_api: KubeApi, watch_connection: ApiConnection) -> None:
    sink = EventSink(watch_connection, "watcher-1")
    assert [sink.send(say()), sink.send(say()), EventSink(watch_connection, "watcher-2").send(say())] == [
        True, False, False,
    ]  # fmt: skip
    [event] = events(watch_api)
    assert event["message"] == "app is redis (confidence 97% after 24 s of metrics; most similar to redis, nginx)"
    assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
    assert (event["reason"], event["lastTimestamp"]) == ("ServiceIdentified", "2026-01-05T08:00:24Z")


def test_an_event_on_the_watchers_own_pod_warns(watch_api: KubeApi, watch_connection: ApiConnection) -> None:
    own = PodName("podlab", "podlab-watcher-1", "uid-1")
    for at_s in (1_767_600_024.5, 1_767_600_999.0):
        event = make_own_event(own, "NoMetricsAtAll", "no metrics come: " + "x" * 2000, at_s, "watcher-1")
        watch_connection.request("POST", events_path("podlab"), event)
    first, _ = events(watch_api)
    assert (first["type"], first["reason"], len(first["message"])) == ("Warning", "NoMetricsAtAll", 1024)
    assert first["involvedObject"]["uid"] == "uid-1"
    assert "fieldPath" not in first["involvedObject"]


def test_an_event_of_a_pod_that_is_going_is_left_out_and_a_missing_right_is_told(
    watch_api: KubeApi, watch_connection: ApiConnection
) -> None:
    sink = EventSink(watch_connection, "watcher-1")
    going = b'{"message": "unable to create new content in namespace lab because it is being terminated"}'
    watch_api.faults.append(Fault(403, going, verb="create"))
    assert sink.send(say())
    watch_api.faults.append(Fault(403, b'{"message": "no such right"}', verb="create"))
    with pytest.raises(ForbiddenError, match="grant the verb 'create'"):
        sink.send(say())


def test_annotations_and_a_label_say_the_service(watch_api: KubeApi, watch_connection: ApiConnection) -> None:
    watch_api.allow(USER, ["patch"], ["pods"])
    watch_api.store.put("pods", make_pod("web", namespace="lab", uid="uid-1"))
    sink = AnnotationSink(watch_connection)
    assert sink.send(say())
    assert sink.send(say(None, kind="sidecar"))
    metadata = watch_api.store.get("pods", "web", "lab")["metadata"]
    assert metadata["annotations"] == {"service.podlab.dev/app": "unknown", "confidence.podlab.dev/app": "0.97"}
    assert metadata["labels"] == {"podlab.dev/service": "redis"}


def test_another_pod_of_the_same_name_is_not_touched(watch_api: KubeApi, watch_connection: ApiConnection) -> None:
    watch_api.allow(USER, ["patch"], ["pods"])
    watch_api.store.put("pods", make_pod("web", namespace="lab", uid="uid-2"))
    assert AnnotationSink(watch_connection).send(say(uid="uid-1"))
    assert "annotations" not in watch_api.store.get("pods", "web", "lab")["metadata"]


def test_a_point_stands_beside_the_metrics_and_repeating_it_changes_nothing(influxd: Influxd, database: str) -> None:
    sink = InfluxSink(InfluxDatabase(influxd.url, database, *influxd.admin))
    assert sink.send(say())
    assert sink.send(say())
    [result] = influxd.statement("SELECT * FROM podlab_decision", db=database, epoch="ms")
    [series] = result["series"]
    [row] = [dict(zip(series["columns"], values, strict=True)) for values in series["values"]]
    assert (row["time"], row["service"], row["confidence"]) == (1_767_600_024_500, "redis", 0.97)
    assert (row["pod_name"], row["container_name"], row["pod_uid"]) == ("web", "app", "uid-1")


def test_log_records_stand_among_the_lines_and_the_same_trouble_once_a_minute() -> None:
    out, at_s = StringIO(), 0.0
    lines = JsonLines(out, lambda: 0.0)
    log = logging.getLogger("test of the watcher's log")
    log.addHandler(JsonHandler(lines, lambda: at_s))
    log.propagate = False
    for second in (0.0, 10.0, 59.0, 60.0):
        at_s = second
        log.warning("database %d does not answer\nfor %g s", 7, second)
    try:
        raise ValueError("hunter2")
    except ValueError:
        log.exception("a round failed")
    said = pd.read_json(StringIO(out.getvalue()), lines=True)
    assert said["message"].tolist() == [
        "database 7 does not answer for 0 s", "database 7 does not answer for 60 s", "a round failed",
    ]  # fmt: skip
    assert "hunter2" not in out.getvalue()
    assert "test_sinks.py" in out.getvalue()


def alarm(over: str | None = None) -> Announcement:
    tracked = track(make_watched("web", "uid-1", START, container="app"))
    tracked.detectors_for = DecisionRecord(tracked.key, "redis", "confident", 0, 1_767_600_024.5, 24.0)
    tracked.source_detectors = (("redis", 1.0),)
    signals = (
        ContributingSignal("rx_bytes", 12.3, "itself", 5e6, 2e4, 2e3),
        ContributingSignal("memory_rss_bytes", -20.0, "service"),
    )
    raised = ActiveAlarm(1_767_600_300.0, 1_767_600_320.5, score=0.9999, signals=signals)
    return announce_alarm(tracked, raised, cluster="local", decided_s=0.0, announced_s=raised.since_s, over=over)


def test_an_alarm_is_a_warning_on_the_pod_and_its_end_is_none(
    watch_api: KubeApi, watch_connection: ApiConnection
) -> None:
    sink = EventSink(watch_connection, "watcher-1")
    assert [sink.send(alarm()), sink.send(alarm()), sink.send(alarm("usual again"))] == [True, False, True]
    told = {event["reason"]: event for event in events(watch_api)}
    assert {reason: event["type"] for reason, event in told.items()} == {
        "AnomalyDetected": "Warning", "AnomalyOver": "Normal",
    }  # fmt: skip
    assert told["AnomalyDetected"]["message"] == (
        "app is not as usual for redis since 08:05:00 UTC: network traffic received is 5 MB a second "
        "(20 kB a second before, usual 2 kB a second); the processes' own memory is unusually low"
    )
    assert told["AnomalyDetected"]["lastTimestamp"] == "2026-01-05T08:05:20Z"
    assert told["AnomalyOver"]["message"] == ("app is as usual for redis again; it was not for 20 s since 08:05:00 UTC")


def test_an_alarm_is_no_annotation(watch_api: KubeApi, watch_connection: ApiConnection) -> None:
    watch_api.store.put("pods", make_pod("web", namespace="lab", uid="uid-1"))
    before = watch_api.store.get("pods", "web", "lab")
    assert AnnotationSink(watch_connection).send(alarm())
    assert watch_api.store.get("pods", "web", "lab") == before


def test_an_alarm_is_a_point_of_a_measurement_of_its_own(influxd: Influxd, database: str) -> None:
    sink = InfluxSink(InfluxDatabase(influxd.url, database, *influxd.admin))
    assert sink.send(alarm())
    [result] = influxd.statement("SELECT * FROM podlab_anomaly", db=database, epoch="ms")
    [series] = result["series"]
    [row] = [dict(zip(series["columns"], values, strict=True)) for values in series["values"]]
    assert (row["time"], row["service"], row["kind"], row["score"]) == (1_767_600_320_500, "redis", "anomalous", 0.9999)
    assert (row["drivers"], row["lasted_s"], row["untold"]) == ("rx_bytes, memory_rss_bytes", 20.5, 0)
