"""What containers a deployment is made of: its service's and its load client's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from lab import client, knobs
from lab.images import CLIENT_IMAGE, ImageSource, image_of, uses_official_image
from lab.matrix import Deployment
from lab.runtime import ContainerSpec
from lab.service import Service

_CLIENT_CPU_CORES = 0.8
#: What the load client is told of a deployment.
_LOAD = (
    "pattern", "seed", "load_begins", "start_delay_s", "ready_poll_s", "rate_per_s", "payload_bytes", "connections",
    "keys", "read_share", "closed_loop", "burst_period_s", "burst_share", "ramp_period_s", "probe_by", "probe_period_s",
)  # fmt: skip
#: A first process that starts the service, waits for it and passes on what it is told, as many start scripts do.
_SHELL = (
    "sh",
    "-c",
    '"$@" & child=$!\n'
    'for signal in HUP INT QUIT TERM USR1 USR2; do trap "kill -$signal $child" $signal; done\n'
    "while wait $child; status=$?; kill -0 $child 2> /dev/null; do :; done\n"
    # It may have ended while a signal interrupted the wait for it, whose status is then the signal's.
    "wait $child 2> /dev/null; ended=$?\n"
    "[ $ended = 127 ] || status=$ended\n"
    "exit $status",
    "launcher",
)


def service_files(deployment: Deployment, service: Service) -> dict[str, str]:
    """Give the files of a deployment's service, by path in the container, with its draws in them."""
    texts = knobs.texts(service.knobs, deployment.values)
    return {path: knobs.fill(content, texts).lstrip("\n") for path, content in service.files.items()}


def service_specification(
    deployment: Deployment,
    service: Service,
    source: ImageSource,
    name: str,
    network: str,
    address: str,
    client_address: str,
    mounts: Mapping[str, Path],
    extra_packages: tuple[str, ...] = (),
) -> ContainerSpec:
    """Describe the service's container of a deployment.

    Its environment variable ``LAB_CLIENT`` tells the load client's address to services that ask others.
    """
    official = uses_official_image(service, source)
    texts = knobs.texts(service.knobs, deployment.values)
    command = knobs.fill_words(service.official_command if official else service.debian_command, texts)
    environment = {**service.environment, **(service.official_environment if official else service.debian_environment)}
    # An official image's entry point looks at its command's first word, which a shell would hide.
    in_shell = deployment.launcher == "shell" and not official
    return ContainerSpec(
        name=name,
        image=image_of(service, source, deployment.release, extra_packages),
        command=(*_SHELL, *command) if in_shell else command,
        network=network,
        ip=address,
        cpu_limit_cores=deployment.cpu_limit_cores,
        memory_limit=None if deployment.memory_limit_mib is None else f"{deployment.memory_limit_mib}m",
        environment={
            "LAB_CLIENT": client_address,
            **{key: knobs.fill(value, texts) for key, value in environment.items()},
        },
        mounts=mounts,
        volume=(f"podlab-{deployment.name}", service.data) if deployment.data_in == "volume" and service.data else None,
        init=deployment.launcher == "init",
    )


def client_specification(
    deployment: Deployment,
    service: Service,
    name: str,
    network: str,
    address: str,
    client_address: str,
    *,
    only_prepare: bool = False,
) -> ContainerSpec:
    """Describe the load client's container of a deployment; ``only_prepare`` for that of the run before it."""
    drawn = asdict(deployment)
    spec = {key: drawn[key] for key in _LOAD} | {
        "protocol": service.protocol, "host": address, "port": service.port, "paths": list(service.paths),
        "data_mb": float(deployment.values.get(knobs.DATA_KNOB, 0)), "only_prepare": only_prepare,
        # What an earlier run has loaded is there.
        "loads_data": only_prepare or not deployment.earlier_run,
    }  # fmt: skip
    return ContainerSpec(
        name=name,
        image=CLIENT_IMAGE,
        command=("python3", "-B", "-m", "client.load_client", json.dumps(spec)),
        network=network,
        ip=client_address,
        cpu_limit_cores=_CLIENT_CPU_CORES,
        memory_limit="512m",
        environment={"PYTHONPATH": "/opt"},
        mounts={"/opt/client": Path(client.__file__).parent},
        keep_entrypoint=False,
    )
