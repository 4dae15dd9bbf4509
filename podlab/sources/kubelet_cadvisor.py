"""What a kubelet's ``/metrics/cadvisor`` tells beyond its Summary: block I/O, processes, throttling, packets.

cAdvisor, which measured both, tells milliseconds: where both tell of the same second, the sample has those.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.exposition import Series, read_family
from podlab.sources.kubelet_stats import MISSING, NS_PER_S, Reading
from podlab.sources.nearest import Ints
from podlab.sources.prometheus_series import container_of, is_at, pod_of

CADVISOR: Final = "/metrics/cadvisor"
_MS_PER_S: Final = 1000
_NS_PER_MS: Final = 1_000_000
_MOST: Final = 2**63 - 1
_NETWORK_TIME: Final = AGES["network"]


@dataclass
class _Life:
    """What one life of a container, or of a pod's sandbox, counted of one metric."""

    taken_ms: int = MISSING
    total: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def add(self, series: Series, place: PrometheusPlace) -> None:
        self.taken_ms = max(self.taken_ms, MISSING if series.time_ms is None else series.time_ms)
        self.parts[series.labels.get(place.part or "", "")] = series.value

    def value(self, place: PrometheusPlace) -> float:
        whole = self.parts.get(place.whole) if place.whole is not None else None
        return (sum(self.parts.values()) if whole is None else whole) * place.scale


def needs_cadvisor(columns: Collection[str]) -> bool:
    """Tell whether some of these metrics are told by cAdvisor only."""
    return any(CATALOGUE[name].kubelet is None for name in columns if name in CATALOGUE and _place_of(name))


def add_cadvisor(reading: Reading, answer: bytes, node: str, *, tolerance_s: float) -> None:
    """Fill in what the Summary told of no container, all devices together, and when to the millisecond.

    cAdvisor measures a container at its own time; a value that was taken more than ``tolerance_s`` before or after the
    sample stays missing. Where a container was just restarted, both of its lives may be told of; the later one counts.

    Raises
    ------
    PodlabError
        If it is no such answer, or breaks off.
    """
    containers: dict[tuple[str, ...], list[int]] = {
        (each.namespace, each.pod, each.container): [n] for n, each in enumerate(reading.instances)
    }
    pods: dict[tuple[str, ...], list[int]] = {}
    for number, each in enumerate(reading.instances):
        pods.setdefault((each.namespace, each.pod), []).append(number)
    network_ns = reading.column(_NETWORK_TIME) if _NETWORK_TIME in reading.columns else None
    for name in reading.columns:
        place = _place_of(name)
        told = reading.column(name)
        if place is None or (told != MISSING).any():
            continue
        if CATALOGUE[name].per == "container":
            _fill(told, reading.time_ns, containers, place, _lives(answer, place, node, per_pod=False), tolerance_s)
        elif network_ns is not None:
            _fill(told, network_ns, pods, place, _lives(answer, place, node, per_pod=True), tolerance_s)


def _place_of(name: str) -> PrometheusPlace | None:
    """Where cAdvisor has it; how full volumes are the kubelet tells elsewhere."""
    metric = CATALOGUE.get(name)
    return None if metric is None or metric.family == "volume" else metric.prometheus


def _lives(answer: bytes, place: PrometheusPlace, node: str, *, per_pod: bool) -> dict[tuple[str, ...], _Life]:
    """Gather the lines of one family by whose they are; of several lives the later one."""
    found: dict[tuple[str, ...], dict[str, _Life]] = {}
    for series in read_family(answer, place.name, where=f"node {node}"):
        owner = pod_of(series.labels, "") if per_pod else container_of(series.labels, "")
        if owner is None or not 0 <= series.value * place.scale <= _MOST:
            continue
        if place.only and not is_at(series.labels, place):
            continue
        # Two sandboxes of a pod that was just restarted differ in the cgroup's path.
        life = series.labels.get("id", "") if per_pod else owner[4]
        whose = owner[1:3] if per_pod else owner[1:4]
        found.setdefault(whose, {}).setdefault(life, _Life()).add(series, place)
    return {whose: max(lives.values(), key=lambda life: life.taken_ms) for whose, lives in found.items()}


def _fill(
    told: Ints,
    time_ns: Ints,
    rows_of: dict[tuple[str, ...], list[int]],
    place: PrometheusPlace,
    lives: dict[tuple[str, ...], _Life],
    tolerance_s: float,
) -> None:
    for whose, life in lives.items():
        for row in rows_of.get(whose, ()):
            apart_s = abs(life.taken_ms * 1e-3 - time_ns[row] * 1e-9)
            if MISSING in (life.taken_ms, time_ns[row]) or apart_s <= tolerance_s:
                told[row] = min(round(life.value(place)), _MOST)
            if time_ns[row] == MISSING or life.taken_ms // _MS_PER_S == time_ns[row] // NS_PER_S:
                time_ns[row] = MISSING if life.taken_ms == MISSING else life.taken_ms * _NS_PER_MS
