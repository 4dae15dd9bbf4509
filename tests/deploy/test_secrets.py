"""Secrets are named everywhere and stand nowhere."""

from __future__ import annotations

import json
import re

import kubernetes
import pytest
import yaml

from tests.deploy.conftest import DEPLOY, FOLDERS, Objects
from tests.support.kubeschema import check_object

GUIDE = (DEPLOY.parent / "docs" / "kubernetes.md").read_text()


@pytest.mark.parametrize("database", ["influxdb", "prometheus"])
def test_the_example_is_a_secret_without_a_value(database: str) -> None:
    example = yaml.safe_load((DEPLOY / f"{database}-secret.example.yaml").read_text())
    check_object(example, kubernetes.client.V1Secret, where="example")
    assert example["metadata"]["name"] == f"podlab-{database}"
    assert set(example["stringData"].values()) == {""}
    assert "data" not in example


def test_the_guide_makes_every_key_that_a_manifest_asks_for(objects: Objects) -> None:
    text = json.dumps([objects(folder) for folder in FOLDERS])
    asked = set(re.findall(r'"secretKeyRef": {"name": "podlab-influxdb", "key": "([^"]+)"}', text))
    asked |= {key for keys in re.findall(r'"secretName": "podlab-influxdb", "items": (\[.*?\])', text)
              for key in re.findall(r'"key": "([^"]+)"', keys)}  # fmt: skip
    made = set(re.findall(r"--from-file=([\w-]+)=<\(random\)", GUIDE))
    assert asked == made == {"password", "telegraf-password", "admin-password"}


def test_no_file_of_deploy_gives_a_password_or_a_token() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            for line in path.read_text().splitlines():
                given = re.search(r"(?i)(?:password|token|secret)\w*[\"']?\s*[:=]\s*[\"']?([^\s\"'{]+)", line)
                assert given is None or re.match(
                    r"\$|/|podlab-influxdb|podlab-prometheus|telegraf-influxdb|true|false|<", given[1]
                ), (
                    path,
                    line,
                )


def test_folders_that_the_guide_names_are_there() -> None:
    named = set(re.findall(r"deploy/[\w./-]+\w", GUIDE))
    assert named
    assert [name for name in sorted(named) if not (DEPLOY.parent / name).exists()] == []
