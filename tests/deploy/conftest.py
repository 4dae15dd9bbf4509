"""What `kubectl apply -k` would send, folder by folder."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.kustomize import Object, render

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDERS = (
    "base",
    "overlays/annotate",
    "overlays/anomalies",
    "overlays/development",
    "overlays/inventory",
    "overlays/kubelet",
    "overlays/openshift",
    "overlays/prometheus",
    "overlays/signed",
    "influxdb",
    "telegraf",
    "trainer",
    "model-loader",
    "dask",
)

Objects = Callable[..., list[Object]]


@functools.cache
def _rendered(folder: str) -> list[Object]:
    return render(DEPLOY / folder)


@pytest.fixture(scope="session")
def objects() -> Objects:
    """Objects of a folder, all or of some kinds."""

    def choose(folder: str, *kinds: str) -> list[Object]:
        return [copy.deepcopy(each) for each in _rendered(folder) if not kinds or each["kind"] in kinds]

    return choose


def pod_specs(objects: list[Object]) -> dict[str, dict[str, Any]]:
    """Return the pods that objects would start, by name."""
    found = {}
    for each in objects:
        template = each.get("spec", {}).get("jobTemplate", each).get("spec", {}).get("template")
        if template:
            found[each["metadata"]["name"]] = template["spec"]
        elif each["kind"] == "DaskCluster":
            found |= {part: each["spec"][part]["spec"] for part in ("scheduler", "worker")}
        elif each["kind"] == "Pod":
            found[each["metadata"]["name"]] = each["spec"]
    return found
