"""What the lab needs of the machine, what is missing, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.cgroups import CGROUP_ROOT
from lab.images import ImageSource, base_image
from lab.runtime import Runtime
from podlab.errors import InputError, PodlabError

_NEEDED_DISK_BYTES = 6_000_000_000
#: Engines keep images, layers and volumes below it.
ENGINE_FOLDER = Path("/var")
#: A deployment with its load seldom writes more than a few hundred MB; some run side by side.
_LEAST_FREE_BYTES = 2_000_000_000
_NEEDED_MEMORY_BYTES = 4_000_000_000
#: Where podman looks for the init that ``--init`` starts.
_PODMANS_INIT = Path("/usr/libexec/podman/catatonit")


@dataclass(frozen=True)
class MachineCheck:
    """One thing looked at.

    Attributes
    ----------
    subject : str
        What was looked at.
    ok : bool
        Whether it is as it should be.
    stops : bool
        Whether the lab cannot run because of it; always False where ``ok``.
    said : str
        What was found.
    todo : str
        What to do; empty where ``ok``.
    """

    subject: str
    ok: bool
    said: str
    todo: str = ""
    stops: bool = False


def check(engine: str = "podman", images: ImageSource = "debian") -> list[MachineCheck]:
    """Look at everything the lab needs.

    Parameters
    ----------
    engine : {"podman", "docker"}
        The container engine.
    images : {"debian", "registry"}
        Where images shall come from.

    Returns
    -------
    list of MachineCheck
        Those that stop the lab first.
    """
    runtime = Runtime(engine)
    findings = [_check_system(), _check_user(), _check_cgroups(), _check_disk(), _check_memory()]
    findings += _check_engine(runtime)
    if images == "debian" and not any(finding.stops for finding in findings):
        findings.append(_check_debian(runtime))
    return sorted(findings, key=lambda finding: (not finding.stops, finding.ok))


def refuse_if_unfit(findings: list[MachineCheck]) -> None:
    """Raise the first finding that stops the lab.

    Raises
    ------
    InputError
        If there is one.
    """
    for finding in findings:
        if finding.stops:
            raise InputError(finding.said, where=finding.subject, hint=finding.todo)


def refuse_if_full(*folders: Path) -> None:
    """Refuse to start another deployment where one of these folders' disks is nearly full.

    Raises
    ------
    InputError
        If there is one; a recording stops, and its parts stay.
    """
    for folder in folders:
        free = shutil.disk_usage(folder).free
        if free < _LEAST_FREE_BYTES:
            raise InputError(
                f"only {free / 1e9:.1f} GB of disk are free", where=str(folder),
                hint="make room; the same command then goes on",
            )  # fmt: skip


def cgroup_layout(root: Path = CGROUP_ROOT) -> str:
    """``v2``, ``v1``, ``hybrid`` (v1 controllers beside an empty v2 tree) or ``none``."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    if not (root / "cpuacct").exists():
        return "none"
    return "hybrid" if (root / "unified").exists() else "v1"


def describe(engine: str) -> dict[str, str]:
    """Say what a data card tells of the machine; it names no host and no user."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = Runtime(engine).call(["--version"]).strip()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "memory": f"{memory_gib:.0f} GiB",
        "control groups": cgroup_layout(),
        "engine": version,
    }


def _check_system() -> MachineCheck:
    system = platform.system()
    if system != "Linux":
        return MachineCheck(
            "system", False, f"{system} has no control groups to sample", "run the lab on Linux", stops=True
        )
    return MachineCheck("system", True, f"Linux {platform.release()}")


def _check_user() -> MachineCheck:
    if os.geteuid() != 0:
        return MachineCheck(
            "user", False, "containers' files and namespaces can be read by root only", "run it as root", stops=True
        )
    return MachineCheck("user", True, "root")


def _check_cgroups() -> MachineCheck:
    layout = cgroup_layout()
    if layout == "none":
        return MachineCheck("control groups", False, "no cpuacct group and no cgroup v2", "mount cgroup v2", stops=True)
    if layout == "v2":
        return MachineCheck("control groups", True, "v2")
    return MachineCheck(
        "control groups",
        False,
        f"{layout}: block I/O counters miss what the kernel writes back later",
        "boot with cgroup v2 if they matter",
    )


def _check_disk() -> MachineCheck:
    free = shutil.disk_usage(ENGINE_FOLDER).free
    if free < _NEEDED_DISK_BYTES:
        return MachineCheck(
            "disk", False, f"{free / 1e9:.1f} GB free below /var", "free 6 GB for images and data", stops=True
        )
    return MachineCheck("disk", True, f"{free / 1e9:.0f} GB free")


def _check_memory() -> MachineCheck:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = f"{total / 2**30:.0f} GiB, {os.cpu_count()} processors"
    if total < _NEEDED_MEMORY_BYTES:
        return MachineCheck("memory", False, said, "run fewer deployments at once (--parallel 3)")
    return MachineCheck("memory", True, said)


def _check_engine(runtime: Runtime) -> list[MachineCheck]:
    if not runtime.installed():
        return [
            MachineCheck("engine", False, f"{runtime.engine} is not installed", f"install {runtime.engine}", stops=True)
        ]
    try:
        known: dict[str, Any] = json.loads(runtime.call(["info", "--format", "{{json .}}"]))
    except (PodlabError, ValueError) as error:
        return [
            MachineCheck("engine", False, f"{runtime.engine} does not answer: {error}", "see its own log", stops=True)
        ]
    low_level = str(known.get("host", {}).get("ociRuntime", {}).get("name", known.get("DefaultRuntime", "")))
    if "crun" in low_level and cgroup_layout() == "hybrid":
        return [
            MachineCheck(
                "engine", False, "crun refuses hybrid control groups", "install runc and choose it", stops=True
            )
        ]
    findings = [MachineCheck("engine", True, f"{runtime.engine} with {low_level or 'its own runtime'}")]
    if runtime.engine == "podman" and not (shutil.which("catatonit") or _PODMANS_INIT.exists()):
        # Debian only recommends it; every deployment that draws an init as its first process would die.
        findings.append(
            MachineCheck("init", False, "podman has no init for containers", "install catatonit", stops=True)
        )
    return findings


def _check_debian(runtime: Runtime) -> MachineCheck:
    if runtime.has_image(base_image("debian")):
        return MachineCheck("Debian base image", True, "there")
    if shutil.which("debootstrap") is None:
        return MachineCheck(
            "Debian base image",
            False,
            "debootstrap is not installed",
            "install it, or take official images (--images registry)",
            stops=True,
        )
    return MachineCheck("Debian base image", True, "debootstrap will make it")
