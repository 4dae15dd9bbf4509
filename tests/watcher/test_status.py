"""What the watcher serves: probes, metrics, containers, a page; and to nobody more than it can bear."""

from __future__ import annotations

import json
import math
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from podlab.errors import InputError
from podlab.kubernetes.informer import InformerStatus
from podlab.watcher.status import STUCK_S, StatusServer, WatcherStatus
from tests.support.debian import find_program
from tests.support.synthetic import EPOCH
from tests.support.watching import Bench, make_watched, pods_of
from tests.watcher.conftest import MakeBench

INFORMER = InformerStatus(True, 0.0, 0.0, 0.0, 0.0, 1, 1, 0, 1, None)


@contextmanager
def serving(bench: Bench, informer: InformerStatus = INFORMER) -> Iterator[httpx.Client]:
    def steady() -> float:
        return bench.clock.at_s

    now_s = bench.clock.at_s
    given = {name: getattr(informer, name) for name in ("last_contact_s", "last_watch_s", "last_attempt_s")}
    informer = replace(informer, **{name: None if at_s is None else now_s + at_s for name, at_s in given.items()})
    status = WatcherStatus(bench.watcher, informer, bench.clock.at_s, steady)
    with (
        StatusServer("127.0.0.1:0", status) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=300) as client,
    ):
        yield client


def test_metrics_count_what_was_decided(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples), make_watched("web", "1", None, state="waiting", reason="CrashLoopBackOff"))
    here.run(60)
    with serving(here) as client:
        families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    counts = {
        (s.labels["service"], s.labels["kind"]): s.value
        for s in families["podlab_decisions"].samples
        if s.name == "podlab_decisions_total"
    }
    assert counts == {("nginx", "identified"): 3.0, ("redis", "identified"): 3.0}
    states = {sample.labels["state"]: sample.value for sample in families["podlab_containers"].samples}
    assert states == {"not started": 1, "waiting": 0, "decided": 6, "unknown": 0}
    [model] = families["podlab_model_info"].samples
    assert model.labels["model"].startswith("small@")


def test_metrics_follow_the_conventions_of_prometheus(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.run(60)
    with serving(here) as client:
        assert "podlab_watch_requests_total" in client.get("/metrics").text
        text = client.get("/metrics").text
    promtool = find_program("promtool", package="prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert not [name for name in families if name.endswith("_created")]
    [listed] = [each for each in families["podlab_watch_requests"].samples if each.labels["what"] == "list"]
    assert listed.value == INFORMER.lists  # asked for twice, counted once
    bounds = [float(s.labels["le"]) for s in families["podlab_decision_seconds"].samples if "le" in s.labels]
    assert bounds[0] == 1.0
    found = {s.labels["service"]: s.value for s in families["podlab_identified_containers"].samples}
    assert found == {"nginx": 3.0, "redis": 3.0}


def test_nothing_is_old_where_nothing_is_waited_for(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    lags_s = []
    for _ in range(5):
        here.run(0)
        lags_s.append(here.watcher.metrics.registry.get_sample_value("podlab_lag_seconds"))
    assert 0 <= lags_s[1] < 10
    assert math.isnan(lags_s[-1])  # all are decided: Prometheus leaves it out, and nobody is alarmed for ever


def test_containers_are_listed_with_what_is_known_of_them(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    with serving(here) as client:
        assert client.get("/containers").json() == []
    here.appear(*pods_of(samples), make_watched("web", "1", None, state="waiting", reason="CrashLoopBackOff"))
    here.run(0)
    with serving(here) as client:
        assert [each["state"] for each in client.get("/containers").json()] == ["waiting"] * 6 + ["not started"]
    here.run(60)
    with serving(here) as client:
        *decided, not_started = client.get("/containers").json()
    assert {each["pod"]: each["service"] for each in decided} == dict(here.announced())
    assert (not_started["pod"], not_started["reason"]) == ("web", "CrashLoopBackOff")


def test_thousands_of_containers_are_valid_json(bench: MakeBench) -> None:
    here = bench()
    here.appear(*(make_watched(f"web-{n}", f"{n}", EPOCH.to_pydatetime()) for n in range(1001)))
    here.run(0)
    with serving(here) as client:
        assert len(json.loads(client.get("/containers").text)) == 1001


def test_a_stuck_round_and_a_stuck_feed_fail_the_probe(bench: MakeBench) -> None:
    here = bench()
    here.run(0)
    with serving(here) as client:
        assert client.get("/healthz").status_code == 200
        here.clock.at_s += STUCK_S + 1
        answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.text == "no round for 311 s\nno attempt to follow the pods for 301 s\n"


def test_a_round_that_is_not_due_yet_is_not_missed(bench: MakeBench) -> None:
    here = bench(interval_s=600.0)
    here.run(0)
    with serving(here) as client:
        assert client.get("/healthz").text == "ok\n"
        here.clock.at_s += 600.0
        assert "no round" not in client.get("/healthz").text
        here.clock.at_s += STUCK_S
        assert "no round for 910 s" in client.get("/healthz").text


def test_not_ready_until_pods_were_listed_and_a_round_was_done(bench: MakeBench) -> None:
    here = bench()
    informer = replace(
        INFORMER, synced=False, last_contact_s=None, last_watch_s=None, last_error="no right to list pods"
    )
    with serving(here, informer) as client:
        answer = client.get("/readyz")
        assert client.get("/healthz").status_code == 200
    assert answer.status_code == 503
    assert answer.text == "the pods were not listed yet: no right to list pods\nno round was done yet\n"


def test_an_api_server_that_is_away_for_long_is_no_reason_for_a_restart(bench: MakeBench) -> None:
    here = bench()
    here.run(0)
    with serving(here, replace(INFORMER, last_contact_s=-3000.0, last_watch_s=-3000.0, last_error="refused")) as client:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == "the pods have not been watched for 3000 s: refused\n"


def test_not_ready_without_the_right_to_watch(bench: MakeBench) -> None:
    here = bench()
    here.run(0)
    with serving(here, replace(INFORMER, last_watch_s=None, last_error="no right to watch pods")) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "the pods are not watched yet: no right to watch pods\n")
        assert client.get("/healthz").status_code == 200
    with serving(here, replace(INFORMER, last_watch_s=-100.0)) as client:
        assert client.get("/readyz").text == "ok\n"


def test_nothing_else_is_there_and_nothing_can_be_changed(bench: MakeBench) -> None:
    with serving(bench()) as client:
        assert client.get("/secrets").status_code == 404
        assert client.post("/containers").status_code == 501
        assert client.head("/metrics").content == b""


def test_more_requests_than_it_can_bear_are_turned_away_and_it_goes_on(bench: MakeBench) -> None:
    with serving(bench()) as client:
        address = (client.base_url.host, client.base_url.port)
        idle = [socket.create_connection(address, timeout=300) for _ in range(20)]
        turned_away = 0
        for each in idle[16:]:
            turned_away += each.recv(1) == b""
        assert turned_away == 4
        for each in idle:
            each.close()
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, timeout=300) as patient:
            answers = [_ask(patient, f"{client.base_url}/healthz") for _ in range(50)]
    assert 200 in answers


def _ask(client: httpx.Client, url: str) -> int | None:
    try:
        return client.get(url).status_code
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize("listen", ["8080", "localhost:web", "localhost:99999", "no.such.host.invalid:80"])
def test_no_address_is_refused(bench: MakeBench, listen: str) -> None:
    status = WatcherStatus(bench().watcher, INFORMER, 0.0, lambda: 0.0)
    with pytest.raises(InputError, match="watch_listen"):
        StatusServer(listen, status)
