"""Faults that come from outside the service's container: from its clients, its network and its neighbours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lab import client
from lab.faults.target import FaultTarget, between, marker, runs, stop
from lab.images import CLIENT_IMAGE
from lab.matrix import PlannedFault
from lab.runtime import ContainerSpec
from podlab.errors import InputError, PodlabError

_NEIGHBOUR_LIFE_S = 3600
#: More would take the CPU time of the load client beside it, which measures what users feel.
_MOST_CROWD_PER_S = 400.0
_NETWORK_TIMEOUT_S = 20.0
#: What iptables ends with when it is asked for a rule that is not there.
_NO_SUCH_RULE = 1
#: What engines call a container's own network device.
_DEVICE = "eth0"
#: What waits longer than this to be sent is dropped.
_QUEUE = ("burst", "16kb", "latency", "500ms")


def ask(fault: PlannedFault, target: FaultTarget, container: str) -> None:
    """Start the fault client in a container of the load client's image; it returns when the fault acts."""
    drawn = asdict(target.deployment)
    spec = {key: drawn[key] for key in ("seed", "payload_bytes", "keys", "read_share")} | {
        "kind": fault.kind, "seconds": fault.seconds, "strength": fault.strength, "host": target.host,
        "protocol": target.service.protocol, "port": target.service.port, "paths": list(target.service.paths),
        "rate_per_s": round(_crowd_per_s(fault, target), 2),
    }  # fmt: skip
    command = ["python3", "-B", "-m", "client.fault_client", marker(fault.kind), json.dumps(spec)]
    target.runtime.call(["exec", container, *command])


def _crowd_per_s(fault: PlannedFault, target: FaultTarget) -> float:
    """Say how many requests a second a crowd sends: what takes 0.1 to 0.6 of the CPU time that there is."""
    cores = min(1.0, target.deployment.cpu_limit_cores or 1.0) * between(0.1, 0.6, fault.strength)
    return min(_MOST_CROWD_PER_S, target.service.whole_core_requests_per_s * cores)


def begin_at_client(fault: PlannedFault, target: FaultTarget) -> None:
    """Start the fault client beside the load client."""
    ask(fault, target, target.client)


def end_at_client(fault: PlannedFault, target: FaultTarget) -> None:
    """Stop the fault client, which ends its last requests first."""
    stop(fault.kind, target.runtime, target.client)


def _rules(fault: PlannedFault) -> list[list[str]]:
    """Write iptables rules that drop packets, but not on the container's own loop."""
    if fault.kind == "traffic-loss":
        return [["INPUT", "!", "-i", "lo", "-j", "DROP"]]
    loss = ["-m", "statistic", "--mode", "random", "--probability", f"{between(0.04, 0.5, fault.strength):.3f}"]
    return [["INPUT", "!", "-i", "lo", *loss, "-j", "DROP"], ["OUTPUT", "!", "-o", "lo", *loss, "-j", "DROP"]]


def begin_drops(fault: PlannedFault, target: FaultTarget) -> None:
    """Drop packets in the container's network namespace: 4 to 50 % each way, or all that arrive."""
    _refuse_without_network(target)
    for rule in _rules(fault):
        _iptables(target, "-A", rule)


def end_drops(fault: PlannedFault, target: FaultTarget) -> None:
    """Drop no more packets."""
    # The rules went with the namespace of an instance that has ended.
    if not _has_own_network(target):
        return
    for rule in _rules(fault):
        while _iptables(target, "-C", rule):
            _iptables(target, "-D", rule)


def begin_slow_network(fault: PlannedFault, target: FaultTarget) -> None:
    """Send no more than 8 Mbit/s down to 0.1 Mbit/s from the container."""
    _refuse_without_network(target)
    rate = f"{round(between(8e6, 1e5, fault.strength))}bit"
    done = _in_network(target, "tc", "qdisc", "add", "dev", _DEVICE, "root", "tbf", "rate", rate, *_QUEUE)
    _refuse_failure(done, "tc")


def end_slow_network(fault: PlannedFault, target: FaultTarget) -> None:
    """Send as fast as before."""
    if _has_own_network(target) and "tbf" in _in_network(target, "tc", "qdisc", "show", "dev", _DEVICE).stdout:
        _refuse_failure(_in_network(target, "tc", "qdisc", "del", "dev", _DEVICE, "root"), "tc")


def _refuse_without_network(target: FaultTarget) -> None:
    if not _has_own_network(target):
        raise PodlabError("has ended or has no network of its own", where=target.container)


def _has_own_network(target: FaultTarget) -> bool:
    """Tell whether the instance still runs, in a namespace that is not the machine's."""
    try:
        if target.pid <= 0 or target.runtime.facts(target.container).pid != target.pid:
            return False
        return Path(f"/proc/{target.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except (OSError, PodlabError):
        return False


def _iptables(target: FaultTarget, action: str, rule: Sequence[str]) -> bool:
    """Call iptables in the container's network namespace, and tell whether it found the rule."""
    done = _in_network(target, "iptables", "--wait", "10", action, *rule)
    if action == "-C" and done.returncode == _NO_SUCH_RULE:
        return False
    _refuse_failure(done, "iptables")
    return True


def _in_network(target: FaultTarget, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call a program of the machine in the container's network namespace."""
    command = ["nsenter", "--target", str(target.pid), "--net", program, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_NETWORK_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise InputError("nsenter is not installed", hint="install util-linux, iptables and iproute2") from None
    except subprocess.TimeoutExpired:
        raise PodlabError(f"took longer than {_NETWORK_TIMEOUT_S:g} s", where=program) from None


def _refuse_failure(done: subprocess.CompletedProcess[str], program: str) -> None:
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise PodlabError(lines[-1][:500], where=program)


def _neighbour(target: FaultTarget) -> str:
    return f"{target.container}-neighbour"


def begin_noisy_neighbour(fault: PlannedFault, target: FaultTarget) -> None:
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


def end_noisy_neighbour(fault: PlannedFault, target: FaultTarget) -> None:
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
