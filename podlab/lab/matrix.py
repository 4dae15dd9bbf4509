"""The matrix: a recording's deployments, each with its own load, drawn from distributions.

No fixed number may stand for a pattern or a service.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from podlab.lab.service import Service

#: Each pattern's rate as a share of the service's ``heavy_requests_per_s``: drawn log-uniformly from this range.
#: For bursty and ramp it is the peak's.
_RATE_SHARE = {
    "idle": (0.0, 0.0), "steady": (0.02, 0.15), "bursty": (0.15, 0.8), "ramp": (0.1, 0.6), "heavy": (0.2, 0.8),
}  # fmt: skip
#: CPU limits, in cores. Different limits stand for faster and slower machines.
_CPU_LIMITS = (0.5, 0.75, 1.0)
#: What a configuration's memory limit is multiplied with.
_MEMORY_FACTORS = (1.0, 1.5, 2.0)
#: What a deployment is recorded for, and with it, which file it goes to.
ROLES = ("known", "unknown", "faults")


@dataclass(frozen=True)
class PlannedFault:
    """One fault of a deployment.

    Attributes
    ----------
    kind : str
        One of :data:`podlab.lab.faults.KINDS`.
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
    """One planned start of one service: which configuration, which load, and the names it gets.

    Attributes
    ----------
    name : str
        The label ``deployment``, unique in every recording.
    role : {"known", "unknown", "faults"}
        What it is recorded for.
    service, configuration, pattern, release, replicate
        Its place in the matrix; ``release`` is the Debian release of its image.
    pod, pod_uid : str
        What its container is called in the samples; neither names the service.
    seed : int
        For the load client's own draws.
    seconds : int
        How long it is sampled.
    cpu_limit_cores, memory_factor : float
        CPU limit of the service's container, and what its configuration's memory limit is multiplied with.
    start_delay_s : float
        From readiness to the load's begin.
    rate_per_s, payload_bytes, connections, keys, read_share
        The load. ``rate_per_s`` is 0 for idle, and the peak's rate for bursty and ramp.
    burst_period_s, burst_share : float
        A burst lasts ``burst_share`` of each period; meaningless for other patterns.
    ramp_period_s : float
        A ramp rises for half of it and falls for the other half; meaningless for other patterns.
    probe_period_s : float
        How often a readiness probe connects, whatever the pattern.
    cold : bool
        Whether the page cache is dropped before the start, as on a node that has just booted.
    faults : tuple of PlannedFault
        In the order of their begins; none outside the role ``faults``.
    """

    name: str
    role: str
    service: str
    configuration: str
    pattern: str
    release: str
    replicate: int
    pod: str
    pod_uid: str
    seed: int
    seconds: int
    cpu_limit_cores: float
    memory_factor: float
    start_delay_s: float
    rate_per_s: float
    payload_bytes: int
    connections: int
    keys: int
    read_share: float
    burst_period_s: float
    burst_share: float
    ramp_period_s: float
    probe_period_s: float
    cold: bool
    faults: tuple[PlannedFault, ...] = ()

    @property
    def variant(self) -> str:
        """The label ``variant``: pattern and configuration."""
        return f"{self.pattern}/{self.configuration}"


def draw_one(
    service: Service,
    configuration: str,
    pattern: str,
    release: str,
    role: str,
    seconds: int,
    replicate: int,
    chance: random.Random,
) -> Deployment:
    """Draw one deployment's names and load."""
    low, high = _RATE_SHARE[pattern]
    rate = service.heavy_requests_per_s * (_log_uniform(chance, low, high) if low else 0.0)
    return Deployment(
        name=f"{service.name}-{chance.getrandbits(40):010x}",
        role=role,
        service=service.name,
        configuration=configuration,
        pattern=pattern,
        release=release,
        replicate=replicate,
        pod=f"pod-{chance.getrandbits(32):08x}",
        pod_uid=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        seed=chance.getrandbits(30),
        seconds=seconds,
        cpu_limit_cores=chance.choice(_CPU_LIMITS),
        memory_factor=chance.choice(_MEMORY_FACTORS),
        start_delay_s=round(chance.uniform(1.0, 25.0), 1),
        rate_per_s=round(rate, 1),
        payload_bytes=round(_log_uniform(chance, 50, 4000)),
        connections=round(_log_uniform(chance, 1, 12)),
        keys=round(_log_uniform(chance, 200, 20000)),
        read_share=round(chance.uniform(0.2, 0.95), 2),
        burst_period_s=round(_log_uniform(chance, 6, 45), 1),
        burst_share=round(chance.uniform(0.15, 0.6), 2),
        ramp_period_s=round(_log_uniform(chance, 60, 300), 1),
        probe_period_s=round(chance.uniform(5, 15), 1),
        cold=chance.random() < 0.3,
    )


def _log_uniform(chance: random.Random, low: float, high: float) -> float:
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def to_json(matrix: Sequence[Deployment]) -> str:
    """Write a matrix as JSON text, the same text for the same matrix."""
    return json.dumps([asdict(deployment) for deployment in matrix], indent=1)
