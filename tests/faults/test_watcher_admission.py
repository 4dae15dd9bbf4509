"""Admission refuses an Event, as a quota or a policy of one namespace does, whatever right there is to create them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from podlab.kubernetes.client import ApiConnection
from podlab.watcher.sinks import EventSink
from tests.support.kubeapi import Fault, KubeApi
from tests.support.watch_process import events
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench

SAID = {
    "webhook": 'admission webhook "labels.policy.example" denied the request: owner is missing',
    "policy": "events \"web.1\" is forbidden: ValidatingAdmissionPolicy 'owner' with binding 'all' denied request: no",
    "quota": 'events "web.1" is forbidden: exceeded quota: few, requested: count/events=1, used: 9, limited: 9',
}


@pytest.mark.parametrize("message", SAID.values(), ids=SAID)
def test_what_is_refused_is_left_out_and_the_others_are_told(
    bench: MakeBench, samples: pd.DataFrame, watch_api: KubeApi, watch_connection: ApiConnection, message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    watch_api.faults += 3 * [Fault(403, json.dumps({"message": message}).encode(), verb="create")]
    here = bench(sinks=[EventSink(watch_connection, "watcher-1")])
    here.appear(*pods_of(samples))
    here.run(120)
    assert len(here.lines) == 6
    assert len(events(watch_api)) == 3
    assert here.watcher.waiting == 0
    assert "an event is left out" in caplog.text
    assert "grant the verb" not in caplog.text
