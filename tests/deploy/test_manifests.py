"""Manifests that a cluster takes, whose parts find each other, and that are no stronger than they must be."""

from __future__ import annotations

import kubernetes
import pytest
import yaml

import podlab
from podlab.config import Settings
from tests.deploy.conftest import DEPLOY, FOLDERS, Objects, pod_specs
from tests.support.kubeschema import check_object

pytestmark = pytest.mark.parametrize("folder", FOLDERS)


def test_every_object_is_one_that_the_kubernetes_api_knows(folder: str, objects: Objects) -> None:
    for each in objects(folder):
        if each["kind"] == "DaskCluster":  # the operator's own kind; the pods in it are Kubernetes'
            for name, spec in pod_specs([each]).items():
                check_object(spec, kubernetes.client.V1PodSpec, where=name)
            continue
        check_object(each, getattr(kubernetes.client, f"V1{each['kind']}"), where=each["metadata"]["name"])


def test_a_folder_holds_no_file_that_nothing_uses(folder: str, objects: Objects) -> None:
    plan = yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())
    used = [
        name for each in plan.get("configMapGenerator", []) for key in ("envs", "files") for name in each.get(key, [])
    ]
    used += [name for name in plan["resources"] if not name.startswith("..")]
    used += [patch["path"] for patch in plan.get("patches", [])]
    there = {path.name for path in (DEPLOY / folder).iterdir() if path.is_file()}
    assert there - {"helm-values.yaml"} == {*used, "kustomization.yaml"}


def test_all_is_in_the_namespace_podlab(folder: str, objects: Objects) -> None:
    for each in objects(folder):
        assert each["metadata"].get("namespace", "podlab") == "podlab"
        for subject in each.get("subjects", []):
            assert subject["namespace"] == "podlab"


def test_pods_are_restricted(folder: str, objects: Objects) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    for spec in pod_specs(objects(folder)).values():
        assert not {"hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"} & set(spec)
        assert not {"sysctls", "seLinuxOptions", "appArmorProfile"} & set(spec["securityContext"])
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        if folder == "overlays/openshift":  # where the cluster chooses whom, and refuses who chooses
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"])
        else:
            assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            assert not any("hostPort" in port for port in container.get("ports", []))
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_pods_are_bounded(folder: str, objects: Objects) -> None:
    for spec in pod_specs(objects(folder)).values():
        for container in spec["containers"]:
            resources = container["resources"]
            assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory", "ephemeral-storage"}


def test_images_are_of_a_version(folder: str, objects: Objects) -> None:
    for spec in pod_specs(objects(folder)).values():
        for container in spec["containers"]:
            name, _, tag = container["image"].rpartition(":")
            assert name
            assert tag[0].isdigit()
            if name.startswith("localhost/"):
                assert tag == podlab.__version__


def test_a_token_is_mounted_only_where_an_account_may_do_something(folder: str, objects: Objects) -> None:
    bound = {
        subject["name"] for each in objects(folder, "ClusterRoleBinding", "RoleBinding") for subject in each["subjects"]
    }
    for spec in pod_specs(objects(folder)).values():
        assert spec["automountServiceAccountToken"] is (spec.get("serviceAccountName") in bound)
    for account in objects(folder, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_every_pod_has_a_network_policy_of_its_own_for_both_ways(folder: str, objects: Objects) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in objects(folder, "NetworkPolicy")}
    for name in pod_specs(objects(folder)):
        # The loader talks to nobody: the namespace's policy does for it. Dask's pods have the operator's labels.
        if name == "podlab-model-loader" or folder == "dask":
            continue
        assert policies[name]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        assert policies[name]["policyTypes"] == ["Ingress", "Egress"]


def test_the_api_server_is_reached_wherever_distributions_let_it_listen(folder: str, objects: Objects) -> None:
    for each in objects(folder, "NetworkPolicy"):
        ports = {port["port"] for rule in each["spec"].get("egress") or [] for port in rule.get("ports", [])}
        assert 6443 not in ports or {443, 8443, 16443} <= ports


def test_what_is_there_can_be_found_by_its_label(folder: str, objects: Objects) -> None:
    for each in objects(folder):
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "podlab"


def test_no_two_pods_need_the_same_volume_on_different_nodes(folder: str, objects: Objects) -> None:
    claims = {
        each["metadata"]["name"]: each["spec"]["accessModes"] for each in objects(folder, "PersistentVolumeClaim")
    }
    for each in objects(folder, "Deployment"):
        for volume in each["spec"]["template"]["spec"].get("volumes", []):
            if each["spec"]["replicas"] > 1 and "persistentVolumeClaim" in volume:
                assert "ReadWriteMany" in claims[volume["persistentVolumeClaim"]["claimName"]]


def test_roles_are_those_that_are_bound_and_name_no_wildcard(folder: str, objects: Objects) -> None:
    roles = {(each["kind"], each["metadata"]["name"]) for each in objects(folder, "Role", "ClusterRole")}
    bound = {
        (each["roleRef"]["kind"], each["roleRef"]["name"])
        for each in objects(folder, "RoleBinding", "ClusterRoleBinding")
    }
    assert roles == bound
    for each in objects(folder, "Role", "ClusterRole"):
        for rule in each["rules"]:
            assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]


def test_settings_are_podlabs_and_in_their_form(folder: str, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in objects(folder, "ConfigMap"):
        given = {key: value for key, value in each["data"].items() if key.startswith("PODLAB_")}
        for variable, value in given.items():
            name = variable.removeprefix("PODLAB_").lower()
            assert name in Settings.model_fields, variable
            monkeypatch.setenv(variable, value)
        loaded = Settings()
        assert {name for name in loaded.model_fields_set if f"PODLAB_{name.upper()}" in given} == {
            variable.removeprefix("PODLAB_").lower() for variable in given
        }


def test_no_object_holds_a_secret(folder: str, objects: Objects) -> None:
    assert not objects(folder, "Secret")
    for spec in pod_specs(objects(folder)).values():
        for container in spec["containers"]:
            for variable in container.get("env", []):
                assert "PASSWORD" not in variable["name"] or "secretKeyRef" in variable["valueFrom"]
    for each in objects(folder, "ConfigMap"):
        assert "PODLAB_INFLUXDB_PASSWORD" not in each["data"]


def test_a_pod_that_is_not_ready_keeps_no_node_from_being_drained(folder: str, objects: Objects) -> None:
    for each in objects(folder, "PodDisruptionBudget"):
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
