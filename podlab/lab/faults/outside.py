"""Faults that come from outside the service's container: from its clients, its network and its neighbours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from podlab.errors import InputError, PodlabError
from podlab.lab import client
from podlab.lab.faults.target import Target, between, marker, runs, stop
from podlab.lab.images import CLIENT_IMAGE
from podlab.lab.matrix import PlannedFault
from podlab.lab.runtime import ContainerSpec

_NEIGHBOUR_LIFE_S = 3600
_NETWORK_TIMEOUT_S = 20.0
#: What iptables ends with when it is asked for a rule that is not there.
_NO_SUCH_RULE = 1


def ask(fault: PlannedFault, target: Target, container: str) -> None:
    """Start the fault client in a container of the load client's image; it returns when the fault acts."""
    drawn = asdict(target.deployment)
    spec = {key: drawn[key] for key in ("seed", "payload_bytes", "keys", "read_share")} | {
        "kind": fault.kind, "seconds": fault.seconds, "strength": fault.strength, "host": target.host,
        "protocol": target.service.protocol, "port": target.service.port, "paths": list(target.service.paths),
    }  # fmt: skip
    command = ["python3", "-B", "-m", "client.fault_client", marker(fault.kind), json.dumps(spec)]
    target.runtime.call(["exec", container, *command])


def begin_at_client(fault: PlannedFault, target: Target) -> None:
    """Start the fault client beside the load client."""
    ask(fault, target, target.client)


def end_at_client(fault: PlannedFault, target: Target) -> None:
    """Stop the fault client, which ends its last requests first."""
    stop(fault.kind, target.runtime, target.client)


def _loss_rules(fault: PlannedFault) -> list[list[str]]:
    """Write iptables rules that lose 4 to 50 % of the packets each way, but not on the container's own loop."""
    loss = ["-m", "statistic", "--mode", "random", "--probability", f"{between(0.04, 0.5, fault.strength):.3f}"]
    return [["INPUT", "!", "-i", "lo", *loss, "-j", "DROP"], ["OUTPUT", "!", "-o", "lo", *loss, "-j", "DROP"]]


def begin_network_loss(fault: PlannedFault, target: Target) -> None:
    """Lose packets in the container's network namespace."""
    if not _has_own_network(target):
        raise PodlabError("has ended or has no network of its own", where=target.container)
    for rule in _loss_rules(fault):
        _iptables(target, "-A", rule)


def end_network_loss(fault: PlannedFault, target: Target) -> None:
    """Lose no more packets."""
    # The rules went with the namespace of an instance that has ended.
    if not _has_own_network(target):
        return
    for rule in _loss_rules(fault):
        while _iptables(target, "-C", rule):
            _iptables(target, "-D", rule)


def _has_own_network(target: Target) -> bool:
    """Tell whether the instance still runs, in a namespace that is not the machine's."""
    try:
        if target.pid <= 0 or target.runtime.facts(target.container).pid != target.pid:
            return False
        return Path(f"/proc/{target.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except (OSError, PodlabError):
        return False


def _iptables(target: Target, action: str, rule: Sequence[str]) -> bool:
    """Call iptables in the container's network namespace, and tell whether it found the rule."""
    command = ["nsenter", "--target", str(target.pid), "--net", "iptables", "--wait", "10", action, *rule]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_NETWORK_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise InputError("nsenter is not installed", todo="install util-linux and iptables") from None
    except subprocess.TimeoutExpired:
        raise PodlabError(f"took longer than {_NETWORK_TIMEOUT_S:g} s", where="iptables") from None
    if action == "-C" and done.returncode == _NO_SUCH_RULE:
        return False
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise PodlabError(lines[-1][:500], where="iptables")
    return True


def _neighbour(target: Target) -> str:
    return f"{target.container}-neighbour"


def begin_noisy_neighbour(fault: PlannedFault, target: Target) -> None:
    """Put a busy container on one CPU, with the service on the same."""
    runtime, name = target.runtime, _neighbour(target)
    cpus = sorted(os.sched_getaffinity(0))
    cpu = str(cpus[target.deployment.seed % len(cpus)])
    runtime.create(
        ContainerSpec(
            name, CLIENT_IMAGE, ("sleep", str(_NEIGHBOUR_LIFE_S)), cpu_limit_cores=round(0.3 + 0.6 * fault.strength, 2),
            memory_limit="256m", environment={"PYTHONPATH": "/opt"},
            mounts={"/opt/client": Path(client.__file__).parent}, keep_entrypoint=False,
        )
    )  # fmt: skip
    runtime.start(name)
    # Its weight lets it take more than half of the CPU that both want.
    weight = str(round(between(1024, 8192, fault.strength)))
    runtime.call(["update", "--cpuset-cpus", cpu, "--cpu-shares", weight, name])
    runtime.call(["update", "--cpuset-cpus", cpu, target.container])
    ask(fault, target, name)


def end_noisy_neighbour(fault: PlannedFault, target: Target) -> None:
    """Remove the neighbour, and let the service on every CPU again."""
    runtime, name = target.runtime, _neighbour(target)
    if runtime.call(["ps", "--all", "--quiet", "--filter", f"name=^{name}$"]).strip():
        runtime.remove(name)
    everywhere = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    try:
        runtime.call(["update", "--cpuset-cpus", everywhere, target.container])
    except PodlabError:
        if runs(runtime, target.container):
            raise
