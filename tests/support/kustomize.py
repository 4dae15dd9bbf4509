"""Renders a kustomization as `kubectl apply -k` would, as far as deploy/ needs it.

Where kubectl is installed, what it renders must be the same: this stands in for it on machines that have none.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

_UNDERSTOOD = {"apiVersion", "kind", "namespace", "resources", "labels", "configMapGenerator", "replicas", "patches"}
#: Lists whose items a patch finds by one of their fields.
_MERGE_KEYS = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath"}
_CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
_HASH = re.compile(r"-[0-9a-z]{10}$")


def render(folder: Path) -> list[Object]:
    """Return the objects of a kustomization, generated names without their hash."""
    objects = _resolve(folder)
    if shutil.which("kubectl"):
        done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
        theirs = [_without_hash(each, objects) for each in yaml.safe_load_all(done.stdout)]
        assert sorted(theirs, key=identity) == sorted(objects, key=identity)
    return objects


def identity(obj: Object) -> tuple[str, str, str]:
    """Return what tells an object from all others."""
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _resolve(folder: Path) -> list[Object]:
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(plan) <= _UNDERSTOOD, f"{folder}: {set(plan) - _UNDERSTOOD} is not understood here"
    objects: list[Object] = []
    for name in plan["resources"]:
        path = folder / name
        objects += _resolve(path) if path.is_dir() else _read(path)
    for generator in plan.get("configMapGenerator", []):
        _generate(generator, folder, objects)
    for obj in objects:
        metadata = obj["metadata"]
        if "namespace" in plan and obj["kind"] not in _CLUSTER_WIDE:
            metadata["namespace"] = plan["namespace"]
        for pair in plan.get("labels", []):
            metadata.setdefault("labels", {}).update(pair["pairs"])
    for patch in plan.get("patches", []):
        for change in _read(folder / patch["path"]):
            [obj] = [
                each for each in objects if (each["kind"], identity(each)[2]) == (change["kind"], identity(change)[2])
            ]
            _merge(obj, change)
    for wanted in plan.get("replicas", []):
        [obj] = [each for each in objects if "replicas" in each.get("spec", {}) and identity(each)[2] == wanted["name"]]
        obj["spec"]["replicas"] = wanted["count"]
    assert len({identity(each) for each in objects}) == len(objects), f"{folder}: an object is there twice"
    return objects


def _read(path: Path) -> list[Object]:
    # What YAML's anchors made one object in two places becomes two.
    read: list[Object] = json.loads(json.dumps(list(yaml.safe_load_all(path.read_text()))))
    return read


def _generate(generator: Object, folder: Path, objects: list[Object]) -> None:
    assert set(generator) <= {"name", "behavior", "envs", "files", "literals"}, generator
    lines = [line for name in generator.get("envs", []) for line in (folder / name).read_text().splitlines()]
    data = {key: value for key, _, value in (line.partition("=") for line in [*lines, *generator.get("literals", [])])}
    data |= {name: (folder / name).read_text() for name in generator.get("files", [])}
    if generator.get("behavior") == "merge":
        [base] = [each for each in objects if each["kind"] == "ConfigMap" and identity(each)[2] == generator["name"]]
        base["data"] |= data
    else:
        metadata = {"name": generator["name"]}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _merge(into: Object, change: Object) -> None:
    """Change an object as a strategic merge patch does, as far as deploy/ needs it."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif key in _MERGE_KEYS:
            name = _MERGE_KEYS[key]
            for item in value:
                found = [each for each in into[key] if each[name] == item[name]]
                if item.get("$patch") == "delete":
                    into[key].remove(*found)
                elif found:
                    _merge(*found, item)
                else:
                    into[key].insert(0, item)  # as kustomize does
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


def _without_hash(obj: Object, ours: list[Object]) -> Object:
    generated = {each["metadata"]["name"] for each in ours if each["kind"] == "ConfigMap"}

    def shorten(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shorten(item) for key, item in value.items()}
        if isinstance(value, list):
            return [shorten(item) for item in value]
        short = _HASH.sub("", value) if isinstance(value, str) else value
        return short if short in generated else value

    result: Object = shorten(obj)
    return result
