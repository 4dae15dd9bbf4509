"""Telegraf writes what podlab reads, by our manifests and by the values for Helm."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.sources.telegraf import measurements
from tests.deploy.conftest import DEPLOY, Objects, pod_specs

FOLDER = DEPLOY / "telegraf"


def _ours() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "telegraf.conf").read_text())


def _by_helm() -> dict[str, Any]:
    config = yaml.safe_load((FOLDER / "helm-values.yaml").read_text())["config"]
    # The chart writes each entry of its lists as a table of that name.
    return {
        "agent": config["agent"],
        **{
            part: {key: [value] for each in config[part] for key, value in each.items()}
            for part in ("inputs", "outputs")
        },
    }


@pytest.mark.parametrize("config", [_ours(), _by_helm()], ids=["manifest", "helm"])
def test_it_collects_the_measurements_that_podlab_reads_and_no_others(config: dict[str, Any]) -> None:
    [kubelet] = config["inputs"]["kubernetes"]
    assert set(config["inputs"]) == {"kubernetes"}
    read = {each.name for each in measurements(ORIGINAL_METRICS) if each.name.startswith("kubernetes_")}
    assert set(kubelet["namepass"]) == read
    assert kubelet["label_exclude"] == ["*"]
    assert config["agent"]["omit_hostname"] is True


@pytest.mark.parametrize("config", [_ours(), _by_helm()], ids=["manifest", "helm"])
def test_its_password_comes_from_the_environment(config: dict[str, Any]) -> None:
    [database] = config["outputs"]["influxdb"]
    assert database["password"] == "$INFLUXDB_PASSWORD"
    assert database["database"] == "telegraf"


def test_every_variable_of_its_configuration_is_set(objects: Objects) -> None:
    [spec] = pod_specs(objects("telegraf")).values()
    named = {variable["name"] for variable in spec["containers"][0]["env"]}
    text = (FOLDER / "telegraf.conf").read_text()
    assert all(f"${name}" in text for name in named)
    assert text.count("$") == len(named)


def test_users_and_databases_are_those_that_influxdb_makes(objects: Objects) -> None:
    [spec] = pod_specs(objects("influxdb")).values()
    made = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    [database] = _ours()["outputs"]["influxdb"]
    assert (database["username"], database["database"]) == (made["INFLUXDB_WRITE_USER"], made["INFLUXDB_DB"])
    for folder in ("base", "trainer"):
        [settings] = [each["data"] for each in objects(folder, "ConfigMap")]
        assert settings["PODLAB_INFLUXDB_USER"] == made["INFLUXDB_READ_USER"]
        assert settings["PODLAB_INFLUXDB_DATABASE"] == made["INFLUXDB_DB"]
