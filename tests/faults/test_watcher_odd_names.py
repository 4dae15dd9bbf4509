"""Names with quotes, line breaks and 253 characters."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.kubernetes.client import ApiConnection
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.watcher.sinks import EventSink, InfluxSink
from tests.support.influxd import Influxd
from tests.support.kubeapi import Fault, KubeApi
from tests.support.watch_process import events
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench

NAMES = ["a" * 253, "a.b-c." * 40 + "d", "quo\"te's", "two\nlines", "back\\slash\\", "<b>&amp;", "ünï🙂", "-.-"]


@pytest.mark.parametrize("name", NAMES)
def test_every_sink_takes_them_and_the_log_stays_one_line(
    bench: MakeBench, samples: pd.DataFrame, watch_api: KubeApi, watch_connection: ApiConnection, influxd: Influxd,
    database: str, name: str,
) -> None:  # fmt: skip
    one = samples[samples["pod"] == samples["pod"].iloc[0]].assign(pod=name, pod_uid="uid-1")
    sinks = [
        EventSink(watch_connection, "watcher-1"),
        InfluxSink(InfluxDatabase(influxd.url, database, *influxd.admin)),
    ]
    here = bench(samples=one, sinks=sinks)
    here.appear(*pods_of(one))
    here.run(60)
    assert [line["pod"] for line in here.lines] == [name]
    assert here.watcher.waiting == 0
    [event] = events(watch_api)
    assert event["involvedObject"]["name"] == name
    assert len(event["metadata"]["name"]) <= 253


def test_an_event_that_kubernetes_refuses_holds_nobody_up(
    bench: MakeBench, samples: pd.DataFrame, watch_api: KubeApi, watch_connection: ApiConnection
) -> None:
    watch_api.faults.append(Fault(422, b'{"message": "Event is invalid: involvedObject.name"}', verb="create"))
    here = bench(sinks=[EventSink(watch_connection, "watcher-1")])
    here.appear(*pods_of(samples))
    here.run(60)
    assert len(here.lines) == 6
    assert len(events(watch_api)) == 5
    assert here.watcher.waiting == 0
