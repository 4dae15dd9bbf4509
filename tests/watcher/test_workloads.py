"""The watcher judges the replicas of a workload together, and shows those that disagree."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from podlab.data.catalogue import FEATURE_METRICS
from podlab.identify import fit
from podlab.kubernetes.objects import WatchedPod
from podlab.model import bundle
from podlab.watcher.notify import StateStore
from podlab.watcher.sinks import make_event
from tests.support.synthetic import make_miner, make_samples
from tests.support.watching import Bench, RecordingSink, make_bench, pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_status import serving


def test_a_replica_that_is_something_else_is_shown_until_it_is_gone(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    service_of = samples.drop_duplicates("pod").set_index("pod")["service"]
    pods = pods_of(samples)
    redis, nginx = ([pod for pod in pods if service_of[pod.name] == name] for name in ("redis", "nginx"))
    together = [
        msgspec.structs.replace(
            pod, containers=tuple(msgspec.structs.replace(each, workload="Deployment/db") for each in pod.containers)
        )
        for pod in (*redis, nginx[0])
    ]
    here.appear(*together, *nginx[1:])
    here.run(60)
    with serving(here) as client:
        listed = {each["workload"]: each for each in client.get("/workloads").json()}
        overview, metrics = client.get("/overview").json(), client.get("/metrics").text
    assert len(listed) == 3
    found = listed["Deployment/db"]
    assert (found["service"], found["replicas"], found["disagreeing"]) == ("redis", 4, 1)
    assert found["named"] == [{"pod": nginx[0].name, "service": "nginx"}]
    assert 'podlab_workloads{state="disagreeing"} 1.0' in metrics
    assert 'podlab_workloads{state="agreeing"} 2.0' in metrics
    series = f'{{container="main",namespace="{nginx[0].namespace}",workload="Deployment/db"}}'
    assert f"podlab_workload_disagreeing_replicas{series} 1.0" in metrics
    [disagreeing] = overview["workloads"]
    assert disagreeing["named"] == [{"pod": nginx[0].name, "service": "nginx"}]
    assert [each["pod"] for each in overview["containers"] if each["flags"] == ["disagrees"]] == [nginx[0].name]
    here.vanish(together[-1])
    here.run(10)
    with serving(here) as client:
        overview, metrics = client.get("/overview").json(), client.get("/metrics").text
    assert 'podlab_workloads{state="disagreeing"} 0.0' in metrics
    assert "podlab_workload_disagreeing_replicas{" not in metrics
    assert overview["workloads"] == []


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of enough deployments to check claims."""
    folder = tmp_path_factory.mktemp("model") / "tester"
    training = make_samples(("nginx", "redis"), deployments_per_service=10, seconds=20)
    bundle.save(fit(training, jobs=1, horizons_s=(15.0,)), folder, name="tester")
    return folder


def claiming(pods: list[WatchedPod], samples: pd.DataFrame, **images: str) -> list[WatchedPod]:
    """Give pods the images of their services, or others."""
    service_of = samples.drop_duplicates("pod").set_index("pod")["service"]
    found = []
    for pod in pods:
        image = images.get(pod.name.replace("-", "_"), f"docker.io/library/{service_of[pod.name]}:1")
        inside = tuple(msgspec.structs.replace(each, image=image) for each in pod.containers)
        found.append(msgspec.structs.replace(pod, containers=inside))
    return found


def test_a_claim_that_does_not_hold_is_told_of_once(samples: pd.DataFrame, tester: Path) -> None:
    sink = RecordingSink()
    here = make_bench(samples, tester, sinks=[sink])
    first = pods_of(samples)[0]
    own = samples.drop_duplicates("pod").set_index("pod")["service"][first.name]
    other = "redis" if own == "nginx" else "nginx"
    pods = claiming(pods_of(samples), samples, **{first.name.replace("-", "_"): f"{other}:7"})
    here.appear(*pods)
    here.run(40)
    assert not [each for each in sink.sent if each.kind == "mismatch"]  # it has to last
    here.run(100)
    [told] = [each for each in sink.sent if each.kind == "mismatch"]
    event = make_event(told, "watcher-1")
    assert (event["reason"], event["type"]) == ("IdentityMismatch", "Warning")
    assert event["involvedObject"]["name"] == first.name  # type: ignore[index]
    assert f"claims to be {other} and behaves like {own}" in str(event["message"])
    assert "; 1 replica, p-value" in str(event["message"])
    [line] = [line for line in here.lines if line["event"] == "mismatch"]
    assert (line["claim"], line["service"], line["pod"]) == (other, own, first.name)
    with serving(here) as client:
        overview, metrics = client.get("/overview").json(), client.get("/metrics").text
    assert 'podlab_claims{verdict="mismatch"} 1.0' in metrics
    assert 'podlab_claims{verdict="consistent"} 5.0' in metrics
    assert f'podlab_claim_mismatch{{claim="{other}"' in metrics
    [mismatch] = overview["workloads"]
    assert (mismatch["verdict"], mismatch["claim"], mismatch["service"]) == ("mismatch", other, own)
    assert mismatch["mismatch_since"] == line["mismatch_since"]
    assert overview["claims"] == {"consistent": 5, "mismatch": 1, "cannot tell": 0}
    assert [(each["pod"], each["flags"]) for each in overview["containers"] if each["flags"]] == [
        (first.name, ["mismatch"])
    ]
    assert overview["containers"][0]["pod"] == first.name  # before all others, whenever it was decided on
    here.vanish(pods[0])
    here.run(10)
    with serving(here) as client:
        assert "podlab_claim_mismatch{" not in client.get("/metrics").text


def test_claims_are_not_checked_where_that_is_switched_off(samples: pd.DataFrame, tester: Path) -> None:
    here = make_bench(samples, tester, claims=False)
    first = pods_of(samples)[0]
    here.appear(*claiming(pods_of(samples), samples, **{first.name.replace("-", "_"): "redis"}))
    here.run(140)
    assert not [line for line in here.lines if line["event"] == "mismatch"]
    with serving(here) as client:
        assert client.get("/overview").json()["claims"] is None


def test_a_workload_that_works_like_a_miner_is_told_of_once(tmp_path: Path) -> None:
    training = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=40, columns=FEATURE_METRICS)
    bundle.save(fit(training, jobs=1, horizons_s=(15.0,)), tmp_path / "model", name="small")
    sink = RecordingSink()
    here = make_bench(make_miner(seconds=600), tmp_path / "model", sinks=[sink])
    [guest] = pods_of(make_miner(seconds=600))
    here.appear(guest)
    here.run(100)
    assert not [each for each in sink.sent if each.kind == "miner-like"]
    here.run(480)
    [told] = [each for each in sink.sent if each.kind == "miner-like"]
    event = make_event(told, "watcher-1")
    assert (event["reason"], event["type"]) == ("MinerLike", "Warning")
    assert "claims no known service and works like a miner: one core steadily, no disk" in str(event["message"])
    [line] = [line for line in here.lines if line["event"] == "miner-like"]
    assert line["pod"] == guest.name
    assert line["miner_score"] > 0.9
    with serving(here) as client:
        overview, metrics = client.get("/overview").json(), client.get("/metrics").text
        [listed] = client.get("/workloads").json()
    assert listed["behaviour"].startswith("like a miner: one core")
    assert overview["workloads"] == [listed]
    assert overview["containers"][0]["flags"] == ["miner-like"]
    assert 'podlab_miner_like{container="main",namespace="guests"' in metrics
    here.vanish(guest)
    here.run(10)
    with serving(here) as client:
        assert "podlab_miner_like{" not in client.get("/metrics").text


def relabelled(pod: WatchedPod, **changed: str) -> WatchedPod:
    inside = tuple(msgspec.structs.replace(each, **changed) for each in pod.containers)
    return msgspec.structs.replace(pod, containers=inside)


def told_of(here: Bench, kind: str = "mismatch") -> list[str]:
    return [line["claim"] for line in here.lines if line["event"] == kind]


def one_that_claims_to_be_the_other(samples: pd.DataFrame) -> tuple[list[WatchedPod], str, str]:
    """Pods of which the first claims to be the other service: the pods, what it is, and what it claims to be."""
    first = samples.iloc[0]
    other = {"redis": "nginx", "nginx": "redis"}[first["service"]]
    return claiming(pods_of(samples), samples, **{first["pod"].replace("-", "_"): other}), first["service"], other


def test_a_mismatch_outlives_its_owner_and_ends_with_its_pod(samples: pd.DataFrame, tester: Path) -> None:
    here = make_bench(samples, tester, settle_s=60)
    [first, *others], _, other = one_that_claims_to_be_the_other(samples)
    here.appear(relabelled(first, workload="Deployment/db"), *others)
    here.run(200)
    assert [key.workload for key in here.watcher.workloads.mismatches] == ["Deployment/db"]
    here.appear(first)  # as "kubectl delete --cascade=orphan" leaves it
    here.run(20)
    assert told_of(here) == [other]
    assert [key.workload for key in here.watcher.workloads.mismatches] == [f"Pod/{first.name}"]
    here.vanish(first)
    here.run(20)
    assert here.watcher.workloads.mismatches == {}
    assert len(here.watcher.workloads.verdicts) == len(others)


def test_a_claim_that_is_edited_is_checked_and_told_of_anew(samples: pd.DataFrame, tester: Path) -> None:
    here = make_bench(samples, tester)
    [first, *others] = claiming(pods_of(samples), samples)
    _, _, other = one_that_claims_to_be_the_other(samples)
    here.appear(first, *others)
    here.run(60)
    assert here.watcher.workloads.claims() == {"consistent": len(others) + 1, "mismatch": 0, "cannot tell": 0}
    here.appear(relabelled(first, app=other))
    here.run(100)
    assert told_of(here) == [other]
    here.appear(first)
    here.run(20)
    assert here.watcher.workloads.claims() == {"consistent": len(others), "mismatch": 0, "cannot tell": 1}


def test_claims_are_checked_again_after_a_restart(samples: pd.DataFrame, tester: Path, tmp_path: Path) -> None:
    pods, _, other = one_that_claims_to_be_the_other(samples)
    for _ in range(2):
        begin_s = samples["time"].min().timestamp() + (0 if not (tmp_path / "state").exists() else 200)
        here = make_bench(samples, tester, settle_s=60, store=StateStore(tmp_path / "state"), begin_s=begin_s)
        here.appear(*pods)
        here.run(190)
        assert here.watcher.workloads.claims() == {"consistent": len(pods) - 1, "mismatch": 1, "cannot tell": 0}
        assert told_of(here) == [other]
        assert here.watcher.active == 0


def test_a_mismatch_stands_when_another_model_takes_over(samples: pd.DataFrame, tester: Path, tmp_path: Path) -> None:
    shutil.copytree(tester, tmp_path / "model")
    here = make_bench(samples, tmp_path / "model", settle_s=60)
    pods, _, other = one_that_claims_to_be_the_other(samples)
    here.appear(*pods)
    here.run(200)
    bundle.save(bundle.load(tester).identifier, tmp_path / "model", name="another")
    here.vanish(pods[-1])  # so that verdicts are made anew
    here.run(200)
    assert here.watcher.model.name.startswith("another@")
    assert here.watcher.workloads.claims() == {"consistent": len(pods) - 2, "mismatch": 1, "cannot tell": 0}
    assert told_of(here) == [other]


def test_a_replica_with_another_label_does_not_hide_the_mismatch_of_the_others(
    samples: pd.DataFrame, tester: Path
) -> None:
    here = make_bench(samples, tester)
    service_of = samples.drop_duplicates("pod").set_index("pod")["service"]
    pods = claiming(pods_of(samples), samples)
    redis, nginx = ([pod for pod in pods if service_of[pod.name] == name] for name in ("redis", "nginx"))
    together = [relabelled(pod, image="redis:7", workload="Deployment/db") for pod in nginx]
    decoy = relabelled(redis[0], app="nginx", workload="Deployment/db")
    here.appear(*together, decoy, *redis[1:])
    here.run(140)
    assert told_of(here) == ["redis"]
    [line] = [line for line in here.lines if line["event"] == "mismatch"]
    assert line["pod"] in {pod.name for pod in together}
