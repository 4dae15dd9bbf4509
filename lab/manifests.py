"""Writes a matrix as Kubernetes manifests, to make labelled data in a cluster of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import client
from lab.images import recipes
from lab.plan import RecordingPlan, draw
from lab.pods import CLIENT_CODE, PART_OF, Object, PodOptions, config_map, objects_of
from lab.service import Service
from lab.sites import find_site
from podlab.errors import InputError
from podlab.files import atomic_folder, names_inside

#: Made by the manifests and removed with them, unless a namespace that is there already is named.
NAMESPACE = "podlab-lab"
_KUSTOMIZATION = "kustomization.yaml"
_NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Neither version of YAML takes these for anything but text.
_PLAIN = re.compile(r"[A-Za-z][\w./ -]+", re.ASCII)


@dataclass(frozen=True)
class ManifestSummary:
    """What a folder of manifests holds.

    Attributes
    ----------
    folder : Path
        Where it is.
    namespace : str
        Where the pods will be.
    services : list of str
        Their ground truth.
    deployments : int
        Pods of services; each has a pod of its load client beside it.
    requested_cpu_cores, cpu_limit_cores : float
        Of all pods together.
    memory_limit_bytes : int
        Likewise; so much is requested as well.
    images_to_make : dict of str to str
        Image that the cluster must be able to pull -> folder of its Containerfile.
    """

    folder: Path
    namespace: str
    services: list[str]
    deployments: int
    requested_cpu_cores: float
    cpu_limit_cores: float
    memory_limit_bytes: int
    images_to_make: dict[str, str]


def write_manifests(
    folder: Path, services: Sequence[Service], plan: RecordingPlan, options: PodOptions, namespace: str | None = None
) -> ManifestSummary:
    """Write a folder for ``kubectl apply -k``: one file for each deployment, and the recipes of images to make.

    The same services, plan and options give the same bytes.

    Parameters
    ----------
    folder : Path
        Made new; an older folder of manifests is replaced.
    services : sequence of Service
        From the catalogue.
    plan : RecordingPlan
        What is drawn. Faults, long lives and most of a site mean nothing here.
    options : PodOptions
        What all pods share.
    namespace : str, optional
        One that is there already; without it, a new one.

    Raises
    ------
    InputError
        If there is nothing to draw, a name cannot stand in a manifest, ``folder`` holds something else than
        manifests, or it cannot be written.
    """
    if namespace is not None and not _NAMESPACE_NAME.fullmatch(namespace):
        raise InputError(f"{namespace!r} is not a valid name of a namespace", hint="use letters a-z, digits and '-'")
    deployments = draw(services, plan)
    by_name = {service.name: service for service in services}
    files = {"load-client.yaml": [_client_code()], "network.yaml": [_network_policy()]}
    if namespace is None:
        files["namespace.yaml"] = [_namespace()]
    # The same order as in the matrix: whoever applies the files one by one starts neighbours that differ.
    for deployment in deployments:
        files[f"{deployment.name}.yaml"] = objects_of(deployment, by_name[deployment.service], options)
    made = recipes(services, options.source, [find_site(plan.site).release])
    images = {options.own_image(image): f"images/{_folder_of(image)}" for image in made}
    _refuse_to_overwrite(folder)
    with atomic_folder(folder) as target:
        for name, objects in files.items():
            (target / name).write_text(to_yaml(objects))
        (target / _KUSTOMIZATION).write_text(to_yaml([_kustomization(namespace or NAMESPACE, list(files))]))
        for image, text in made.items():
            path = target / "images" / _folder_of(image) / "Containerfile"
            path.parent.mkdir(parents=True)
            path.write_text(text)
    pods = [each for objects in files.values() for each in objects if each["kind"] == "Pod"]
    return ManifestSummary(
        folder=folder,
        namespace=namespace or NAMESPACE,
        services=sorted(by_name),
        deployments=len(deployments),
        requested_cpu_cores=_sum(pods, "requests", "cpu"),
        cpu_limit_cores=_sum(pods, "limits", "cpu"),
        memory_limit_bytes=int(_sum(pods, "limits", "memory")),
        images_to_make=images,
    )


def to_yaml(objects: Sequence[Mapping[str, Any]]) -> str:
    """Write objects as YAML documents: files as readable blocks, and no text that YAML takes for something else."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _write_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def _client_code() -> Object:
    folder = Path(client.__file__).parent
    return config_map(CLIENT_CODE, {path.name: path.read_text() for path in sorted(folder.glob("*.py"))})


def _network_policy() -> Object:
    """Let the lab's pods talk to each other and to name servers only: their services ask for no password."""
    each_other = [{"podSelector": {"matchLabels": PART_OF}}]
    name_servers = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "podlab-lab", "labels": PART_OF},
        "spec": {
            "podSelector": {"matchLabels": PART_OF},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": each_other}],
            "egress": [{"to": each_other}, {"ports": name_servers}],
        },
    }


def _namespace() -> Object:
    # Start scripts run as root, which the level "restricted" would refuse.
    labels = PART_OF | {"pod-security.kubernetes.io/enforce": "baseline"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _kustomization(namespace: str, resources: list[str]) -> Object:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": resources,
    }


def _folder_of(image: str) -> str:
    return image.rpartition("/")[2].replace(":", "-")


def _sum(pods: Sequence[Object], kind: str, resource: str) -> float:
    factors = {"Ki": 1024.0, "Mi": 1024.0**2, "Gi": 1024.0**3, "m": 0.001}
    total = 0.0
    for pod in pods:
        text: str = pod["spec"]["containers"][0]["resources"][kind][resource]
        unit = text.lstrip("0123456789")
        total += int(text.removesuffix(unit)) * factors.get(unit, 1.0)
    return round(total, 3)


def _refuse_to_overwrite(folder: Path) -> None:
    """Never replace anything but older manifests: a folder given by mistake would be lost."""
    inside = names_inside(folder)
    try:
        listed = yaml.safe_load((folder / _KUSTOMIZATION).read_text())["resources"]
        known = {_KUSTOMIZATION, "images", *listed}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        known = set()
    if not inside <= known:
        raise InputError("holds something else than manifests", where=str(folder), hint="choose another folder")
