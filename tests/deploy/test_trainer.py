"""The trainer's CronJob: its command is one that podlab takes, and its rights are those it uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.report import CHAIN
from podlab.notebook.run import read_notebook
from tests.deploy.conftest import DEPLOY, Objects, pod_specs
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_node, make_pod

USER = "system:serviceaccount:podlab:podlab-trainer"


def test_what_training_asks_of_the_cluster_is_what_it_may(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [role] = objects("trainer", "ClusterRole")
    granted = {(verb, name) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    with KubeApi() as api:
        api.store.put("pods", make_pod("web"))
        api.store.put("nodes", make_node())
        api.tokens["trainer-token"] = USER
        for verb, resource in granted:
            api.allow(USER, [verb], [resource])
        monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "config", "trainer-token")))
        found = read_inventory(connect(), cluster="here")
    assert list(found["pod"]) == ["web"]
    assert {(request.verb, request.resource) for request in api.requests} == granted


def test_its_parameters_are_the_notebooks(objects: Objects) -> None:
    [spec] = pod_specs(objects("trainer")).values()
    arguments = spec["containers"][0]["args"]
    assert arguments[:2] == ["run", "--all"]
    given = dict(text.split("=", 2)[1:] for text in arguments if text.startswith("--parameter="))
    paths = [DEPLOY.parent / "notebooks" / f"{name}.ipynb" for name in CHAIN]
    known = [read_parameters(read_notebook(path), where=str(path)) for path in paths]
    for name, value in given.items():
        having = [parameters for parameters in known if name in parameters]
        assert having
        for parameters in having:
            parse_parameters(parameters, {name: value}, where="trainer")


def test_it_publishes_where_the_watcher_beside_it_looks(objects: Objects) -> None:
    together = objects("overlays/development")
    assert [each["metadata"]["name"] for each in objects("trainer", "PersistentVolumeClaim")] == ["podlab-models"]
    places = {}
    for name, prefix in (("podlab-watcher", "podlab-settings"), ("podlab-trainer", "podlab-trainer-settings")):
        [settings] = [each["data"] for each in together if (each["kind"], each["metadata"]["name"])
                      == ("ConfigMap", prefix)]  # fmt: skip
        spec = pod_specs(together)[name]
        [volume] = [each for each in spec["volumes"] if "persistentVolumeClaim" in each]
        [mount] = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == volume["name"]]
        assert settings["PODLAB_MODEL_PATH"].startswith(mount["mountPath"] + "/")
        assert mount.get("readOnly", False) is (name == "podlab-watcher")
        claim = volume["persistentVolumeClaim"]["claimName"]
        places[name] = (claim, settings["PODLAB_MODEL_PATH"].removeprefix(mount["mountPath"]))
    assert places["podlab-watcher"] == places["podlab-trainer"]
    # The volume is in place of the model that the base's image carries.
    images = {folder: pod_specs(objects(folder))["podlab-watcher"]["containers"][0]["image"].rpartition(":")[0]
              for folder in ("base", "overlays/development")}  # fmt: skip
    assert images == {"base": "localhost/podlab/model", "overlays/development": "localhost/podlab/watcher"}
