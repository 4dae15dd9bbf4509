"""Starts one deployment: its files, its load client, its service, and the probe that samples it from birth."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from podlab.errors import PodlabError
from podlab.lab import client
from podlab.lab.catalogue import Configuration, Service
from podlab.lab.cgroups import disk_devices, make_io_count
from podlab.lab.images import CLIENT_IMAGE, ImageSource, image_of, uses_official_image
from podlab.lab.matrix import Deployment
from podlab.lab.probe import Probe, open_probe
from podlab.lab.runtime import ContainerSpec, Runtime

#: Identity of every container of the lab; the pod's name comes with its deployment.
CLUSTER, NODE, NAMESPACE, CONTAINER = "lab", "lab-node", "lab", "main"
#: One address for the service and one for its client, in each of this many places at once.
MOST_PARALLEL = 100
_FIRST_ADDRESS = 10
_CLIENT_CPU_CORES = 0.6
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True)
class StopReport:
    """What is known when a deployment is stopped.

    Attributes
    ----------
    load : dict
        The load client's last report: ``ready_after_s``, ``requests``, ``errors``, ``last_error``; empty if it never
        reported.
    log_tail : list of str
        The service's last words.
    """

    load: Mapping[str, Any]
    log_tail: list[str]


class RunningDeployment:
    """A started deployment.

    Attributes
    ----------
    identity : dict
        The identity and label columns that all its rows share, and ``image_size_bytes``.
    probe : Probe
        Takes its samples.
    """

    def __init__(self, lab: Lab, names: _Names, identity: dict[str, Any], probe: Probe) -> None:
        self.identity = identity
        self.probe = probe
        self._lab = lab
        self._names = names

    def stop(self) -> StopReport:
        """Remove the service, its volume and its client, and tell how it went."""
        reports = self._lab.runtime.log_tail(self._names.client, 1)
        log_tail = self._lab.runtime.log_tail(self._names.service)
        self._lab.remove(self._names)
        load: dict[str, Any] = {}
        if reports:
            with contextlib.suppress(ValueError):
                load = json.loads(reports[-1])
        return StopReport(load if isinstance(load, dict) else {}, log_tail)


@dataclass(frozen=True)
class _Names:
    service: str
    client: str
    volume: str | None


class Lab:
    """A prepared lab: images, network, versions.

    Parameters
    ----------
    runtime : Runtime
        The container engine.
    services : list of Service
        Everything that may be started.
    source : {"debian", "registry"}
        Where the images came from.
    network, subnet : str
        The lab's network.
    folder : Path
        For configuration files; made when needed.
    """

    def __init__(
        self, runtime: Runtime, services: list[Service], source: ImageSource, network: str, subnet: str, folder: Path
    ) -> None:
        self.runtime = runtime
        self.services = {service.name: service for service in services}
        self.source: ImageSource = source
        self.network = network
        self.folder = folder
        self._addresses = ipaddress.ip_network(subnet)
        self._images: dict[str, tuple[str, int, str]] = {}

    def prepare(self) -> dict[str, str]:
        """Ask every service's version and image size, and make I/O accounting count.

        Returns
        -------
        dict of str to str
            Version by service name.

        Raises
        ------
        PodlabError
            If a version cannot be had: the ground truth must be known before anything is recorded.
        """
        self._make_io_count()
        for service in self.services.values():
            image = image_of(service, self.source)
            name = f"podlab-version-{service.name}"
            container = self.runtime.create(ContainerSpec(name, image, ("sleep", "300"), keep_entrypoint=False))
            try:
                self.runtime.start(container)
                said = self.runtime.execute(container, service.version_command)
            finally:
                self.runtime.remove(container)
            version = re.search(service.version_pattern, said)
            if version is None:
                raise PodlabError(f"no version in what it says: {said.strip()[:100]!r}", where=service.name)
            self._images[service.name] = (image, self.runtime.image_size_bytes(image), version[1])
        return {name: version for name, (_, _, version) in self._images.items()}

    def _make_io_count(self) -> None:
        """Let any container show where the engine puts its groups, and switch the accounting on there."""
        name = "podlab-groups"
        container = self.runtime.create(ContainerSpec(name, CLIENT_IMAGE, ("sleep", "300"), keep_entrypoint=False))
        try:
            self.runtime.start(container)
            make_io_count(open_probe(self.runtime.facts(container)).groups, disk_devices())
        finally:
            self.runtime.remove(container)

    def start(self, deployment: Deployment, place: int) -> RunningDeployment:
        """Start a deployment's load client and its service.

        The client is started first and waits for the service, so that nothing stands between the service's birth
        and its first sample.

        Parameters
        ----------
        deployment : Deployment
            What to start.
        place : int
            From 0, below :data:`MOST_PARALLEL`; no two running deployments may share one.

        Raises
        ------
        PodlabError
            If the engine refuses; nothing is left behind.
        ContainerDiedError
            If the service ended at once; nothing is left behind.
        """
        service = self.services[deployment.service]
        configuration = service.configuration(deployment.configuration)
        names = _Names(
            service=f"podlab-{deployment.name}",
            client=f"podlab-{deployment.name}-client",
            volume=f"podlab-{deployment.name}" if configuration.volume else None,
        )
        address, client_address = self.addresses(place)
        image, image_size_bytes, version = self._images[service.name]
        if deployment.cold:
            drop_page_cache()
        try:
            loader = self.runtime.create(
                client_specification(deployment, service, names.client, self.network, address, client_address)
            )
            self.runtime.start(loader)
            mounts = self._write_files(deployment.name, {**service.files, **configuration.files})
            specification = service_specification(
                deployment, service, self.source, names.service, self.network, address, mounts
            )
            container = self.runtime.create(specification)
            self.runtime.start(container)
            facts = self.runtime.facts(container)
            probe = open_probe(facts)
        except BaseException:
            self.remove(names)
            raise
        identity = {
            "cluster": CLUSTER, "node": NODE, "namespace": NAMESPACE, "pod": deployment.pod,
            "pod_uid": deployment.pod_uid, "container": CONTAINER, "image": image, "started_at": facts.started_at,
            "image_size_bytes": image_size_bytes, "service": service.name, "deployment": deployment.name,
            "variant": deployment.variant, "version": version,
        }  # fmt: skip
        return RunningDeployment(self, names, identity, probe)

    def addresses(self, place: int) -> tuple[str, str]:
        """Give the fixed addresses of the service and of its client at a place."""
        first = _FIRST_ADDRESS + 2 * place
        return str(self._addresses[first]), str(self._addresses[first + 1])

    def remove(self, names: _Names) -> None:
        """Remove what a deployment made, whatever of it there is."""
        for container, volume in ((names.client, None), (names.service, names.volume)):
            with contextlib.suppress(PodlabError):
                self.runtime.remove(container, volume)

    def _write_files(self, name: str, files: Mapping[str, str]) -> dict[str, Path]:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        mounts = {}
        for number, (target, content) in enumerate(files.items()):
            path = folder / f"{number}-{Path(target).name}"
            path.write_text(content.lstrip("\n"))
            path.chmod(0o644)
            mounts[target] = path
        return mounts


def service_specification(
    deployment: Deployment,
    service: Service,
    source: ImageSource,
    name: str,
    network: str,
    address: str,
    mounts: Mapping[str, Path],
) -> ContainerSpec:
    """Describe the service's container of a deployment."""
    configuration: Configuration = service.configuration(deployment.configuration)
    official = uses_official_image(service, source)
    command = service.official_command if official else service.debian_command
    image_environment = service.official_environment if official else service.debian_environment
    return ContainerSpec(
        name=name,
        image=image_of(service, source),
        command=(*command, *configuration.arguments),
        network=network,
        ip=address,
        cpu_limit_cores=deployment.cpu_limit_cores,
        memory_limit=configuration.memory_limit,
        environment={**service.environment, **image_environment, **configuration.environment},
        mounts=mounts,
        volume=(f"podlab-{deployment.name}", configuration.volume) if configuration.volume else None,
    )


def client_specification(
    deployment: Deployment, service: Service, name: str, network: str, address: str, client_address: str
) -> ContainerSpec:
    """Describe the load client's container of a deployment."""
    wanted = (
        "pattern", "seed", "start_delay_s", "rate_per_s", "payload_bytes", "connections", "keys", "read_share",
        "burst_period_s", "burst_share", "probe_period_s",
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


def drop_page_cache() -> None:
    """Make the next start read from disk; without the right to it, starts stay warm."""
    with contextlib.suppress(OSError):
        _DROP_CACHES.write_text("1\n")
