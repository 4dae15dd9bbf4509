"""podman or docker: the few calls the lab needs, as argument lists (nothing is ever pasted through a shell).

Everything the lab makes carries one label, and :meth:`Runtime.remove_everything` finds it by that.
"""

from __future__ import annotations

import ipaddress
import json
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.host import disk_arguments
from podlab.errors import InputError, PodlabError

#: On every container, volume and network of the lab.
LABEL = "lab=1"
ENGINES = ("podman", "docker")
_CALL_TIMEOUT_S = 120.0
#: Enough for any service here, and below what engines may have lowered their own hard limits to.
_MOST_FILES_AND_PROCESSES = 16384


@dataclass(frozen=True)
class ContainerSpec:
    """A container to create.

    Attributes
    ----------
    name, image : str
        Its name and its image.
    command : tuple of str
        Empty for the image's own.
    network, ip : str, optional
        The lab's network and the fixed address on it.
    cpu_limit_cores, memory_limit
        Limits, or None for none.
    environment : dict
        Environment variables.
    mounts : dict
        Files or folders of the host by path in the container, read-only.
    volume : tuple of (str, str), optional
        Name of a volume and its path in the container.
    disk_bytes_per_s : int, optional
        How much it may read, and how much it may write, each second; None for no limit.
    keep_entrypoint : bool
        False to run ``command`` instead of the image's entry point.
    init : bool
        Whether an init is the first process, and starts the command.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    network: str | None = None
    ip: str | None = None
    cpu_limit_cores: float | None = None
    memory_limit: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    volume: tuple[str, str] | None = None
    disk_bytes_per_s: int | None = None
    keep_entrypoint: bool = True
    init: bool = False


@dataclass(frozen=True)
class ContainerFacts:
    """What the engine knows of a started container.

    Attributes
    ----------
    pid : int
        Its first process on the host; 0 when it has ended.
    started_at : datetime
        As the engine noted it.
    layer, log, volume : Path, optional
        Its writable layer, its log file and its volume's folder on the host, where the engine tells.
    """

    pid: int
    started_at: datetime
    layer: Path | None
    log: Path | None
    volume: Path | None


class Runtime:
    """One container engine.

    Parameters
    ----------
    engine : {"podman", "docker"}
        The program to call.
    """

    def __init__(self, engine: str = "podman") -> None:
        if engine not in ENGINES:
            raise InputError(f"container engine {engine!r} is unknown", hint=f"known are {', '.join(ENGINES)}")
        self.engine = engine

    def installed(self) -> bool:
        """Tell whether the engine's program is there."""
        return shutil.which(self.engine) is not None

    def call(self, arguments: Sequence[str], *, timeout_s: float = _CALL_TIMEOUT_S) -> str:
        """Run the engine with these arguments and return what it prints.

        Raises
        ------
        PodlabError
            If it is not installed, fails or takes too long; with its last line of complaint.
        """
        what = f"{self.engine} {arguments[0]}"
        try:
            done = subprocess.run(
                [self.engine, *arguments], capture_output=True, text=True, errors="replace", timeout=timeout_s,
                check=False,
                # Ctrl-C goes to podlab, which ends the calls in order.
                start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise InputError(f"{self.engine} is not installed", hint=f"install {self.engine}") from None
        except subprocess.TimeoutExpired:
            raise PodlabError(f"took longer than {timeout_s:g} s", where=what) from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it gave no reason"]
            # While an image is made, the reason is apt's, and stands before the engine's own complaint.
            reason = next((line for line in reversed(lines) if line.startswith("E: ")), lines[-1])
            raise PodlabError(reason[:500], where=what)
        return done.stdout

    def create_arguments(self, spec: ContainerSpec) -> list[str]:
        """Write the argument list that creates a container."""
        arguments = ["create", "--name", spec.name, "--label", LABEL]
        # Without these, engines ask for their own defaults, which a machine with lower hard limits refuses.
        for limit, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
            hard = resource.getrlimit(number)[1]
            most = min(hard, _MOST_FILES_AND_PROCESSES) if hard != resource.RLIM_INFINITY else _MOST_FILES_AND_PROCESSES
            arguments += ["--ulimit", f"{limit}={most}:{most}"]
        if spec.network is not None:
            arguments += ["--network", spec.network]
        if spec.ip is not None:
            # A new address of the network card at each start would leave its clients with the one of before: they
            # reach a restarted service half a minute late, or later.
            arguments += ["--ip", spec.ip, "--mac-address", f"02:42:{ipaddress.ip_address(spec.ip).packed.hex(':')}"]
        if spec.cpu_limit_cores is not None:
            arguments += ["--cpus", f"{spec.cpu_limit_cores:g}"]
        if spec.memory_limit is not None:
            arguments += ["--memory", spec.memory_limit]
        if spec.disk_bytes_per_s is not None:
            arguments += disk_arguments(spec.disk_bytes_per_s)
        for name, value in spec.environment.items():
            arguments += ["--env", f"{name}={value}"]
        for target, source in spec.mounts.items():
            arguments += ["--volume", f"{source}:{target}:ro"]
        if spec.volume is not None:
            arguments += ["--volume", f"{spec.volume[0]}:{spec.volume[1]}"]
        if spec.init:
            arguments.append("--init")
        command = list(spec.command)
        if not spec.keep_entrypoint and command:
            arguments += ["--entrypoint", command.pop(0)]
        return [*arguments, spec.image, *command]

    def create(self, spec: ContainerSpec) -> str:
        """Create a container (and its volume) and return its identifier."""
        if spec.volume is not None:
            self.call(["volume", "create", "--label", LABEL, spec.volume[0]])
        return self.call(self.create_arguments(spec)).strip().splitlines()[-1]

    def start(self, container: str) -> None:
        """Start a created container."""
        self.call(["start", container])

    def stop(self, container: str, patience_s: int) -> None:
        """Ask a container to end, and make it after so many seconds; it can be started again."""
        self.call(["stop", "--time", str(patience_s), container])

    def wait(self, container: str, timeout_s: float) -> None:
        """Wait until a container has ended.

        Raises
        ------
        PodlabError
            If it takes longer.
        """
        self.call(["wait", container], timeout_s=timeout_s)

    def inspect(self, container: str) -> dict[str, Any]:
        """Ask everything that the engine knows of a container."""
        known: dict[str, Any] = json.loads(self.call(["inspect", container]))[0]
        return known

    def facts(self, container: str) -> ContainerFacts:
        """Ask where a started container's counters and files are."""
        return read_facts(self.inspect(container))

    def execute(self, container: str, command: Sequence[str]) -> str:
        """Run a command in a running container and return what it prints on both outputs."""
        return self.call(["exec", container, "sh", "-c", '"$@" 2>&1', "sh", *command])

    def log_tail(self, container: str, lines: int = 5) -> list[str]:
        """Read the last lines a container wrote to either output; none if they cannot be had."""
        try:
            done = subprocess.run(
                [self.engine, "logs", "--tail", str(lines), container],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=_CALL_TIMEOUT_S,
                check=False, start_new_session=True,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return []
        return done.stdout.splitlines()[-lines:] if done.returncode == 0 else []

    def remove(self, container: str, volume: str | None = None) -> None:
        """Stop and remove a container with all that belongs to it."""
        self.call([*self._removal(), container])
        if volume is not None:
            self.call(["volume", "rm", "--force", volume])

    def _removal(self) -> list[str]:
        # podman would wait ten seconds for a polite end; docker does not.
        at_once = ["--time", "0"] if self.engine == "podman" else []
        return ["rm", "--force", "--volumes", *at_once]

    def make_network(self, name: str, subnet: str, mtu: int | None = None) -> None:
        """Make a network of the lab; docker gives fixed addresses only where the subnet was chosen."""
        key = "mtu" if self.engine == "podman" else "com.docker.network.driver.mtu"
        packets = ["--opt", f"{key}={mtu}"] if mtu is not None else []
        self.call(["network", "create", "--label", LABEL, "--subnet", subnet, *packets, name])

    def has_image(self, image: str) -> bool:
        """Tell whether an image is on this machine."""
        return bool(self.call(["image", "ls", "--quiet", image]).strip())

    def image_label(self, image: str, label: str) -> str | None:
        """Read a label of an image; None if there is no such image or label."""
        if not self.has_image(image):
            return None
        known: dict[str, Any] = json.loads(self.call(["image", "inspect", image]))[0]
        labels = known.get("Labels") or (known.get("Config") or {}).get("Labels") or {}
        return labels.get(label)

    def image_size_bytes(self, image: str) -> int:
        """Read the size of an image's layers."""
        known: dict[str, Any] = json.loads(self.call(["image", "inspect", image]))[0]
        return int(known["Size"])

    def remove_everything(self) -> dict[str, int]:
        """Remove every container, volume and network that carries the lab's label; images stay.

        Returns
        -------
        dict of str to int
            How many of each were there.
        """
        counts = {}
        removals: tuple[tuple[str, list[str], list[str]], ...] = (
            ("containers", ["ps", "--all"], self._removal()),
            ("volumes", ["volume", "ls"], ["volume", "rm", "--force"]),
            ("networks", ["network", "ls"], ["network", "rm"]),
        )
        for what, listing, removal in removals:
            found = self.call([*listing, "--quiet", "--filter", f"label={LABEL}"]).split()
            counts[what] = len(found)
            if found:
                self.call([*removal, *found])
        return counts


def read_facts(known: Mapping[str, Any]) -> ContainerFacts:
    """Read what ``inspect`` of either engine says of one container."""
    log = known.get("LogPath") or (known["HostConfig"].get("LogConfig") or {}).get("Path")
    # docker's newer image store tells no layer: its size is then missing.
    layer = ((known.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    volumes = [mount["Source"] for mount in known.get("Mounts") or [] if mount.get("Type") == "volume"]
    return ContainerFacts(
        pid=int(known["State"]["Pid"]),
        started_at=datetime.fromisoformat(known["State"]["StartedAt"]),
        layer=Path(layer) if layer else None,
        log=Path(log) if log else None,
        volume=Path(volumes[0]) if volumes else None,
    )
