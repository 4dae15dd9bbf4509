"""The Helm chart makes the objects that kustomize makes, and refuses values that mean nothing."""

from __future__ import annotations

import copy
import importlib
import json
import platform
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

import podlab
from podlab.config import Settings
from tests.deploy import test_manifests as manifests
from tests.deploy.conftest import DEPLOY, Objects
from tests.support.kustomize import Object, identity, render

if (sys.platform, platform.machine()) != ("linux", "x86_64"):
    pytest.skip("the package that brings Helm is made for Linux on x86-64 only", allow_module_level=True)
helm = importlib.import_module("helm_python")

CHART = DEPLOY / "chart"
EVERYTHING = {"anomalies": True, "annotate": True, "inventory": True, "openshift": True, "signed": True}


def render_chart(namespace: str = "podlab", **values: object) -> list[Object]:
    """Return the objects that ``helm template`` would print."""
    texts = helm.Chart.load(str(CHART)).render(values, name="podlab", namespace=namespace)
    return [each for name, text in texts.items() if name.endswith(".yaml") for each in yaml.safe_load_all(text) if each]


def comparable(objects: list[Object]) -> list[Object]:
    """Leave out what only one of them writes: the namespace, and how a changed setting replaces the pods."""
    found = []
    for each in copy.deepcopy(objects):
        if each["kind"] == "Namespace":  # helm install --create-namespace, or deploy/base/namespace.yaml
            continue
        each["metadata"].pop("namespace", None)
        if each["kind"] == "Deployment":
            each["spec"]["template"]["metadata"]["annotations"].pop("checksum/settings", None)
        found.append(each)
    return sorted(found, key=identity)


@pytest.mark.parametrize(
    ("folders", "values"),
    [
        (["base"], {}),
        (["overlays/prometheus"], {"source": "prometheus"}),
        (["overlays/kubelet"], {"source": "kubelet"}),
        *((["overlays/" + name], {name: True}) for name in EVERYTHING),
        (["base", "monitoring"], {"monitoring": True}),
    ],
)
def test_it_makes_the_objects_of_kustomize(folders: list[str], values: dict[str, object]) -> None:
    theirs = [each for folder in folders for each in render(DEPLOY / folder)]
    assert len(theirs) > 5
    assert comparable(render_chart(**values)) == comparable(theirs)


@pytest.mark.parametrize(
    "check",
    [
        manifests.test_every_object_is_one_that_the_kubernetes_api_knows,
        manifests.test_pods_are_bounded,
        manifests.test_images_are_of_a_version,
        manifests.test_a_token_is_mounted_only_where_an_account_may_do_something,
        manifests.test_every_pod_has_a_network_policy_of_its_own_for_both_ways,
        manifests.test_what_is_there_can_be_found_by_its_label,
        manifests.test_roles_are_those_that_are_bound_and_name_no_wildcard,
        manifests.test_no_object_holds_a_secret,
        manifests.test_pods_are_restricted,
    ],
)
@pytest.mark.parametrize("source", ["influxdb", "prometheus", "kubelet"])
def test_all_together_is_held_to_what_each_overlay_is(check: Callable[[str, Objects], None], source: str) -> None:
    # On OpenShift the cluster chooses the users, so pods do not name them.
    made = render_chart(source=source, **{**EVERYTHING, "openshift": False})

    def choose(folder: str, *kinds: str) -> list[Object]:
        return [copy.deepcopy(each) for each in made if not kinds or each["kind"] in kinds]

    check("chart", choose)


def test_it_follows_the_release_and_its_values() -> None:
    made = render_chart(
        "guests", image={"repository": "registry.example/podlab", "tag": "7"}, replicas=1, inventory=True,
        scraperNamespace="metrics",
        settings={"influxdb_url": "http://db:8086", "mismatch_rate": 0.1, "watch_claims": False},
        pod={"nodeSelector": {"disk": "ssd"}}, container={"resources": {"limits": {"memory": "1Gi"}}},
    )  # fmt: skip
    by_kind: dict[str, list[Any]] = {}
    for each in made:
        by_kind.setdefault(each["kind"], []).append(each)
    [settings], [deployment], [job] = by_kind["ConfigMap"], by_kind["Deployment"], by_kind["CronJob"]
    wanted = {
        "PODLAB_INFLUXDB_URL": "http://db:8086", "PODLAB_MISMATCH_RATE": "0.1", "PODLAB_WATCH_CLAIMS": "false",
        "PODLAB_WATCH_LEASE": "guests/podlab-watcher",
    }  # fmt: skip
    assert wanted.items() <= settings["data"].items()
    pod = deployment["spec"]["template"]["spec"]
    [watcher] = pod["containers"]
    assert (deployment["spec"]["replicas"], pod["nodeSelector"]) == (1, {"disk": "ssd"})
    assert watcher["resources"]["limits"] == {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "192Mi"}
    inside = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {each["image"] for each in (watcher, *inside)} == {"registry.example/podlab:7"}
    bindings = [*by_kind["ClusterRoleBinding"], *by_kind["RoleBinding"]]
    assert {subject["namespace"] for each in bindings for subject in each["subjects"]} == {"guests"}
    policies = {each["metadata"]["name"]: each["spec"] for each in by_kind["NetworkPolicy"]}
    [rule] = policies["podlab-watcher"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "metrics"}}}]


def test_a_changed_setting_replaces_the_pods_and_nothing_else_does() -> None:
    def checksum(**values: object) -> str:
        [found] = [each for each in render_chart(**values) if each["kind"] == "Deployment"]
        return str(found["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum(replicas=3)
    assert checksum() != checksum(settings={"cluster": "east"})


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"source": "graphite"},
        {"settings": {"influxdb_password": "secret"}},
        {"settings": {"PODLAB_CLUSTER": "east"}},
        {"settings": {"services": ["nginx"]}},
        {"image": {"name": "x"}},
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, object]) -> None:
    chart = helm.Chart.load(str(CHART))
    chart.validate_schema({})
    with pytest.raises(helm.HelmValuesError):
        chart.validate_schema(values)


def test_secrets_that_are_refused_are_all_there_are() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    refused = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    secret = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert sorted(refused) == sorted(secret)


def test_helm_lints_it_without_a_warning_and_its_version_is_podlabs() -> None:
    report = helm.lint(str(CHART), {}, strict=True)
    assert report["total_charts_linted"] == 1
    assert [each for each in report["messages"] if each["severity"] > 1] == []
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["appVersion"], about["version"]) == (podlab.__version__, podlab.__version__)
