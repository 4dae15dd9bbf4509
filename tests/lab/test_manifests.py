"""Manifests that a cluster takes, that tell podlab the truth, and whose names tell nobody."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import kubernetes
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab.catalogue import load, select
from lab.manifests import to_yaml, write_manifests
from lab.plan import RecordingPlan, draw
from lab.pods import PodOptions, escape, quantity
from lab.specifications import service_files
from podlab.data.labels import LabelRules, label_containers
from podlab.data.workloads import deployments_of
from podlab.errors import InputError
from tests.support.kubeschema import check_object

PATTERNS = ("steady", "idle")
ALL = [service.name for service in load()]
DRAWN = draw(load(), RecordingPlan(PATTERNS, per_service=4))


def _write(folder: Path, names: list[str], *, seed: int = 0, namespace: str | None = None, **options: Any) -> Path:
    write_manifests(
        folder,
        select(load(), names),
        RecordingPlan(PATTERNS, per_service=4, seed=seed),
        PodOptions(**options),
        namespace,
    )
    return folder


@functools.cache
def _read_file(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _objects(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return [copy.deepcopy(each) for path in paths for each in _read_file(path) if kind in (None, each["kind"])]


def _service_pods(folder: Path) -> list[dict[str, Any]]:
    return [pod for pod in _objects(folder, "Pod") if LabelRules.label_key in pod["metadata"]["labels"]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("manifests") / "all", ALL, image_prefix="registry.example/lab")


def test_every_object_is_one_that_the_kubernetes_api_knows(everything: Path) -> None:
    for each in _objects(everything):
        check_object(each, getattr(kubernetes.client, f"V1{each['kind']}"), where=each["metadata"]["name"])


def test_the_check_itself_finds_what_the_api_does_not_know(everything: Path) -> None:
    pod = _objects(everything, "Pod")[0]
    for part, key, value in (
        (pod["spec"], "restartPolitics", "Always"),
        (pod["spec"]["containers"][0], "image", 1),
        (pod["spec"], "containers", {}),
    ):
        good = dict(part)
        part[key] = value
        with pytest.raises(AssertionError, match=key):
            check_object(pod, kubernetes.client.V1Pod, where="pod")
        part.clear()
        part.update(good)


def test_the_kustomization_lists_every_manifest_and_nothing_else(everything: Path) -> None:
    document = yaml.safe_load((everything / "kustomization.yaml").read_text())
    listed = [*document["resources"], "kustomization.yaml"]
    assert sorted(listed) == sorted(path.name for path in everything.glob("*.yaml"))
    assert document["namespace"] == _objects(everything, "Namespace")[0]["metadata"]["name"]


def test_every_deployment_is_there_once_and_podlab_reads_its_service_and_deployment(everything: Path) -> None:
    pods = _service_pods(everything)
    containers = pd.DataFrame(
        {
            "namespace": "podlab-lab",
            "pod": [pod["metadata"]["name"] for pod in pods],
            "container": [pod["spec"]["containers"][0]["name"] for pod in pods],
            "image": [pod["spec"]["containers"][0]["image"] for pod in pods],
            "pod_labels": [pod["metadata"]["labels"] for pod in pods],
        }
    )
    report = label_containers(containers, LabelRules())
    assert set(report.how) == {"kubernetes label"}
    told = list(zip(report.service, (pod["metadata"]["annotations"]["podlab/variant"] for pod in pods), strict=True))
    drawn = [(d.service, d.variant) for d in DRAWN]
    assert sorted(told) == sorted(drawn)
    assert deployments_of(containers).is_unique


def test_names_of_pods_and_of_all_they_use_tell_no_service(everything: Path) -> None:
    for kind in ("Pod", "Service", "ConfigMap"):
        for each in _objects(everything, kind):
            name = each["metadata"]["name"]
            assert name == "podlab-load-client" or re.fullmatch(r"pod-[0-9a-f]{8}(-client|-files)?", name)


def test_load_clients_are_never_taken_for_a_service(everything: Path) -> None:
    clients = [pod for pod in _objects(everything, "Pod") if pod["metadata"]["name"].endswith("-client")]
    assert len(clients) == len(_service_pods(everything))
    asked = pd.DataFrame(
        {
            "pod": [pod["metadata"]["name"] for pod in clients],
            "container": "main",
            "image": [pod["spec"]["containers"][0]["image"] for pod in clients],
            "pod_labels": [pod["metadata"]["labels"] for pod in clients],
        }
    )
    assert label_containers(asked, LabelRules(services=tuple(ALL))).service.isna().all()


def test_each_client_loads_its_own_service_by_a_name_that_leads_there(everything: Path) -> None:
    ports = {service.name: service.port for service in load()}
    names = {each["metadata"]["name"]: each["spec"]["selector"] for each in _objects(everything, "Service")}
    pods = {pod["metadata"]["name"]: pod for pod in _objects(everything, "Pod")}
    for pod in _service_pods(everything):
        name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
        spec = json.loads(pods[f"{name}-client"]["spec"]["containers"][0]["command"][-1])
        assert (spec["host"], spec["port"]) == (name, ports[labels[LabelRules.label_key]])
        if spec["protocol"] not in ("none", "sink"):
            assert names[name].items() <= labels.items()
        if spec["protocol"] == "sink":
            environment = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
            client = pods[environment["LAB_CLIENT"]]
            assert names[environment["LAB_CLIENT"]].items() <= client["metadata"]["labels"].items()


def test_every_pod_is_restricted_and_bounded(everything: Path) -> None:
    for pod in _objects(everything, "Pod"):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert 0 < pod["spec"]["activeDeadlineSeconds"] <= 3600
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
        assert int(re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])[1]) >= 32
    (policy,) = _objects(everything, "NetworkPolicy")
    assert all(policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
               for pod in _objects(everything, "Pod"))  # fmt: skip


def test_each_pod_is_probed_as_it_was_drawn(everything: Path) -> None:
    deployments = {d.pod: d for d in DRAWN}
    means = {"tcp": "tcpSocket", "http": "httpGet", "exec": "exec"}
    for pod in _service_pods(everything):
        by = deployments[pod["metadata"]["name"]].probe_by
        probe = pod["spec"]["containers"][0].get("readinessProbe", {})
        assert set(probe) == ({means[by], "periodSeconds"} if by != "none" else set())


def test_every_file_of_a_service_comes_to_its_place(everything: Path) -> None:
    services = {service.name: service for service in load()}
    deployments = {d.pod: d for d in DRAWN}
    maps = {each["metadata"]["name"]: each["data"] for each in _objects(everything, "ConfigMap")}
    for pod in _service_pods(everything):
        service = services[pod["metadata"]["labels"][LabelRules.label_key]]
        deployment = deployments[pod["metadata"]["name"]]
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        found = {}
        for mount in pod["spec"]["containers"][0]["volumeMounts"]:
            volume = volumes[mount["name"]]
            if "emptyDir" in volume:
                assert deployment.data_in == "volume"
                assert mount["mountPath"] == service.data
                continue
            data = maps[volume["configMap"]["name"]]
            if "subPath" in mount:
                found[mount["mountPath"]] = data[mount["subPath"]]
            else:
                for item in volume["configMap"]["items"]:
                    found[f"{mount['mountPath']}/{item['path']}"] = data[item["key"]]
        assert found == service_files(deployment, service)


def test_images_are_official_or_the_users_and_those_have_a_recipe(everything: Path, tmp_path: Path) -> None:
    official = {service.name: service.official_image for service in load()}
    for pod in _service_pods(everything):
        name, image = pod["metadata"]["labels"][LabelRules.label_key], pod["spec"]["containers"][0]["image"]
        assert image == official[name] or (official[name] is None and image.startswith(f"registry.example/lab/{name}:"))
    assert "python3-redis" in (everything / "images" / "client-debian12" / "Containerfile").read_text()
    own = _write(tmp_path / "own", ["redis"], source="debian", image_prefix="registry.example/lab")
    assert {pod["spec"]["containers"][0]["image"] for pod in _service_pods(own)} == {
        "registry.example/lab/redis:debian12"
    }
    assert "redis-server" in (own / "images" / "redis-debian12" / "Containerfile").read_text()


def test_the_same_seed_gives_the_same_bytes_and_another_other_pods(tmp_path: Path) -> None:
    folders = [_write(tmp_path / str(n), ["redis", "nginx"], seed=seed) for n, seed in enumerate((1, 1, 2))]
    bytes_of = [
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert bytes_of[0] == bytes_of[1]
    first, other = ({pod["metadata"]["name"] for pod in _objects(folder, "Pod")} for folder in folders[1:])
    assert not first & other


def test_a_namespace_of_the_users_is_used_and_never_removed_with_the_lab(tmp_path: Path) -> None:
    folder = _write(tmp_path / "out", ["redis"], namespace="team-a")
    assert yaml.safe_load((folder / "kustomization.yaml").read_text())["namespace"] == "team-a"
    assert not _objects(folder, "Namespace")
    with pytest.raises(InputError, match="Team A"):
        _write(tmp_path / "other", ["redis"], namespace="Team A")


def test_older_manifests_are_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = _write(tmp_path / "out", ["redis"])
    older = set(os.listdir(folder))
    _write(folder, ["redis"], seed=9)
    assert set(os.listdir(folder)) != older
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        _write(folder, ["redis"])
    assert (folder / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="is not a folder"):
        _write(folder / "thesis.txt", ["redis"])


def test_sizes_are_written_as_kubernetes_means_them() -> None:
    assert [quantity(size) for size in ("96m", "1g", "5k", "7b", "2G")] == ["96Mi", "1Gi", "5Ki", "7", "2Gi"]
    for wrong in ("", "m", "1.5g", "12", "1t"):
        with pytest.raises(InputError, match="size"):
            quantity(wrong)


def _expand(text: str, names: dict[str, str]) -> str:
    """Do what Kubernetes does to commands and variables (k8s.io/kubernetes/third_party/forked/golang/expansion)."""
    out, at = "", 0
    while at < len(text):
        following = text[at + 1 : at + 2]
        if text[at] != "$" or not following:
            out, at = out + text[at], at + 1
        elif following == "$":
            out, at = out + "$", at + 2
        elif following == "(" and (end := text.find(")", at + 2)) >= 0:
            name = text[at + 2 : end]
            out, at = out + names.get(name, f"$({name})"), end + 1
        else:
            out, at = out + text[at : at + 2], at + 2
    return out


@given(st.text("$()AB x", max_size=30))
def test_what_kubernetes_makes_of_a_command_is_the_command(text: str) -> None:
    names = {"A": "$wrong", "BA": "wrong"}
    assert _expand(escape(text, names), names) == text


@given(st.dictionaries(st.text(max_size=10), st.one_of(st.text(max_size=40), st.booleans(), st.integers()), max_size=5))
def test_yaml_keeps_every_text_a_text(content: dict[str, Any]) -> None:
    assert list(yaml.safe_load_all(to_yaml([content, content]))) == [content, content]


@pytest.mark.parametrize(
    "text", ["1e3", "y", "on", "0o17", "1_0", "1:30", "null", "~", "", "0x1F", "2026-01-01", ".inf"]
)
def test_a_text_that_a_yaml_reader_may_take_for_something_else_is_quoted(text: str) -> None:
    assert re.fullmatch(r"""key: (["']).*\1\n""", to_yaml([{"key": text}]))
