"""All kinds of fault and of normal events: which services each means something to, how it is begun and ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from lab.client.fault_client import SLOW_QUERIES
from lab.client.protocols import PROTOCOLS
from lab.faults import inside, limits, outside
from lab.faults.target import FaultTarget
from lab.matrix import PlannedFault
from lab.service import Service
from podlab.errors import InputError, PodlabError

_Act = Callable[[PlannedFault, FaultTarget], None]


#: How long an event lasts, in seconds, unless its kind says otherwise.
_SECONDS = (30.0, 120.0)


@dataclass(frozen=True)
class _Kind:
    begin: _Act
    end: _Act
    applies: Callable[[Service], bool]
    is_fault: bool = True
    seconds: tuple[float, float] = _SECONDS


def applicable(service: Service, *, faults: bool = True) -> tuple[str, ...]:
    """Name the kinds of fault (or of normal events) that mean something to a service, in :data:`KINDS`' order."""
    return tuple(name for name, kind in _KINDS.items() if kind.is_fault is faults and kind.applies(service))


def is_fault(kind: str) -> bool:
    """Tell whether a kind is a fault, or a normal event that looks like one."""
    return _kind(kind).is_fault


def seconds_range(kind: str) -> tuple[float, float]:
    """Say how short and how long an event of a kind lasts."""
    return _kind(kind).seconds


def begin(fault: PlannedFault, target: FaultTarget) -> None:
    """Begin a fault, and return when it acts.

    Raises
    ------
    InputError
        If the kind is unknown or means nothing to the service, or the machine lacks a program.
    PodlabError
        If it cannot be begun; whatever of it was begun is ended.
    """
    kind = _kind(fault.kind)
    if not kind.applies(target.service):
        raise InputError(f"fault {fault.kind!r} means nothing to it", where=target.service.name)
    try:
        kind.begin(fault, target)
    except BaseException:
        with contextlib.suppress(PodlabError):
            end(fault, target)
        raise


def end(fault: PlannedFault, target: FaultTarget) -> None:
    """End a fault, and return when it is over.

    It may be called again, and when the service has crashed since: what ended with the container is over.

    Raises
    ------
    PodlabError
        If it cannot be ended though its containers run.
    """
    _kind(fault.kind).end(fault, target)


def _kind(name: str) -> _Kind:
    if name not in _KINDS:
        raise InputError(f"fault {name!r} is unknown", hint=f"known are {', '.join(KINDS)}")
    return _KINDS[name]


def _any(service: Service) -> bool:
    return True


def _is_asked(service: Service) -> bool:
    return PROTOCOLS[service.protocol].listens


def _takes_bad_requests(service: Service) -> bool:
    """Tell whether a service forgets them: MySQL blocks a client that sent many, also when it is over."""
    return _is_asked(service) and service.protocol != "mysql"


def _has_data(service: Service) -> bool:
    return service.data is not None


def _by_commands(kind: str, *, is_fault: bool, seconds: tuple[float, float] = _SECONDS) -> _Kind:
    """Describe a kind that each service states commands for, or that means nothing to it."""
    return _Kind(
        inside.begin_by_commands, inside.end_by_commands, lambda service: kind in service.faults, is_fault, seconds
    )


_KINDS = {
    "cpu-hog": _Kind(inside.begin_cpu_hog, inside.end_work, _any),
    "memory-leak": _Kind(inside.begin_memory_leak, inside.end_work, _any, seconds=(60.0, 240.0)),
    "process-leak": _Kind(inside.begin_process_leak, inside.end_work, _any, seconds=(60.0, 240.0)),
    "disk-writes": _Kind(inside.begin_disk_writes, inside.end_work, _any),
    "disk-reads": _Kind(inside.begin_disk_reads, inside.end_work, _any),
    "error-flood": _Kind(inside.begin_error_flood, inside.end_work, _any),
    "cpu-throttle": _Kind(limits.begin_cpu_throttle, limits.end_cpu_throttle, _any),
    "memory-cut": _Kind(limits.begin_memory_cut, limits.end_memory_cut, _any),
    # Clients and probes give up after ten seconds or so.
    "stall": _Kind(limits.begin_stall, limits.end_stall, _any, seconds=(8.0, 45.0)),
    "network-loss": _Kind(outside.begin_drops, outside.end_drops, _is_asked),
    "traffic-loss": _Kind(outside.begin_drops, outside.end_drops, _is_asked, seconds=(15.0, 60.0)),
    "slow-network": _Kind(outside.begin_slow_network, outside.end_slow_network, _is_asked),
    "slow-queries": _Kind(
        outside.begin_at_client, outside.end_at_client, lambda service: service.protocol in SLOW_QUERIES
    ),
    "connection-exhaustion": _Kind(outside.begin_at_client, outside.end_at_client, _is_asked),
    "bad-requests": _Kind(outside.begin_at_client, outside.end_at_client, _takes_bad_requests),
    "config-regression": _by_commands("config-regression", is_fault=True),
    "noisy-neighbour": _Kind(outside.begin_noisy_neighbour, outside.end_noisy_neighbour, _any),
    # A service that was killed is back after seconds: a longer interval would call a healthy one faulty.
    "crash": _Kind(inside.begin_crash, inside.end_nothing, _any, seconds=(10.0, 15.0)),
    # What follows looks like a fault and is none.
    "burst": _Kind(outside.begin_at_client, outside.end_at_client, _is_asked, is_fault=False),
    "traffic-ramp": _Kind(
        outside.begin_at_client, outside.end_at_client, _is_asked, is_fault=False, seconds=(60.0, 240.0)
    ),
    "cache-warming": _Kind(outside.begin_at_client, outside.end_at_client, _is_asked, is_fault=False),
    "restart": _Kind(inside.begin_restart, inside.end_nothing, _any, is_fault=False, seconds=(15.0, 25.0)),
    "reload": _by_commands("reload", is_fault=False, seconds=(5.0, 15.0)),
    "compaction": _by_commands("compaction", is_fault=False, seconds=(10.0, 30.0)),
    "backup": _Kind(inside.begin_backup, inside.end_work, _has_data, is_fault=False),
    "cron-job": _Kind(inside.begin_cron_job, inside.end_work, _any, is_fault=False),
}
#: All kinds of fault, and of normal events that look like one.
KINDS: tuple[str, ...] = tuple(_KINDS)
