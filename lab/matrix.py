"""The matrix: a recording's deployments, each with its own configuration, limits and load, drawn from distributions.

No fixed number may stand for a pattern, a profile or a service, and nothing that is drawn may tell the service.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.client.protocols import PROTOCOLS
from lab.client.web import Http
from lab.knobs import Profile, profile_name
from lab.service import Service
from podlab.data.draws import Role

#: The peak's rate as a share of the service's ``whole_core_requests_per_s``: ten to the power of a number between
#: these, three decades in all.
_RATE_POWERS = {"steady": (-3.0, -1.0), "bursty": (-3.0, 0.0), "ramp": (-3.0, 0.0), "heavy": (-1.0, 0.0)}
#: A fault of a service that is hardly asked is felt by nobody.
_LEAST_POWER_WITH_FAULTS = -2.0
#: So many deployments have no CPU limit, and as many no memory limit.
_UNLIMITED_SHARE = 0.4
CPU_LIMIT_CORES = (0.25, 2.0)
#: What the memory that a service needs is multiplied with.
MEMORY_FACTOR = (1.0, 4.0)
_LAUNCHERS = ("direct", "shell", "init")
_LOAD_BEGINS = ("before", "at", "after", "after")
#: A life is longer than planned by up to this share of it, so that its end is no fixed instant.
_LONGER = 0.2


@dataclass(frozen=True)
class PlannedFault:
    """One fault of a deployment, or one normal event that looks like a fault.

    Attributes
    ----------
    kind : str
        One of :data:`lab.faults.KINDS`; :func:`lab.faults.is_fault` tells which of both it is.
    begin_s, seconds : float
        When after the container's start, and for how long.
    strength : float
        From 0 (mild) to 1 (strong); each kind says what it means.
    """

    kind: str
    begin_s: float
    seconds: float
    strength: float


@dataclass(frozen=True)
class Deployment:
    """One planned start of one service: how it is configured, limited and loaded, and the names it gets.

    Attributes
    ----------
    name : str
        The label ``deployment``, unique in every recording.
    role : {"known", "unknown", "faults", "normal"}
        What it is recorded for.
    service, site, release, pattern, profile
        Its place in the matrix; ``release`` is the Debian release of its image.
    knobs : tuple of (str, str)
        Knob and drawn value.
    pod, pod_uid : str
        What its container is called in the samples; neither names the service.
    seed : int
        For the load client's own draws.
    seconds : int
        How long it is sampled.
    data_in : {"volume", "layer", "none"}
        Where its data lie: in a volume or in the container's own layer; none if the service names no data.
    launcher : {"direct", "shell", "init"}
        What the container's first process is: the service's own command, a shell that waits for it, or an init.
    earlier_run : bool
        Whether the recorded start finds the data of a run before it.
    page_cache : {"warm", "cold"}
        Whether the files of its image and its data are in the page cache when it starts.
    cpu_limit_cores, memory_limit_mib
        Limits of the service's container; None for none.
    rate_per_s, payload_bytes, connections, keys, read_share
        The load. ``rate_per_s`` is 0 for idle, and the peak's rate for bursty and ramp.
    closed_loop : bool
        Whether each connection thinks after an answer before it asks again, as people do, instead of asking at its
        own times whatever the answers do.
    burst_period_s, burst_share : float
        A burst lasts ``burst_share`` of each period; meaningless for other patterns.
    ramp_period_s : float
        A ramp rises for half of it and falls for the other half; meaningless for other patterns.
    load_begins : {"before", "at", "after"}
        When in relation to the service's readiness.
    start_delay_s : float
        From readiness to the load's begin; 0 but for ``after``.
    ready_poll_s : float
        How often the load client looks whether the service is ready.
    probe_by : {"none", "tcp", "http", "exec"}
        How the service is probed throughout its life, whatever the pattern.
    probe_period_s : float
        How often.
    faults : tuple of PlannedFault
        In the order of their begins, none overlapping; empty but for the roles ``faults`` and ``normal``.
    """

    name: str
    role: Role
    service: str
    site: str
    release: str
    pattern: str
    profile: str
    knobs: tuple[tuple[str, str], ...]
    pod: str
    pod_uid: str
    seed: int
    seconds: int
    data_in: str
    launcher: str
    earlier_run: bool
    page_cache: str
    cpu_limit_cores: float | None
    memory_limit_mib: int | None
    rate_per_s: float
    payload_bytes: int
    connections: int
    keys: int
    read_share: float
    closed_loop: bool
    burst_period_s: float
    burst_share: float
    ramp_period_s: float
    load_begins: str
    start_delay_s: float
    ready_poll_s: float
    probe_by: str
    probe_period_s: float
    faults: tuple[PlannedFault, ...] = field(default=())

    @property
    def variant(self) -> str:
        """The label ``variant``: pattern and profile."""
        return f"{self.pattern}/{self.profile}"

    @property
    def values(self) -> dict[str, str]:
        """The drawn value of each knob."""
        return dict(self.knobs)


def draw_one(
    service: Service, *, site: str, release: str, role: Role, pattern: str, profile: Profile, seconds: int,
    chance: random.Random,
) -> Deployment:  # fmt: skip
    """Draw one deployment: its names, configuration within the profile, limits and load."""
    # Knobs come last: another knob in a service's file changes nothing else that is drawn.
    return Deployment(
        name=f"{service.name}-{chance.getrandbits(40):010x}",
        role=role,
        service=service.name,
        site=site,
        release=release,
        pattern=pattern,
        profile=profile_name(profile),
        pod=f"pod-{chance.getrandbits(32):08x}",
        pod_uid=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        seed=chance.getrandbits(30),
        seconds=round(seconds * chance.uniform(1.0, 1.0 + _LONGER)),
        **_draw_start(service, chance),
        **_draw_load(service, pattern, role, chance),
        **_draw_probes(service, chance),
        knobs=tuple((name, knob.draw(chance, profile.get(name))) for name, knob in service.knobs.items()),
    )


def _draw_start(service: Service, chance: random.Random) -> dict[str, Any]:
    data_in, earlier_run = chance.choice(("volume", "layer")), chance.random() < 0.3
    unlimited = [chance.random() < _UNLIMITED_SHARE for _ in range(2)]
    cpu_limit_cores = round(_log_uniform(chance, *CPU_LIMIT_CORES), 2)
    memory_limit_mib = math.ceil(mebibytes(service.memory_needed) * _log_uniform(chance, *MEMORY_FACTOR))
    return {
        "data_in": data_in if service.data else "none",
        "earlier_run": earlier_run and service.data is not None,
        "launcher": chance.choice(_LAUNCHERS),
        "page_cache": "cold" if chance.random() < 0.2 else "warm",
        "cpu_limit_cores": None if unlimited[0] else cpu_limit_cores,
        "memory_limit_mib": None if unlimited[1] else memory_limit_mib,
    }


def _draw_load(service: Service, pattern: str, role: Role, chance: random.Random) -> dict[str, Any]:
    share = 0.0
    power = chance.random()
    if pattern != "idle":
        low, high = _RATE_POWERS[pattern]
        low = max(low, _LEAST_POWER_WITH_FAULTS) if role in ("faults", "normal") else low
        share = 10.0 ** (low + power * (high - low))
    begins, delay_s = chance.choice(_LOAD_BEGINS), round(chance.uniform(1.0, 60.0), 1)
    return {
        "rate_per_s": float(f"{service.whole_core_requests_per_s * share:.3g}"),
        "payload_bytes": round(_log_uniform(chance, 20, 65536)),
        "connections": round(_log_uniform(chance, 1, 32)),
        "keys": round(_log_uniform(chance, 50, 50000)),
        "read_share": round(chance.uniform(0.05, 0.98), 2),
        "closed_loop": chance.random() < 1 / 3,
        "burst_period_s": round(_log_uniform(chance, 6, 45), 1),
        "burst_share": round(chance.uniform(0.15, 0.6), 2),
        "ramp_period_s": round(_log_uniform(chance, 60, 300), 1),
        "load_begins": begins,
        "start_delay_s": delay_s if begins == "after" else 0.0,
        "ready_poll_s": round(_log_uniform(chance, 0.5, 5.0), 1),
    }


def _draw_probes(service: Service, chance: random.Random) -> dict[str, Any]:
    protocol = PROTOCOLS[service.protocol]
    means = ["exec"]
    if protocol.listens:
        means.append("tcp")
    if issubclass(protocol, Http):
        means.append("http")
    probed, means_of_it = chance.random() >= 0.3, chance.choice(means)
    return {
        "probe_by": means_of_it if probed else "none",
        "probe_period_s": round(_log_uniform(chance, 2, 60), 1),
    }


def mebibytes(size: str) -> float:
    """Read a size such as ``256m`` as the container engine does.

    Examples
    --------
    >>> mebibytes("1g")
    1024.0
    """
    return float(size[:-1]) * {"b": 2**-20, "k": 2**-10, "m": 1.0, "g": 1024.0}[size[-1]]


def _log_uniform(chance: random.Random, low: float, high: float) -> float:
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def to_json(matrix: Sequence[Deployment]) -> str:
    """Write a matrix as JSON text, the same text for the same matrix."""
    return json.dumps([asdict(deployment) for deployment in matrix], indent=1)
