"""Starts one deployment: its files, its load client, its service, and the probe that samples it from birth."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podlab.errors import PodlabError
from podlab.lab import faults
from podlab.lab.cgroups import disk_devices, make_io_count
from podlab.lab.images import CLIENT_IMAGE, ImageSource, image_of
from podlab.lab.matrix import Deployment, PlannedFault
from podlab.lab.probe import Probe, open_probe
from podlab.lab.runtime import ContainerSpec, Runtime
from podlab.lab.service import RELEASES, Service
from podlab.lab.specifications import client_specification, service_specification

#: Identity of every container of the lab; the pod's name comes with its deployment.
CLUSTER, NODE, NAMESPACE, CONTAINER = "lab", "lab-node", "lab", "main"
#: One address for the service and one for its client, in each of this many places at once.
MOST_PARALLEL = 100
_FIRST_ADDRESS = 10
#: The client reports every five seconds; what its libraries print between two reports is far less than this.
_REPORT_TAIL = 50
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

    def __init__(
        self, lab: Lab, deployment: Deployment, names: _Names, address: str, identity: dict[str, Any], probe: Probe
    ) -> None:
        self.identity = identity
        self.probe = probe
        self._lab = lab
        self._deployment = deployment
        self._names = names
        self._address = address

    def begin_fault(self, fault: PlannedFault) -> None:
        """Begin a fault; it acts when this returns."""
        faults.begin(fault, self._target())

    def end_fault(self, fault: PlannedFault) -> None:
        """End a fault; it is over when this returns."""
        faults.end(fault, self._target())

    def restart(self) -> None:
        """Start the ended service again, as a cluster does: a new instance with a start of its own.

        Raises
        ------
        PodlabError
            If the engine refuses.
        ContainerDiedError
            If it ended at once.
        """
        self._lab.runtime.start(self._names.service)
        facts = self._lab.runtime.facts(self._names.service)
        self.probe = open_probe(facts)
        self.identity = {**self.identity, "started_at": facts.started_at}

    def _target(self) -> faults.Target:
        service = self._lab.services[self._deployment.service]
        return faults.Target(
            runtime=self._lab.runtime,
            container=self._names.service,
            client=self._names.client,
            pid=self.probe.facts.pid,
            service=service,
            deployment=self._deployment,
            network=self._lab.network,
            host=self._address,
        )

    def stop(self) -> StopReport:
        """Remove the service, its volume and its client, and tell how it went."""
        said = self._lab.runtime.log_tail(self._names.client, _REPORT_TAIL)
        log_tail = self._lab.runtime.log_tail(self._names.service)
        self._lab.remove(self._names)
        return StopReport(last_report(said), log_tail)


def last_report(lines: Sequence[str]) -> dict[str, Any]:
    """Find the load client's last report among its last words: its libraries may have said something since."""
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            report = json.loads(line)
            if isinstance(report, dict):
                return report
    return {}


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
    releases : sequence of str
        Debian releases that images were made from.
    """

    def __init__(
        self,
        runtime: Runtime,
        services: list[Service],
        source: ImageSource,
        network: str,
        subnet: str,
        folder: Path,
        releases: Sequence[str] = RELEASES[:1],
    ) -> None:
        self.runtime = runtime
        self.services = {service.name: service for service in services}
        self.source: ImageSource = source
        self.network = network
        self.folder = folder
        self._addresses = ipaddress.ip_network(subnet)
        self._releases = releases
        self._images: dict[tuple[str, str], tuple[str, int, str]] = {}

    def prepare(self) -> None:
        """Ask every service's versions and image sizes, and make I/O accounting count.

        Raises
        ------
        PodlabError
            If a version cannot be had: the ground truth must be known before anything is recorded.
        """
        self._make_io_count()
        images = [(each, release) for each in self.services.values() for release in each.releases_among(self._releases)]
        for service, release in images:
            image = image_of(service, self.source, release)
            name = f"podlab-version-{service.name}-{release}"
            container = self.runtime.create(ContainerSpec(name, image, ("sleep", "300"), keep_entrypoint=False))
            try:
                self.runtime.start(container)
                said = self.runtime.execute(container, service.version_command)
            finally:
                self.runtime.remove(container)
            version = re.search(service.version_pattern, said)
            if version is None:
                raise PodlabError(f"no version in what it says: {said.strip()[:100]!r}", where=service.name)
            self._images[service.name, release] = (image, self.runtime.image_size_bytes(image), version[1])

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
        image, image_size_bytes, version = self._images[service.name, deployment.release]
        if deployment.cold:
            drop_page_cache()
        try:
            loader = self.runtime.create(
                client_specification(deployment, service, names.client, self.network, address, client_address)
            )
            self.runtime.start(loader)
            mounts = self._write_files(deployment.name, {**service.files, **configuration.files})
            specification = service_specification(
                deployment, service, self.source, names.service, self.network, address, client_address, mounts
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
        return RunningDeployment(self, deployment, names, address, identity, probe)

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


def drop_page_cache() -> None:
    """Make the next start read from disk; without the right to it, starts stay warm."""
    with contextlib.suppress(OSError):
        _DROP_CACHES.write_text("1\n")
