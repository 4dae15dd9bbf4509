"""Faults, as the container engine is told of them: which services they fit, how they begin, and that they end."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab import faults
from lab.catalogue import Service, load
from lab.cgroups import Groups
from lab.faults import limits, outside
from lab.faults.target import WORKER
from lab.matrix import PlannedFault, draw_one
from lab.runtime import Runtime
from podlab.errors import InputError, PodlabError
from tests.lab.fakes import FakeRuntime

SERVICES = {service.name: service for service in load()}
INSIDE = (
    "cpu-hog", "memory-leak", "process-leak", "disk-writes", "disk-reads", "error-flood", "backup", "cron-job",
)  # fmt: skip
AT_CLIENT = (
    "slow-queries", "connection-exhaustion", "bad-requests", "burst", "traffic-ramp", "cache-warming",
)  # fmt: skip
BY_COMMANDS = ("config-regression", "reload", "compaction")


def planned(kind: str, strength: float = 0.5) -> PlannedFault:
    return PlannedFault(kind, begin_s=200.0, seconds=60.0, strength=strength)


def target(
    runtime: Runtime, name: str = "postgres", pid: int = 77, cpu_limit_cores: float | None = 0.5
) -> faults.FaultTarget:
    service = SERVICES[name]
    drawn = draw_one(
        service, site="alpha", release="bookworm", role="faults", pattern="steady", profile=service.profiles()[0],
        seconds=480, chance=random.Random(1),
    )  # fmt: skip
    deployment = replace(drawn, cpu_limit_cores=cpu_limit_cores)
    return faults.FaultTarget(runtime, "main", "client", pid, service, deployment, "net", "198.18.0.10")


def kinds_of(service: Service) -> set[str]:
    return {*faults.applicable(service), *faults.applicable(service, faults=False)}


def only_for(kind: str) -> list[Service]:
    return [service for service in SERVICES.values() if kind in kinds_of(service) and not service.unknown]


def test_every_kind_fits_several_services() -> None:
    assert all(len(only_for(kind)) >= 3 for kind in faults.KINDS)
    assert kinds_of(SERVICES["postgres"]) == set(faults.KINDS)


def test_there_are_many_kinds_of_fault_and_of_normal_events_that_look_like_one() -> None:
    kinds = [faults.is_fault(kind) for kind in faults.KINDS]
    assert kinds.count(True) >= 10
    assert kinds.count(False) >= 8
    for service in SERVICES.values():
        assert all(faults.is_fault(kind) for kind in faults.applicable(service))
        assert not any(faults.is_fault(kind) for kind in faults.applicable(service, faults=False))


def test_every_kind_says_how_long_it_lasts() -> None:
    for kind in faults.KINDS:
        shortest_s, longest_s = faults.seconds_range(kind)
        assert 0 < shortest_s < longest_s <= 240


def test_a_service_that_nobody_asks_has_no_faults_of_its_clients() -> None:
    kinds = kinds_of(SERVICES["miner"])
    assert "cpu-hog" in kinds
    assert not {"network-loss", "slow-network", "burst", "connection-exhaustion", "slow-queries"} & kinds


def test_services_state_commands_for_kinds_that_there_are() -> None:
    for service in SERVICES.values():
        assert set(service.faults) <= set(faults.KINDS)


@pytest.mark.parametrize("kind", [*INSIDE, *AT_CLIENT])
def test_what_is_begun_in_a_container_is_stopped_there_by_its_marker(kind: str) -> None:
    runtime = FakeRuntime()
    faults.begin(planned(kind), target(runtime))
    where = "main" if kind in INSIDE else "client"
    assert all(call[0] == "exec" and where in call for call in runtime.calls)
    marker = f"podlab-fault-{kind}"
    assert marker in runtime.calls[0]
    runtime.calls.clear()
    faults.end(planned(kind), target(runtime))
    faults.end(planned(kind), target(runtime))
    for call in runtime.calls:
        assert call[:7] == ["exec", where, "perl", "-e", WORKER, "stop", marker]


def test_a_worker_gets_its_strength_as_settings() -> None:
    def settings(kind: str, strength: float) -> list[str]:
        runtime = FakeRuntime()
        faults.begin(planned(kind, strength), target(runtime))
        arguments = runtime.calls[0]
        return arguments[arguments.index("work") + 4 :]

    assert settings("cpu-hog", 0.0) == ["0.2", "1"]
    assert settings("cpu-hog", 1.0) == ["0.75", "4"]
    assert settings("memory-leak", 1.0) == ["1.2", str(2**30)]
    assert settings("process-leak", 0.0) == ["8"]
    assert settings("disk-reads", 1.0) == ["120000000"]
    assert settings("disk-writes", 0.0)[:2] == ["/var/lib/postgresql/data/.podlab-fault", "2000000"]
    assert settings("error-flood", 1.0) == ["2000"]
    assert settings("backup", 0.0) == ["/var/lib/postgresql/data", "/var/lib/postgresql/data/.podlab-fault", "1"]


def test_the_fault_client_is_told_whom_to_ask() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("slow-queries", 0.25), target(runtime))
    assert runtime.calls[0][:6] == ["exec", "client", "python3", "-B", "-m", "client.fault_client"]
    spec = json.loads(runtime.calls[0][-1])
    assert (spec["kind"], spec["protocol"], spec["host"], spec["port"]) == (
        "slow-queries", "postgres", "198.18.0.10", 5432,
    )  # fmt: skip
    assert (spec["strength"], spec["seconds"]) == (0.25, 60.0)


def test_a_neighbour_shares_one_cpu_with_the_service_until_it_is_removed() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("noisy-neighbour"), target(runtime))
    pins = {call[-1]: call[call.index("--cpuset-cpus") + 1] for call in runtime.calls if call[0] == "update"}
    assert pins.keys() == {"main", "main-neighbour"}
    assert pins["main"] == pins["main-neighbour"]
    runtime.calls.clear()
    faults.end(planned("noisy-neighbour"), target(runtime))
    assert any(call[0] == "rm" and call[-1] == "main-neighbour" for call in runtime.calls)
    everywhere = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    assert runtime.calls[-1] == ["update", "--cpuset-cpus", everywhere, "main"]


def test_a_crowd_asks_for_a_share_of_the_cpu_time_that_there_is() -> None:
    def rate_per_s(strength: float, cores: float | None) -> float:
        runtime = FakeRuntime()
        faults.begin(planned("burst", strength), target(runtime, cpu_limit_cores=cores))
        return float(json.loads(runtime.calls[0][-1])["rate_per_s"])

    whole_core_per_s = SERVICES["postgres"].whole_core_requests_per_s
    assert rate_per_s(0.0, None) == pytest.approx(0.1 * whole_core_per_s, rel=0.01)
    assert rate_per_s(0.0, 0.5) == pytest.approx(0.05 * whole_core_per_s, rel=0.01)
    assert rate_per_s(1.0, None) <= 400


@pytest.mark.parametrize("kind", BY_COMMANDS)
def test_some_kinds_are_the_services_own_commands(kind: str) -> None:
    for service in only_for(kind):
        runtime = FakeRuntime()
        faults.begin(planned(kind), target(runtime, service.name))
        faults.end(planned(kind), target(runtime, service.name))
        commands = service.faults[kind]
        begun, ended = runtime.calls
        assert begun[-len(commands.begin) :] == list(commands.begin)
        assert ended[-len(commands.end) :] == list(commands.end)


def test_a_restart_is_polite_and_leaves_nothing_to_end() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("restart"), target(runtime))
    faults.end(planned("restart"), target(runtime))
    assert runtime.calls == [["stop", "--time", "10", "main"]]


def test_a_crash_kills_and_leaves_nothing_to_end() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("crash"), target(runtime))
    assert runtime.calls == [["kill", "--signal", "KILL", "main"]]
    faults.end(planned("crash"), target(runtime))
    assert len(runtime.calls) == 1


@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_fault_ends_without_complaint_when_the_container_has_died(kind: str) -> None:
    runtime = FakeRuntime(refuses=lambda call: call[0] in ("exec", "update", "unpause", "inspect"), pid=0)
    faults.end(planned(kind), target(runtime))


@pytest.mark.parametrize("kind", [*INSIDE, *AT_CLIENT, *BY_COMMANDS, "noisy-neighbour"])
def test_a_fault_that_cannot_be_ended_in_a_living_container_is_an_error(kind: str) -> None:
    runtime = FakeRuntime(refuses=lambda call: call[0] in ("exec", "update"))
    with pytest.raises(PodlabError, match="refused"):
        faults.end(planned(kind), target(runtime))


def test_a_fault_that_does_not_begin_is_ended() -> None:
    runtime = FakeRuntime(refuses=lambda call: "await" in call)
    with pytest.raises(PodlabError, match="refused"):
        faults.begin(planned("cpu-hog"), target(runtime))
    assert "stop" in runtime.calls[-1]


def test_a_kind_that_is_unknown_or_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="'gremlins' is unknown"):
        faults.begin(planned("gremlins"), target(FakeRuntime()))
    runtime = FakeRuntime()
    with pytest.raises(InputError, match="means nothing"):
        faults.begin(planned("slow-queries"), target(runtime, "nginx"))
    assert runtime.calls == []


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in program named nsenter that keeps the rules of one namespace in a file, as iptables and tc would."""
    kept, program = tmp_path / "rules", tmp_path / "nsenter"
    kept.write_text("")
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"kept = pathlib.Path({str(kept)!r})\nrules = kept.read_text().splitlines()\n"
        "assert sys.argv[1:4] == ['--target', '77', '--net']\n"
        "if sys.argv[4] == 'tc':\n"
        "    if sys.argv[6] == 'show':\n        print(rules)\n"
        "    elif sys.argv[6] == 'del':\n        assert rules, 'nothing to delete'\n        rules = []\n"
        "    else:\n        rules.append(' '.join(sys.argv[6:]))\n"
        "else:\n"
        "    assert sys.argv[4:7] == ['iptables', '--wait', '10']\n"
        "    action, rule = sys.argv[7], ' '.join(sys.argv[8:])\n"
        "    if action == '-A':\n        rules.append(rule)\n"
        "    elif rule not in rules:\n        sys.exit(1)\n"
        "    elif action == '-D':\n        rules.remove(rule)\n"
        "kept.write_text('\\n'.join(rules))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return kept


def test_packets_are_lost_both_ways_and_then_no_more(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_has_own_network", lambda _: True)
    faults.begin(planned("network-loss", 1.0), target(FakeRuntime()))
    incoming, outgoing = rules.read_text().splitlines()
    assert incoming == "INPUT ! -i lo -m statistic --mode random --probability 0.500 -j DROP"
    assert outgoing.startswith("OUTPUT ! -o lo ")
    faults.end(planned("network-loss", 1.0), target(FakeRuntime()))
    faults.end(planned("network-loss", 1.0), target(FakeRuntime()))
    assert rules.read_text() == ""


def test_all_traffic_is_lost_but_on_the_containers_own_loop(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_has_own_network", lambda _: True)
    faults.begin(planned("traffic-loss"), target(FakeRuntime()))
    assert rules.read_text() == "INPUT ! -i lo -j DROP"
    faults.end(planned("traffic-loss"), target(FakeRuntime()))
    assert rules.read_text() == ""


def test_a_network_is_slow_and_then_as_fast_as_before(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_has_own_network", lambda _: True)
    faults.begin(planned("slow-network", 1.0), target(FakeRuntime()))
    assert rules.read_text().startswith("add dev eth0 root tbf rate 100000bit ")
    faults.end(planned("slow-network", 1.0), target(FakeRuntime()))
    faults.end(planned("slow-network", 1.0), target(FakeRuntime()))
    assert rules.read_text() == ""


@pytest.fixture(params=[1, 2])
def groups(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    """Stand-ins for a container's groups with limits of half a core and 256 MiB; it holds 110 MiB."""
    version: int = request.param
    group = tmp_path / "group"
    group.mkdir()
    if version == 1:
        (group / "cpu.cfs_period_us").write_text("100000\n")
        (group / "cpu.cfs_quota_us").write_text("50000\n")
    else:
        (group / "cpu.max").write_text("50000 100000\n")
    held, shared = ("total_rss", "total_shmem") if version == 1 else ("anon", "shmem")
    kernel = f"kernel {10 * 2**20}\n" if version == 2 else ""
    (group / "memory.stat").write_text(f"{held} {60 * 2**20}\n{shared} {40 * 2**20}\nother 1\n{kernel}")
    if version == 1:
        (group / "memory.kmem.usage_in_bytes").write_text(f"{10 * 2**20}\n")
    made = Groups(group, group, group, group, None, None, version)
    monkeypatch.setattr(limits, "_groups", lambda target: made if target.pid else None)
    monkeypatch.setattr(limits, "time", FakeTime())
    taken_ns = itertools.count(0, 400_000_000)
    monkeypatch.setattr(limits, "read_counters", lambda _: {"cpu_usage_core_nanoseconds": next(taken_ns)})
    return made


class FakeTime:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def monotonic(self) -> float:
        return self.elapsed_s

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds


def cpu_quota(groups: Groups) -> str:
    name = "cpu.cfs_quota_us" if groups.version == 1 else "cpu.max"
    return (groups.cpu / name).read_text().split()[0]


def memory_limit(groups: Groups) -> str:
    return (groups.memory / ("memory.limit_in_bytes" if groups.version == 1 else "memory.max")).read_text()


class LimitedRuntime(FakeRuntime):
    """An engine that made its containers with these limits."""

    def __init__(self, cores: float = 0.5, memory_mib: int = 256) -> None:
        super().__init__()
        self.limits = f"{round(cores * 1e9)} {memory_mib * 2**20}\n"

    def call(self, arguments: Sequence[str], *, timeout_s: float = 0.0) -> str:
        return self.limits if arguments[0] == "inspect" else super().call(arguments, timeout_s=timeout_s)


def test_a_cpu_limit_is_cut_to_a_share_of_what_is_taken_and_set_back(groups: Groups) -> None:
    faults.begin(planned("cpu-throttle", 1.0), target(LimitedRuntime()))
    assert cpu_quota(groups) == str(round(0.15 * 0.2 * 100000))
    faults.begin(planned("cpu-throttle", 0.0), target(LimitedRuntime(cores=0.1)))
    assert cpu_quota(groups) == "5000"
    faults.end(planned("cpu-throttle"), target(LimitedRuntime()))
    assert cpu_quota(groups) == "50000"
    faults.end(planned("cpu-throttle"), target(LimitedRuntime(cores=0)))
    assert cpu_quota(groups) == ("-1" if groups.version == 1 else "max")


def test_a_memory_limit_is_cut_to_little_more_than_what_is_held_and_set_back(groups: Groups) -> None:
    faults.begin(planned("memory-cut", 1.0), target(LimitedRuntime()))
    assert int(memory_limit(groups)) == pytest.approx(1.1 * 110 * 2**20, abs=1)
    faults.end(planned("memory-cut"), target(LimitedRuntime()))
    assert memory_limit(groups) == str(256 * 2**20)
    faults.end(planned("memory-cut"), target(LimitedRuntime(memory_mib=0)))
    assert memory_limit(groups) == ("-1" if groups.version == 1 else "max")


def test_a_memory_limit_is_never_raised_by_a_cut(groups: Groups) -> None:
    faults.begin(planned("memory-cut", 0.0), target(LimitedRuntime(memory_mib=115)))
    assert memory_limit(groups) == str(115 * 2**20)


@pytest.mark.parametrize("kind", ["cpu-throttle", "memory-cut"])
def test_an_instance_that_has_ended_has_no_limits_to_cut(groups: Groups, kind: str) -> None:
    with pytest.raises(PodlabError, match="has ended"):
        faults.begin(planned(kind), target(FakeRuntime(), pid=0))


def test_a_stalled_service_goes_on() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("stall"), target(runtime))
    faults.end(planned("stall"), target(runtime))
    assert runtime.calls == [["pause", "main"], ["unpause", "main"]]


def test_the_machines_own_network_is_never_touched(rules: Path) -> None:
    runtime = FakeRuntime(pid=os.getpid())
    with pytest.raises(PodlabError, match="no network of its own"):
        faults.begin(planned("network-loss"), target(runtime, pid=os.getpid()))
    faults.end(planned("network-loss"), target(runtime, pid=os.getpid()))
    assert rules.read_text() == ""


def test_another_instance_than_the_one_that_was_meant_keeps_its_network(rules: Path) -> None:
    with pytest.raises(PodlabError, match="has ended"):
        faults.begin(planned("network-loss"), target(FakeRuntime(pid=78)))
