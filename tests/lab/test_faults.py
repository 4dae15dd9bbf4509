"""Faults, as the container engine is told of them: which services they fit, how they begin, and that they end."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from podlab.errors import InputError, PodlabError
from podlab.lab import faults
from podlab.lab.catalogue import Service, load
from podlab.lab.faults import outside
from podlab.lab.faults.target import WORKER
from podlab.lab.matrix import PlannedFault, draw_one
from podlab.lab.runtime import Runtime
from tests.lab.fakes import FakeRuntime

SERVICES = {service.name: service for service in load()}
INSIDE = ("cpu-hog", "memory-leak", "disk-writes", "error-flood")
AT_CLIENT = ("slow-queries", "connection-exhaustion")


def planned(kind: str, strength: float = 0.5) -> PlannedFault:
    return PlannedFault(kind, begin_s=200.0, seconds=60.0, strength=strength)


def target(runtime: Runtime, name: str = "postgres", pid: int = 77) -> faults.Target:
    service = SERVICES[name]
    configuration = service.configurations[-1].name
    deployment = draw_one(service, configuration, "steady", "bookworm", "faults", 480, 0, random.Random(1))
    return faults.Target(runtime, "main", "client", pid, service, deployment, "net", "198.18.0.10")


def only_for(kind: str) -> list[Service]:
    return [service for service in SERVICES.values() if kind in faults.applicable(service) and not service.unknown]


def test_every_kind_fits_several_services_and_at_least_eight_have_faults() -> None:
    assert all(len(only_for(kind)) >= 4 for kind in faults.KINDS)
    assert sum(len(faults.applicable(service)) > 4 for service in SERVICES.values()) >= 8
    assert set(faults.applicable(SERVICES["postgres"])) == set(faults.KINDS)


def test_a_service_that_nobody_asks_has_no_faults_of_its_clients() -> None:
    kinds = faults.applicable(SERVICES["miner"])
    assert "cpu-hog" in kinds
    assert not {"network-loss", "connection-exhaustion", "slow-queries"} & set(kinds)


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

    cores = target(FakeRuntime()).deployment.cpu_limit_cores
    assert settings("cpu-hog", 0.0) == [str(round(0.4 * cores, 3)), "1"]
    assert settings("cpu-hog", 1.0) == [str(round(1.5 * cores, 3)), "4"]
    assert settings("memory-leak", 1.0) == ["1.2"]
    assert settings("disk-writes", 0.0)[:2] == ["/var/lib/postgresql/data/.podlab-fault", "2000000"]
    assert settings("error-flood", 1.0) == ["400"]


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


def test_a_configuration_regresses_and_recovers_by_the_services_own_commands() -> None:
    for service in only_for("config-regression"):
        runtime = FakeRuntime()
        faults.begin(planned("config-regression"), target(runtime, service.name))
        faults.end(planned("config-regression"), target(runtime, service.name))
        commands = service.faults["config-regression"]
        begun, ended = runtime.calls
        assert begun[-len(commands.begin) :] == list(commands.begin)
        assert ended[-len(commands.end) :] == list(commands.end)


def test_a_crash_kills_and_leaves_nothing_to_end() -> None:
    runtime = FakeRuntime()
    faults.begin(planned("crash"), target(runtime))
    assert runtime.calls == [["kill", "--signal", "KILL", "main"]]
    faults.end(planned("crash"), target(runtime))
    assert len(runtime.calls) == 1


@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_fault_ends_without_complaint_when_the_container_has_died(kind: str) -> None:
    runtime = FakeRuntime(refuses=lambda call: call[0] in ("exec", "update"), pid=0)
    faults.end(planned(kind), target(runtime))


@pytest.mark.parametrize("kind", [*INSIDE, *AT_CLIENT, "config-regression", "noisy-neighbour"])
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
    """A stand-in program named nsenter that keeps the rules of one namespace in a file, as iptables would."""
    kept, program = tmp_path / "rules", tmp_path / "nsenter"
    kept.write_text("")
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"kept = pathlib.Path({str(kept)!r})\nrules = kept.read_text().splitlines()\n"
        "assert sys.argv[1:7] == ['--target', '77', '--net', 'iptables', '--wait', '10']\n"
        "action, rule = sys.argv[7], ' '.join(sys.argv[8:])\n"
        "if action == '-A':\n    rules.append(rule)\n"
        "elif rule not in rules:\n    sys.exit(1)\n"
        "elif action == '-D':\n    rules.remove(rule)\n"
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


def test_the_machines_own_network_is_never_touched(rules: Path) -> None:
    runtime = FakeRuntime(pid=os.getpid())
    with pytest.raises(PodlabError, match="no network of its own"):
        faults.begin(planned("network-loss"), target(runtime, pid=os.getpid()))
    faults.end(planned("network-loss"), target(runtime, pid=os.getpid()))
    assert rules.read_text() == ""


def test_another_instance_than_the_one_that_was_meant_keeps_its_network(rules: Path) -> None:
    with pytest.raises(PodlabError, match="has ended"):
        faults.begin(planned("network-loss"), target(FakeRuntime(pid=78)))
