"""The overlay for OpenShift: its constraints admit the pods as they are, and nothing else differs from the base."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.conftest import Objects, pod_specs

#: What ``restricted-v2`` lets pods mount: https://docs.openshift.com/container-platform/4.16/authentication/.
_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
#: A range as OpenShift gives each namespace.
_USERS = range(1_000_650_000, 1_000_660_000)


def admit(spec: dict[str, Any]) -> list[str]:
    """Say what the constraints ``restricted-v2`` refuse of a pod."""
    pod = spec.get("securityContext", {})
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    named = [pod, *(each.get("securityContext", {}) for each in containers)]
    refused = [f"user {each['runAsUser']}" for each in named if each.get("runAsUser", _USERS[0]) not in _USERS]
    refused += [f"group {pod['fsGroup']}" for _ in (1,) if pod.get("fsGroup", _USERS[0]) not in _USERS]
    refused += [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for volume in spec.get("volumes", []):
        refused += sorted(volume.keys() - {"name"} - _VOLUMES)
    for each in containers:
        own = each.get("securityContext", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation", True):
            refused.append("privileges")
        if own.get("capabilities", {}).get("add", []) not in ([], ["NET_BIND_SERVICE"]):
            refused.append("capabilities")
        if own.get("seccompProfile", pod.get("seccompProfile")) != {"type": "RuntimeDefault"}:
            refused.append("seccomp")
        if any("hostPort" in port for port in each.get("ports", [])):
            refused.append("hostPort")
    return refused


def test_the_constraints_admit_its_pods_and_would_not_the_bases(objects: Objects) -> None:
    [spec] = pod_specs(objects("overlays/openshift")).values()
    assert admit(spec) == []
    [other] = pod_specs(objects("base")).values()
    assert admit(other) == ["user 65532", "group 65532"]


@pytest.mark.parametrize("where", ["pod", "container"])
def test_no_user_and_group_are_left_anywhere(where: str, objects: Objects) -> None:
    [spec] = pod_specs(objects("overlays/openshift")).values()
    context = spec["securityContext"] if where == "pod" else spec["containers"][0]["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"} & context.keys()


def test_but_for_the_users_and_one_network_policy_it_is_the_base(objects: Objects) -> None:
    theirs, base = ({each["kind"] + each["metadata"]["name"]: each for each in objects(folder)}
                    for folder in ("overlays/openshift", "base"))  # fmt: skip
    for each in base.values():
        if each["kind"] == "Deployment":
            context = each["spec"]["template"]["spec"]["securityContext"]
            for name in ("runAsUser", "runAsGroup", "fsGroup"):
                del context[name]
    assert theirs.keys() - base.keys() == {"NetworkPolicypodlab-watcher-openshift"}
    assert {name: theirs[name] for name in base} == base


def test_name_servers_and_both_prometheus_servers_are_let_through(objects: Objects) -> None:
    folder = "overlays/openshift"
    [own] = [each for each in objects(folder, "NetworkPolicy") if each["metadata"]["name"].endswith("-openshift")]
    [deployment] = objects(folder, "Deployment")
    assert (
        own["spec"]["podSelector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    [out] = own["spec"]["egress"]
    assert {(port["protocol"], port["port"]) for port in out["ports"]} == {("UDP", 5353), ("TCP", 5353)}
    [into] = own["spec"]["ingress"]
    [watcher] = deployment["spec"]["template"]["spec"]["containers"]
    assert {port["port"] for port in into["ports"]} == {port["name"] for port in watcher["ports"]}
    [source] = into["from"]
    [namespaces] = source["namespaceSelector"]["matchExpressions"]
    assert namespaces["values"] == ["openshift-monitoring", "openshift-user-workload-monitoring"]
