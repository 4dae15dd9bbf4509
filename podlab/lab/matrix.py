"""The matrix: every service crossed with every load pattern and every configuration, drawn with a seed.

Crossing all three keeps a pattern or a configuration from standing for a service. Each deployment draws its own
load from distributions, so that no fixed number stands for a pattern either.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from podlab.errors import InputError
from podlab.lab.catalogue import Service

#: What the load client does to a service.
PATTERNS = ("idle", "steady", "bursty", "heavy")
#: Each pattern's rate as a share of the service's ``heavy_requests_per_s``: drawn log-uniformly from this range.
_RATE_SHARE = {"idle": (0.0, 0.0), "steady": (0.04, 0.35), "bursty": (0.3, 1.0), "heavy": (0.5, 1.2)}
#: CPU limits, in cores. Different limits stand for faster and slower machines.
_CPU_LIMITS = (0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Deployment:
    """One planned start of one service: which configuration, which load, and the names it gets.

    Attributes
    ----------
    name : str
        The label ``deployment``, unique in every recording.
    service, configuration, pattern, replicate
        Its place in the matrix.
    pod, pod_uid : str
        What its container is called in the samples; neither names the service.
    seed : int
        For the load client's own draws.
    cpu_limit_cores : float
        CPU limit of the service's container.
    start_delay_s : float
        From readiness to the load's begin.
    rate_per_s, payload_bytes, connections, keys, read_share
        The load. ``rate_per_s`` is 0 for idle, and the burst's rate for bursty.
    burst_period_s, burst_share : float
        A burst lasts ``burst_share`` of each period; meaningless for other patterns.
    probe_period_s : float
        How often a readiness probe connects, whatever the pattern.
    cold : bool
        Whether the page cache is dropped before the start, as on a node that has just booted.
    """

    name: str
    service: str
    configuration: str
    pattern: str
    replicate: int
    pod: str
    pod_uid: str
    seed: int
    cpu_limit_cores: float
    start_delay_s: float
    rate_per_s: float
    payload_bytes: int
    connections: int
    keys: int
    read_share: float
    burst_period_s: float
    burst_share: float
    probe_period_s: float
    cold: bool

    @property
    def variant(self) -> str:
        """The label ``variant``: pattern and configuration."""
        return f"{self.pattern}/{self.configuration}"


def draw(
    services: Sequence[Service],
    patterns: Sequence[str] = PATTERNS,
    replicates: int = 1,
    seed: int = 0,
) -> list[Deployment]:
    """Draw the deployments of a recording, in the order of their starts.

    The order is a randomised block design: each block holds one deployment of every service in random order, and
    each service's variants are spread over the blocks at random. So neighbours in time are different services, and
    time stands for none.

    Parameters
    ----------
    services : sequence of Service
        From the catalogue.
    patterns : sequence of str
        From :data:`PATTERNS`.
    replicates : int
        How many deployments of every (service, pattern, configuration).
    seed : int
        The same arguments and seed give the same matrix.

    Raises
    ------
    InputError
        If there is nothing to draw or a pattern is unknown.
    """
    if not services or not patterns or replicates < 1:
        raise InputError("the matrix is empty", todo="give at least one service, one pattern and one replicate")
    for pattern in patterns:
        if pattern not in PATTERNS:
            raise InputError(f"load pattern {pattern!r} is unknown", todo=f"known are {', '.join(PATTERNS)}")
    chance = random.Random(seed)
    columns = []
    for service in services:
        variants = [
            _draw_one(service, configuration.name, pattern, replicate, chance)
            for configuration in service.configurations
            for pattern in patterns
            for replicate in range(replicates)
        ]
        chance.shuffle(variants)
        columns.append(variants)
    order = []
    for block in range(max(len(column) for column in columns)):
        neighbours = [column[block] for column in columns if block < len(column)]
        chance.shuffle(neighbours)
        order += neighbours
    return order


def _draw_one(service: Service, configuration: str, pattern: str, replicate: int, chance: random.Random) -> Deployment:
    low, high = _RATE_SHARE[pattern]
    rate = service.heavy_requests_per_s * (_log_uniform(chance, low, high) if low else 0.0)
    return Deployment(
        name=f"{service.name}-{chance.getrandbits(40):010x}",
        service=service.name,
        configuration=configuration,
        pattern=pattern,
        replicate=replicate,
        pod=f"pod-{chance.getrandbits(32):08x}",
        pod_uid=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        seed=chance.getrandbits(30),
        cpu_limit_cores=chance.choice(_CPU_LIMITS),
        start_delay_s=round(chance.uniform(1.0, 25.0), 1),
        rate_per_s=round(rate, 1),
        payload_bytes=round(_log_uniform(chance, 50, 4000)),
        connections=round(_log_uniform(chance, 1, 12)),
        keys=round(_log_uniform(chance, 200, 20000)),
        read_share=round(chance.uniform(0.2, 0.95), 2),
        burst_period_s=round(_log_uniform(chance, 6, 45), 1),
        burst_share=round(chance.uniform(0.15, 0.6), 2),
        probe_period_s=round(chance.uniform(5, 15), 1),
        cold=chance.random() < 0.3,
    )


def _log_uniform(chance: random.Random, low: float, high: float) -> float:
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def to_json(matrix: Sequence[Deployment]) -> str:
    """Write a matrix as JSON text, the same text for the same matrix."""
    return json.dumps([asdict(deployment) for deployment in matrix], indent=1)
