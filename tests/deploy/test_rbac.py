"""The watcher's rights are minimal: every verb it uses is granted, and every granted verb is used."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from tests.deploy.conftest import Objects, pod_specs
from tests.support.influxd import Influxd, free_ports
from tests.support.kubeapi import KubeApi
from tests.support.kubelet import running_kubelets
from tests.support.kubeobjects import make_node
from tests.support.kuberequest import Request
from tests.support.rbac import grant, rights_of
from tests.support.watch_process import PATIENCE_S, TOKEN, WatchProcess, begin_now, events, play, run_pods
from tests.watcher.conftest import model, samples

__all__ = ["model", "samples"]
ACCOUNT = "podlab-watcher"


@pytest.mark.parametrize("folder", ["base", "overlays/annotate"])
def test_what_the_watcher_asks_is_what_it_may(
    folder: str, objects: Objects, model: Path, samples: pd.DataFrame, influxd: Influxd, database: str, tmp_path: Path
) -> None:
    granted = rights_of(objects(folder), ACCOUNT)
    [settings] = [each["data"] for each in objects(folder, "ConfigMap") if "PODLAB_WATCH_LEASE" in each["data"]]
    chosen = {name: settings[f"PODLAB_{name.upper()}"] for name in ("watch_lease", "watch_sinks")}
    chosen["metrics_timeout"] = "1s"  # whatever is said, it is told the same way
    lives = begin_now(samples, 60)
    play(influxd, database, lives)
    with KubeApi() as api:
        grant(api, objects(folder), ACCOUNT, TOKEN)
        run_pods(api, lives)
        with WatchProcess(api, tmp_path, model, influxd.url, database, settings=chosen) as watcher:
            watcher.wait_for_announcements(lives["pod"].nunique())
            assert watcher.end() == 0
        asked = {
            (request.verb, request.resource, request.namespace if request.resource == "leases" else None)
            for request in api.requests
        }
        leases = {request.name for request in api.requests if request.resource == "leases" and request.name}
    assert asked == granted
    # A name that a rule is for is the one that is asked for.
    [rule] = [rule for role in objects(folder, "Role") for rule in role["rules"] if "resourceNames" in rule]
    assert leases == set(rule["resourceNames"]) == {settings["PODLAB_WATCH_LEASE"].partition("/")[2]}


def test_the_kubelets_are_asked_with_no_more_rights_than_it_takes(
    objects: Objects, model: Path, samples: pd.DataFrame, certificates: tuple[Path, Path], tmp_path: Path
) -> None:
    granted = rights_of(objects("overlays/kubelet"), ACCOUNT)
    [settings] = [
        each["data"] for each in objects("overlays/kubelet", "ConfigMap") if "PODLAB_WATCH_LEASE" in each["data"]
    ]
    chosen = {name: settings[f"PODLAB_{name.upper()}"] for name in ("watch_lease", "watch_sinks", "metrics_source")}
    chosen |= {"kubelet_ca_file": str(certificates[1]), "kubelet_interval": "200ms", "metrics_timeout": "1s"}
    lives = begin_now(samples, 30)
    at_kubelets = {(verb, resource) for verb, resource, _ in granted if resource.startswith("nodes/")}
    with KubeApi() as api, running_kubelets(lives, certificates, {TOKEN: at_kubelets}) as kubelets:
        grant(api, objects("overlays/kubelet"), ACCOUNT, TOKEN)
        run_pods(api, lives)
        for kubelet in kubelets:
            api.store.put("nodes", make_node(kubelet.node, address=(kubelet.address.host, kubelet.address.port)))
        with WatchProcess(api, tmp_path, model, "http://127.0.0.1:1", "none", settings=chosen) as watcher:
            watcher.wait_for_announcements(lives["pod"].nunique())
            assert watcher.end() == 0
        asked = {
            (request.verb, request.resource, request.namespace if request.resource == "leases" else None)
            for request in api.requests
        }
        asked |= {(verb, resource, None) for kubelet in kubelets for verb, resource in kubelet.asked}
    assert asked == granted
    assert all("s of metrics" in line["message"] for line in watcher.lines if line["event"] != "log")
    assert granted - rights_of(objects("base"), ACCOUNT) == {
        ("list", "nodes", None), ("get", "nodes/stats", None), ("get", "nodes/metrics", None)
    }  # fmt: skip


def test_that_no_metrics_come_is_told_on_the_watchers_own_pod_with_the_right_to_create_events(
    objects: Objects, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    [settings] = [each["data"] for each in objects("base", "ConfigMap")]
    chosen = {name: settings[f"PODLAB_{name.upper()}"] for name in ("watch_lease", "watch_sinks")}
    chosen |= {"metrics_timeout": "1s", "watch_pod": "podlab/podlab-watcher-1/uid-of-the-watcher"}
    told = threading.Event()

    def notice(request: Request) -> None:
        if (request.verb, request.resource) == ("create", "events"):
            told.set()

    with KubeApi() as api:
        api.before_answer = notice
        grant(api, objects("base"), ACCOUNT, TOKEN)
        run_pods(api, begin_now(samples, 60))
        nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
        with WatchProcess(api, tmp_path, model, nowhere, "none", settings=chosen) as watcher:
            watcher.wait_for_log("no metrics come")
            assert told.wait(PATIENCE_S)
            assert watcher.end() == 0
        [event] = events(api)
        asked = {(request.verb, request.resource) for request in api.requests}
    assert (event["reason"], event["involvedObject"]["uid"]) == ("NoMetricsAtAll", "uid-of-the-watcher")
    assert asked <= {(verb, resource) for verb, resource, _ in rights_of(objects("base"), ACCOUNT)}


def test_without_a_database_no_secret_is_waited_for(objects: Objects) -> None:
    spec = pod_specs(objects("overlays/kubelet"))["podlab-watcher"]
    mounted = {each["name"] for each in spec["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]} == {"state"}
    ports = [port["port"] for each in objects("overlays/kubelet", "NetworkPolicy") if "egress" in each["spec"]
             for rule in each["spec"]["egress"] for port in rule["ports"]]  # fmt: skip
    assert 10250 in ports


def test_prometheus_is_asked_with_the_bases_rights_and_without_influxdbs_secret(objects: Objects) -> None:
    assert rights_of(objects("overlays/prometheus"), ACCOUNT) == rights_of(objects("base"), ACCOUNT)
    spec = pod_specs(objects("overlays/prometheus"))["podlab-watcher"]
    mounted = {each["name"] for each in spec["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]} == {"state", "prometheus"}
    [secret] = [each["secret"] for each in spec["volumes"] if "secret" in each]
    assert secret == {"secretName": "podlab-prometheus", "optional": True}
    ports = [port["port"] for each in objects("overlays/prometheus", "NetworkPolicy") if "egress" in each["spec"]
             for rule in each["spec"]["egress"] for port in rule["ports"]]  # fmt: skip
    assert 9090 in ports


def test_only_the_annotating_overlay_may_change_pods(objects: Objects) -> None:
    base, annotating = (rights_of(objects(folder), ACCOUNT) for folder in ("base", "overlays/annotate"))
    assert annotating - base == {("patch", "pods", None)}
    assert rights_of(objects("overlays/development"), ACCOUNT) == base
    assert rights_of(objects("overlays/anomalies"), ACCOUNT) == base
    assert rights_of(objects("overlays/openshift"), ACCOUNT) == base
    [settings] = [
        each["data"] for each in objects("overlays/anomalies", "ConfigMap") if "PODLAB_WATCH_LEASE" in each["data"]
    ]
    assert settings["PODLAB_WATCH_ANOMALIES"] == "true"
    assert {verb for verb, resource, _ in base if resource == "pods"} == {"list", "watch"}
