"""What containers a deployment is made of: its service's and its load client's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from podlab.lab import client
from podlab.lab.images import CLIENT_IMAGE, ImageSource, image_of, uses_official_image
from podlab.lab.matrix import Deployment
from podlab.lab.runtime import ContainerSpec
from podlab.lab.service import Configuration, Service

_CLIENT_CPU_CORES = 0.6


def service_specification(
    deployment: Deployment,
    service: Service,
    source: ImageSource,
    name: str,
    network: str,
    address: str,
    client_address: str,
    mounts: Mapping[str, Path],
) -> ContainerSpec:
    """Describe the service's container of a deployment.

    Its environment variable ``LAB_CLIENT`` tells the load client's address to services that ask others.
    """
    configuration: Configuration = service.configuration(deployment.configuration)
    official = uses_official_image(service, source)
    command = service.official_command if official else service.debian_command
    image_environment = service.official_environment if official else service.debian_environment
    return ContainerSpec(
        name=name,
        image=image_of(service, source, deployment.release),
        command=(*command, *configuration.arguments),
        network=network,
        ip=address,
        cpu_limit_cores=deployment.cpu_limit_cores,
        memory_limit=scale_size(configuration.memory_limit, deployment.memory_factor),
        environment={
            "LAB_CLIENT": client_address,
            **service.environment,
            **image_environment,
            **configuration.environment,
        },
        mounts=mounts,
        volume=(f"podlab-{deployment.name}", configuration.volume) if configuration.volume else None,
    )


def client_specification(
    deployment: Deployment, service: Service, name: str, network: str, address: str, client_address: str
) -> ContainerSpec:
    """Describe the load client's container of a deployment."""
    wanted = (
        "pattern", "seed", "start_delay_s", "rate_per_s", "payload_bytes", "connections", "keys", "read_share",
        "burst_period_s", "burst_share", "ramp_period_s", "probe_period_s",
    )  # fmt: skip
    drawn = asdict(deployment)
    spec = {key: drawn[key] for key in wanted} | {
        "protocol": service.protocol, "host": address, "port": service.port, "paths": list(service.paths),
    }  # fmt: skip
    return ContainerSpec(
        name=name,
        image=CLIENT_IMAGE,
        command=("python3", "-B", "-m", "client.load_client", json.dumps(spec)),
        network=network,
        ip=client_address,
        cpu_limit_cores=_CLIENT_CPU_CORES,
        memory_limit="256m",
        environment={"PYTHONPATH": "/opt"},
        mounts={"/opt/client": Path(client.__file__).parent},
        keep_entrypoint=False,
    )


def scale_size(size: str, factor: float) -> str:
    """Multiply a size such as ``256m``; a whole number and the same unit come out."""
    return f"{round(float(size[:-1]) * factor)}{size[-1]}"
