"""Starts one deployment: its files, its load client, its service, and the probe that samples it from birth."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import faults, page_cache
from lab.cgroups import disk_devices, make_io_count
from lab.exec_probe import ExecProbe
from lab.images import CLIENT_IMAGE, ImageSource, image_of
from lab.matrix import Deployment, PlannedFault
from lab.probe import ContainerDiedError, Probe, open_probe
from lab.runtime import ContainerSpec, Runtime, read_facts
from lab.service import Service
from lab.sites import DEFAULT_SITE, SITES, Site
from lab.specifications import client_specification, service_files, service_specification
from podlab.errors import InputError, PodlabError

#: Identity of every container of the lab; the pod's name comes with its deployment.
CLUSTER, NODE, NAMESPACE, CONTAINER = "lab", "lab-node", "lab", "main"
#: One address for the service and one for its client, in each of this many places at once.
MOST_PARALLEL = 100
_FIRST_ADDRESS = 10
#: The client reports every five seconds for twenty minutes at most; its libraries print far less than this.
_REPORT_TAIL = 2000
#: How long an earlier run may take to be ready and to load its data, and then to end by itself.
_EARLIER_RUN_S, _END_PATIENCE_S = 90.0, 10
_VERSIONS_AT_ONCE = 4


@dataclass(frozen=True)
class StopReport:
    """What is known when a deployment is stopped.

    Attributes
    ----------
    load : dict
        The load client's last report: ``ready_after_s``, ``requests``, ``errors``, ``last_error``, and ``periods``,
        what its users felt in each five seconds; empty if it never reported.
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
        self._exec_probe: ExecProbe | None = None
        if deployment.probe_by == "exec":
            self._exec_probe = ExecProbe(lambda: self.probe, deployment.probe_period_s, deployment.seed)
            self._exec_probe.start()

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

    def _target(self) -> faults.FaultTarget:
        service = self._lab.services[self._deployment.service]
        return faults.FaultTarget(
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
        if self._exec_probe is not None:
            self._exec_probe.stop()
        said = self._lab.runtime.log_tail(self._names.client, _REPORT_TAIL)
        log_tail = self._lab.runtime.log_tail(self._names.service)
        self._lab.remove(self._names)
        return StopReport(read_reports(said), log_tail)


def read_reports(lines: Sequence[str]) -> dict[str, Any]:
    """Find the load client's reports among its words; its libraries may have said something in between.

    Returns
    -------
    dict
        The last report, with the ``periods`` of all of them.
    """
    reports = []
    for line in lines:
        with contextlib.suppress(ValueError):
            report = json.loads(line)
            if isinstance(report, dict) and "period" in report:
                reports.append(report)
    if not reports:
        return {}
    last = {key: value for key, value in reports[-1].items() if key != "period"}
    return last | {"periods": [report["period"] for report in reports]}


@dataclass(frozen=True)
class _Names:
    service: str
    client: str
    volume: str | None


@dataclass(frozen=True)
class _Image:
    name: str
    size_bytes: int
    version: str


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
    site : Site
        What the machine is made to look like.
    """

    def __init__(
        self,
        runtime: Runtime,
        services: list[Service],
        source: ImageSource,
        network: str,
        subnet: str,
        folder: Path,
        site: Site = SITES[DEFAULT_SITE],
    ) -> None:
        self.runtime = runtime
        self.services = {service.name: service for service in services}
        self.source: ImageSource = source
        self.network = network
        self.folder = folder
        self._addresses = ipaddress.ip_network(subnet)
        self._site = site
        self._images: dict[str, _Image | str] = {}
        self._starting = threading.Lock()

    def prepare(self, failed: Mapping[str, str] | None = None) -> None:
        """Ask every service's version and image size, and make I/O accounting count.

        A service whose version cannot be had is refused when it shall start: the ground truth must be known before
        anything is recorded, but what one service lacks must not cost the others.

        Parameters
        ----------
        failed : mapping, optional
            Images that could not be had, and why.
        """
        self._make_io_count()
        with ThreadPoolExecutor(_VERSIONS_AT_ONCE) as pool:
            services = list(self.services.values())
            found = pool.map(lambda service: self._ask_version(service, failed or {}), services)
            self._images = {service.name: image for service, image in zip(services, found, strict=True)}

    def _ask_version(self, service: Service, failed: Mapping[str, str]) -> _Image | str:
        """Find out a service's image, or why there is none."""
        [release] = service.releases_among([self._site.release])
        image = image_of(service, self.source, release, self._site.extra_packages)
        if image in failed:
            return failed[image]
        name = f"podlab-version-{service.name}"
        try:
            container = self.runtime.create(ContainerSpec(name, image, ("sleep", "300"), keep_entrypoint=False))
            try:
                self.runtime.start(container)
                said = self.runtime.execute(container, service.version_command)
            finally:
                self.runtime.remove(container)
            version = re.search(service.version_pattern, said)
            if version is None:
                return f"no version in what it says: {said.strip()[:100]!r}"
            return _Image(image, self.runtime.image_size_bytes(image), version[1])
        except InputError:
            raise
        except PodlabError as error:
            return f"its version could not be had: {error}"

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
        image = self._images[service.name]
        if isinstance(image, str):
            raise PodlabError(image, where=service.name)
        names = _Names(
            service=f"podlab-{deployment.name}",
            client=f"podlab-{deployment.name}-client",
            volume=f"podlab-{deployment.name}" if deployment.data_in == "volume" else None,
        )
        address, client_address = self.addresses(place)
        try:
            mounts = self._write_files(deployment.name, service_files(deployment, service))
            specification = self._at_site(
                service_specification(
                    deployment, service, self.source, names.service, self.network, address, client_address, mounts,
                    self._site.extra_packages,
                )
            )  # fmt: skip
            container = self.runtime.create(specification)
            if deployment.earlier_run:
                self._run_before(deployment, names, address, client_address)
            loader = self.runtime.create(
                client_specification(deployment, service, names.client, self.network, address, client_address)
            )
            # What is evicted for one deployment may be what another has just warmed.
            with self._starting:
                self._set_page_cache(deployment, container)
                self.runtime.start(loader)
                self.runtime.start(container)
            facts = self.runtime.facts(container)
            probe = open_probe(facts)
        except ContainerDiedError as error:
            error.log_tail = self.runtime.log_tail(names.service)
            self.remove(names)
            raise
        except BaseException:
            self.remove(names)
            raise
        identity = {
            "cluster": CLUSTER, "node": NODE, "namespace": NAMESPACE, "pod": deployment.pod,
            "pod_uid": deployment.pod_uid, "container": CONTAINER, "image": image.name, "started_at": facts.started_at,
            "image_size_bytes": image.size_bytes, "service": service.name, "deployment": deployment.name,
            "variant": deployment.variant, "version": image.version, "site": deployment.site,
            "profile": deployment.profile, "role": deployment.role,
        }  # fmt: skip
        return RunningDeployment(self, deployment, names, address, identity, probe)

    def _at_site(self, specification: ContainerSpec) -> ContainerSpec:
        """Limit a service's container as its site does."""
        cores = specification.cpu_limit_cores
        if self._site.cpu_factor != 1.0:
            cores = round((cores or len(os.sched_getaffinity(0))) * self._site.cpu_factor, 2)
        return replace(specification, cpu_limit_cores=cores, disk_bytes_per_s=self._site.disk_bytes_per_s)

    def _run_before(self, deployment: Deployment, names: _Names, address: str, client_address: str) -> None:
        """Let the service run once and be loaded with data, and end it as a cluster does."""
        service = self.services[deployment.service]
        loader = self.runtime.create(
            client_specification(
                deployment, service, names.client, self.network, address, client_address, only_prepare=True
            )
        )
        self.runtime.start(names.service)
        self.runtime.start(loader)
        self.runtime.wait(loader, _EARLIER_RUN_S)
        self.runtime.stop(names.service, _END_PATIENCE_S)
        self.runtime.remove(loader)

    def _set_page_cache(self, deployment: Deployment, container: str) -> None:
        """Bring the files of a container's image and its data into the page cache, or out of it."""
        known = self.runtime.inspect(container)
        volume = read_facts(known).volume
        paths = [*page_cache.layers(known), *([volume] if volume is not None else [])]
        (page_cache.evict if deployment.page_cache == "cold" else page_cache.warm)(paths)

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
            path.write_text(content)
            path.chmod(0o644)
            mounts[target] = path
        return mounts
