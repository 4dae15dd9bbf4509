"""The Kubernetes objects of one deployment of the lab: its pod, its load client's pod, and what they need."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from lab.client import load_client, protocols
from lab.client.sink import SinkSession
from lab.images import PREFIX, ImageSource, uses_official_image
from lab.matrix import CPU_LIMIT_CORES, MEMORY_FACTOR, Deployment, mebibytes
from lab.runtime import ContainerSpec
from lab.service import Service
from lab.specifications import client_specification, service_files, service_specification
from podlab.data.labels import LabelRules
from podlab.data.workloads import INSTANCE_LABEL
from podlab.errors import InputError

Object = dict[str, Any]

#: On everything the lab puts into a cluster.
PART_OF = {"app.kubernetes.io/part-of": "podlab-lab"}
CLIENT_CODE = "podlab-load-client"
_POD_LABEL = "podlab/pod"
_OWN_FOLDER = "/etc/podlab"
# A service's start script runs as root, gives folders to its user and becomes it.
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"]
_NOBODY = 65534
_DISK_LIMIT = "2Gi"
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NO_KEY = re.compile(r"[^-.\w]", re.ASCII)
_UNITS = {"b": "", "k": "Ki", "m": "Mi", "g": "Gi"}


@dataclass(frozen=True)
class PodOptions:
    """What all pods of a folder of manifests share.

    Attributes
    ----------
    source : {"debian", "registry"}
        ``registry``: official images where there are such; ``debian``: images from Debian packages for all.
    image_prefix : str
        Where the cluster finds images that are made from Debian packages.
    seconds : int
        How long each pod may run before the cluster ends it.
    """

    source: ImageSource = "registry"
    image_prefix: str = PREFIX
    seconds: int = 3600

    def own_image(self, image: str) -> str:
        """Name an image that is made from Debian packages as the cluster finds it."""
        return f"{self.image_prefix}/{image.rpartition('/')[2]}"


def objects_of(deployment: Deployment, service: Service, options: PodOptions) -> list[Object]:
    """Describe everything of one deployment.

    The service is alone in its pod, so that the label ``app.kubernetes.io/name`` says what its container is; the
    load client has a pod of its own without that label. No name of a pod tells the service.

    Parameters
    ----------
    deployment : Deployment
        From the matrix.
    service : Service
        The deployment's service.
    options : PodOptions

    Returns
    -------
    list of dict
        Kubernetes objects.

    Raises
    ------
    InputError
        If the service's name cannot be the value of a label, or a size of its has no known unit.
    """
    if not _LABEL_VALUE.fullmatch(deployment.name):
        raise InputError(
            f"the service's name {service.name!r} cannot be a Kubernetes label",
            where="name",
            hint="use at most 52 letters, digits, '-', '_' and '.'",
        )
    pod, client_pod = deployment.pod, f"{deployment.pod}-client"
    protocol = protocols.PROTOCOLS[service.protocol]
    files = service_files(deployment, service)
    objects = []
    if files:
        content = {key: files[path] for path, key in _keys(files).items()}
        objects.append(config_map(f"{pod}-files", content))
    # A name without an address of its own stands for the pod itself, with all its ports.
    objects += [
        _name_of(name) for name, needed in ((pod, protocol.listens), (client_pod, protocol is SinkSession)) if needed
    ]
    objects.append(_service_pod(deployment, service, client_pod, files, options))
    objects.append(_client_pod(deployment, service, client_pod, options))
    return objects


def config_map(name: str, content: Mapping[str, str]) -> Object:
    """Describe a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name), "data": dict(content)}


def quantity(size: str) -> str:
    """Write a size as Kubernetes does; its ``m`` would be a thousandth, not a mebibyte.

    Raises
    ------
    InputError
        If the unit is none of b, k, m and g.

    Examples
    --------
    >>> quantity("256m")
    '256Mi'
    """
    number, unit = size[:-1], size[-1:].lower()
    if unit not in _UNITS or not number.isdigit():
        raise InputError(f"size {size!r} is not a whole number and one of b, k, m, g", where="memory_limit")
    return number + _UNITS[unit]


def escape(text: str, names: Mapping[str, str]) -> str:
    """Keep Kubernetes from replacing anything in a command or an environment variable.

    It replaces ``$(NAME)`` where ``NAME`` is one of the container's environment variables, and ``$$`` by ``$``.

    Parameters
    ----------
    text : str
        As the container shall see it.
    names : mapping
        The container's environment variables.

    Examples
    --------
    >>> escape("echo $(date) $(HOME) $$", {"HOME": "/root"})
    'echo $(date) $$(HOME) $$$$'
    """
    return re.sub(
        r"\$\$|\$\(([^)]*)\)",
        lambda found: "$$$$" if found[0] == "$$" else "$" * (found[1] in names) + found[0],
        text,
    )


def _service_pod(
    deployment: Deployment, service: Service, client_pod: str, files: Mapping[str, str], options: PodOptions
) -> Object:
    specification = service_specification(deployment, service, options.source, "", "", deployment.pod, client_pod, {})
    # In a cluster that is not the lab's own, nothing is without a limit.
    most_mib = math.ceil(mebibytes(service.memory_needed) * MEMORY_FACTOR[1])
    specification = replace(
        specification,
        cpu_limit_cores=specification.cpu_limit_cores or CPU_LIMIT_CORES[1],
        memory_limit=specification.memory_limit or f"{most_mib}m",
    )
    container = _container(specification, options, official=uses_official_image(service, options.source))
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": _CAPABILITIES},
    }
    if deployment.probe_by != "none":
        container["readinessProbe"] = _probe(deployment, service)
    mounts, volumes = _mount_files(f"{deployment.pod}-files", files)
    if specification.volume is not None:
        mounts.append({"name": "data", "mountPath": specification.volume[1]})
        volumes.append({"name": "data", "emptyDir": {"sizeLimit": _DISK_LIMIT}})
    labels = {LabelRules.label_key: service.name, INSTANCE_LABEL: deployment.name}
    pod = _pod(deployment.pod, container | {"volumeMounts": mounts}, volumes, options)
    pod["metadata"]["labels"].update(labels)
    pod["metadata"]["annotations"] = {"podlab/variant": deployment.variant}
    return pod


def _probe(deployment: Deployment, service: Service) -> Object:
    means: dict[str, Object] = {
        "tcp": {"tcpSocket": {"port": service.port}},
        "http": {"httpGet": {"path": load_client.probed_path(list(service.paths)), "port": service.port}},
        "exec": {"exec": {"command": ["cat", "/proc/1/status", "/proc/loadavg"]}},
    }
    return means[deployment.probe_by] | {"periodSeconds": round(deployment.probe_period_s)}


def _client_pod(deployment: Deployment, service: Service, name: str, options: PodOptions) -> Object:
    # The cluster probes by itself, and there is no run before this one.
    alone = replace(deployment, probe_by="none", earlier_run=False)
    specification = client_specification(alone, service, name, "", deployment.pod, name)
    container = _container(specification, options, official=False)
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": _NOBODY,
        "runAsGroup": _NOBODY,
    }
    container["volumeMounts"] = [{"name": "code", "mountPath": path, "readOnly": True} for path in specification.mounts]
    return _pod(name, container, [{"name": "code", "configMap": {"name": CLIENT_CODE}}], options)


def _container(specification: ContainerSpec, options: PodOptions, *, official: bool) -> Object:
    """Write what the lab would start on one machine as a container of a pod."""
    assert specification.cpu_limit_cores is not None
    assert specification.memory_limit is not None
    memory, environment = quantity(specification.memory_limit), specification.environment
    words = [escape(word, environment) for word in specification.command]
    return {
        "name": "main",
        "image": specification.image if official else options.own_image(specification.image),
        "imagePullPolicy": "IfNotPresent",
        "args" if specification.keep_entrypoint else "command": words,
        "env": [{"name": name, "value": escape(value, environment)} for name, value in environment.items()],
        "resources": {
            "limits": {
                "cpu": f"{round(1000 * specification.cpu_limit_cores)}m",
                "memory": memory,
                "ephemeral-storage": _DISK_LIMIT,
            },
            "requests": {"cpu": "100m", "memory": memory, "ephemeral-storage": "100Mi"},
        },
    }


def _pod(name: str, container: Object, volumes: list[Object], options: PodOptions) -> Object:
    # A pod that ends is started again in its place, so that its next life counts to the same deployment.
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(name),
        "spec": {
            "activeDeadlineSeconds": options.seconds,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Always",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 5,
            "containers": [container],
            "volumes": volumes,
        },
    }


def _name_of(pod: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(pod),
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {_POD_LABEL: pod}},
    }


def _metadata(name: str) -> Object:
    return {"name": name, "labels": PART_OF | {_POD_LABEL: name}}


def _keys(files: Mapping[str, str]) -> dict[str, str]:
    """Give each file a key of a ConfigMap, which may not hold a path."""
    return {path: str(number) + "-" + _NO_KEY.sub("_", PurePosixPath(path).name) for number, path in enumerate(files)}


def _mount_files(name: str, files: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    """Mount the folder that is podlab's own as a whole, and other files one by one, beside what the image has."""
    keys = _keys(files)
    own = {path: key for path, key in keys.items() if PurePosixPath(path).is_relative_to(_OWN_FOLDER)}
    mounts: list[Object] = []
    volumes: list[Object] = []
    if own:
        items = [{"key": key, "path": str(PurePosixPath(path).relative_to(_OWN_FOLDER))} for path, key in own.items()]
        mounts.append({"name": "own-files", "mountPath": _OWN_FOLDER, "readOnly": True})
        volumes.append({"name": "own-files", "configMap": {"name": name, "items": items}})
    if len(own) < len(keys):
        mounts += [
            {"name": "files", "mountPath": path, "subPath": key, "readOnly": True}
            for path, key in keys.items()
            if path not in own
        ]
        volumes.append({"name": "files", "configMap": {"name": name}})
    return mounts, volumes
