"""The Dask cluster: its commands exist and take their options, and nobody but podlab reaches it."""

from __future__ import annotations

import importlib

import pytest

from tests.deploy.conftest import Objects, pod_specs


@pytest.mark.parametrize("part", ["scheduler", "worker"])
def test_the_commands_take_their_options(objects: Objects, part: str) -> None:
    [container] = pod_specs(objects("dask"))[part]["containers"]
    assert container["command"][:2] == ["python3", "-m"]
    command = importlib.import_module(container["command"][2]).main
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {argument.split("=")[0] for argument in container["args"]} <= known


def test_both_run_the_trainers_image(objects: Objects) -> None:
    [spec] = pod_specs(objects("trainer")).values()
    trainer = spec["containers"][0]
    for spec in pod_specs(objects("dask")).values():
        [container] = spec["containers"]
        assert container["image"] == trainer["image"]


def test_the_service_leads_to_the_scheduler_and_only_podlab_may_use_it(objects: Objects) -> None:
    [cluster] = objects("dask", "DaskCluster")
    scheduler = cluster["spec"]["scheduler"]
    [port] = scheduler["service"]["ports"]
    [named] = scheduler["spec"]["containers"][0]["ports"]
    assert (port["targetPort"], port["port"]) == (named["name"], named["containerPort"])
    policy, of_trainer = objects("dask", "NetworkPolicy")
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= scheduler["service"]["selector"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule["from"] for rule in policy["spec"]["ingress"])
    assert of_trainer["spec"]["egress"] == [{"to": [{"podSelector": {"matchLabels": selected}}]}]
