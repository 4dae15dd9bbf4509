"""The whole chain: a replayed recording in a real InfluxDB, an API server over HTTP, the packaged entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from podlab.data.catalogue import FEATURE_METRICS
from podlab.identify import fit
from podlab.model import bundle
from podlab.model.signature import SIGNATURE, sign_files
from tests.support.anomalous import alarms, make_containers, overload, pod_of
from tests.support.bundles import write_keys
from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.synthetic import make_miner, make_samples
from tests.support.watch_process import WatchProcess, begin_now, events, play, run_pods
from tests.support.watching import starting_together


def test_pods_that_appear_are_identified_and_their_events_tell_the_truth(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = begin_now(samples, 40.0)
    truth = dict(now[["pod", "service"]].drop_duplicates().itertuples(index=False))
    written = play(influxd, database, now, 20)
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database) as watcher:
        watcher.wait_for_log("pods at version")
        run_pods(watch_api, now)
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 40)
        said = watcher.wait_for_announcements(len(truth))
        assert {line["pod"]: line["service"] for line in said} == truth
        assert watcher.get("/healthz").text == watcher.get("/readyz").text == "ok\n"
        assert "podlab_decisions_total{" in watcher.get("/metrics").text
        shown = {each["pod"] for each in watcher.get("/overview").json()["containers"]}
        assert shown >= set(truth)
        assert watcher.end() == 0
    told = events(watch_api)
    assert {event["involvedObject"]["name"]: event["message"].split()[2] for event in told} == truth
    assert len(told) == len(truth)
    assert {event["reason"] for event in told} == {"ServiceIdentified"}
    assert {event["involvedObject"]["uid"] for event in told} == set(now["pod_uid"])


def test_a_container_that_turns_strange_is_told_of_and_again_when_it_is_not(
    watch_api: KubeApi, influxd: Influxd, database: str, model_with_detectors: Path, tmp_path: Path
) -> None:
    lives = make_containers(300.0)
    pod = pod_of(lives, "redis")
    now = begin_now(overload(lives, pod, 120.0, 190.0), 310.0)
    written = play(influxd, database, now, 20)
    settings = {"watch_anomalies": "true"}
    with WatchProcess(watch_api, tmp_path, model_with_detectors, influxd.url, database, settings=settings) as watcher:
        watcher.wait_for_log("pods at version")
        run_pods(watch_api, now)
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 60)
        watcher.wait_for_announcements(6)
        play(influxd, database, now, 170)
        watcher.wait_for(lambda lines: ("anomalous", pod) in alarms(lines))
        told = {each["pod"]: each for each in json.loads(watcher.get("/containers").text)}
        assert (told[pod]["watched"], told[pod]["donors"][0][0]) == ("anomalous", "redis")
        play(influxd, database, now)
        watcher.wait_for(lambda lines: ("anomaly-over", pod) in alarms(lines))
        assert 'podlab_anomalies_total{kind="anomalous",service="redis"} 1.0' in watcher.get("/metrics").text
        assert watcher.end() == 0
    own = [event for event in events(watch_api) if event["involvedObject"]["name"] == pod]
    assert [(event["reason"], event["type"]) for event in sorted(own, key=lambda event: event["lastTimestamp"])] == [
        ("AnomalyDetected", "Warning"), ("AnomalyOver", "Normal"), ("ServiceIdentified", "Normal"),
    ]  # fmt: skip
    assert alarms(watcher.lines) == [("anomalous", pod), ("anomaly-over", pod)]


def test_a_model_without_detectors_is_refused_where_anomalies_are_looked_for(
    watch_api: KubeApi, model: Path, tmp_path: Path
) -> None:
    settings = {"watch_anomalies": "true"}
    with WatchProcess(watch_api, tmp_path, model, "http://127.0.0.1:1", "telegraf", settings=settings) as watcher:
        assert watcher.process.wait() == 2
    assert watcher.errors.strip().endswith(
        f"{model}: has no detectors; fit the model again, or leave watch_anomalies off"
    )


def test_a_false_claim_and_a_miner_are_told_of_once_and_no_foreign_model_takes_over(
    watch_api: KubeApi, influxd: Influxd, database: str, tmp_path: Path
) -> None:
    kinds = ("nginx", "redis")
    training = make_samples(kinds, deployments_per_service=10, seconds=20, columns=FEATURE_METRICS)
    folder = tmp_path / "model"
    bundle.save(fit(training, jobs=1, horizons_s=(15.0,)), folder, name="tester")
    private, public = write_keys(tmp_path)

    def sign(key: Path) -> None:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SIGNATURE}
        (folder / SIGNATURE).write_bytes(sign_files(files, key, name="any"))

    sign(private)
    own = starting_together(make_samples(kinds, deployments_per_service=2, seconds=60, columns=FEATURE_METRICS, seed=5))
    now = begin_now(pd.concat([own, make_miner(seconds=190)], ignore_index=True), 200.0)
    images = {f"{row.pod}": f"{row.service}:1" for row in own.drop_duplicates("pod").itertuples()}
    false = next(iter(images))
    claim = next(name for name in kinds if not images[false].startswith(name))
    images[false] = f"registry.example/team/{claim}@sha256:{64 * '0'}"
    play(influxd, database, now)
    settings = {"model_key_file": str(public)}
    with WatchProcess(watch_api, tmp_path / "watcher", folder, influxd.url, database, settings=settings) as watcher:
        run_pods(watch_api, now, images)
        watcher.poll("/metrics", lambda text: 'podlab_claims{verdict="mismatch"} 1.0' in text)
        sign(write_keys(tmp_path, "foreign")[0])
        watcher.wait_for_log("is signed by another key")
        with (folder / "model.json").open("ab") as file:
            file.write(b" ")
        watcher.wait_for_log("model.json: was changed")
        assert "podlab_model_refused 1.0" in watcher.get("/metrics").text
        watcher.wait_for(lambda lines: {"mismatch", "miner-like"} <= {line["event"] for line in lines})
        assert watcher.end() == 0
    refused = [line["message"] for line in watcher.lines if "is refused" in line["message"]]
    assert len(refused) == 2
    assert all("tester@" in each and "goes on" in each and "\n" not in each for each in refused)
    told = [event for event in events(watch_api) if not event["reason"].startswith("Service")]
    assert {(event["reason"], event["involvedObject"]["name"], event["type"]) for event in told} == {
        ("IdentityMismatch", false, "Warning"), ("MinerLike", "guest-0", "Warning")
    }  # fmt: skip
    assert len(told) == 2
    assert f"claims to be {claim} and behaves like" in next(
        e["message"] for e in told if "claims to be" in e["message"]
    )
    # It looks and tells; nothing is ever done to a pod.
    asked = {(request.verb, request.resource) for request in watch_api.requests if request.resource != "leases"}
    assert asked <= {("list", "pods"), ("watch", "pods"), ("create", "events")}
