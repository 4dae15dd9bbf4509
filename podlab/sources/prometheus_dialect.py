"""By which names Prometheus knows what the kubelets tell: cAdvisor's, or those of OpenTelemetry.

OpenTelemetry's kubeletstats receiver reads the kubelets' ``/stats/summary``; its metrics:
https://github.com/open-telemetry/opentelemetry-collector-contrib/blob/main/receiver/kubeletstatsreceiver/documentation.md.
On their way into Prometheus names are translated: dots become underscores or stay, and unit and ``_total`` are appended
or not, which makes four ways (``translation_strategy``):
https://prometheus.io/docs/guides/opentelemetry/. Who a series is about stands in its resource's attributes, which must
have become labels: ``k8s_pod_name`` or ``k8s.pod.name``, and so on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from podlab.data.catalogue import CATALOGUE, OpenTelemetryPlace, PrometheusPlace

_SUFFIXES: Final = {"By": "bytes", "s": "seconds"}


@dataclass(frozen=True)
class Dialect:
    """One way of naming.

    Attributes
    ----------
    name : str
        For people.
    places : dict of str to PrometheusPlace
        Column of the samples table -> metric.
    pod_labels, container_labels : tuple of str
        How labels may be called, the first one that is there counts.
    """

    name: str
    places: dict[str, PrometheusPlace]
    pod_labels: tuple[str, ...]
    container_labels: tuple[str, ...]

    def names(self, columns: Collection[str]) -> set[str]:
        """Name the metrics that hold some columns."""
        return {place.name for column, place in self.places.items() if column in columns}


def _translate(place: OpenTelemetryPlace, *, dots: bool, suffixes: bool) -> PrometheusPlace:
    def label(name: str | None) -> str | None:
        return name if dots or name is None else name.replace(".", "_")

    name = place.name if dots else place.name.replace(".", "_")
    if suffixes:
        unit = _SUFFIXES.get(place.unit)
        # A gauge without a unit is taken for a ratio, which page faults are not.
        unit = "ratio" if place.unit == "1" and not place.monotonic else unit
        name += "".join(f"_{part}" for part in (unit, "total" if place.monotonic else None) if part)
    return PrometheusPlace(name, place.only, label(place.part), place.whole, place.scale)


def _opentelemetry(*, dots: bool, suffixes: bool) -> Dialect:
    places = {
        column: _translate(metric.opentelemetry, dots=dots, suffixes=suffixes)
        for column, metric in CATALOGUE.items()
        if metric.opentelemetry is not None
    }
    how = f"{'dots' if dots else 'underscores'}, {'with' if suffixes else 'no'} suffixes"
    between = "." if dots else "_"

    def labels(what: str) -> tuple[str, ...]:
        # A scrape may have escaped the labels' names and not the metrics'.
        names = [f"k8s{each}{what}{each}name" for each in (between, "_", ".")]
        return tuple(dict.fromkeys(names))

    return Dialect(f"OpenTelemetry ({how})", places, labels("pod"), labels("container"))


CADVISOR: Final = Dialect(
    "cAdvisor",
    {column: metric.prometheus for column, metric in CATALOGUE.items() if metric.prometheus is not None},
    ("exported_pod", "pod", "pod_name"),
    ("exported_container", "container", "container_name"),
)
OPENTELEMETRY: Final = tuple(
    _opentelemetry(dots=dots, suffixes=suffixes) for dots in (False, True) for suffixes in (True, False)
)
DIALECTS: Final = (CADVISOR, *OPENTELEMETRY)
#: Every column that some dialect has.
COLUMNS: Final = frozenset(column for dialect in DIALECTS for column in dialect.places)

_CADVISORS: Final = frozenset(place.name for place in CADVISOR.places.values())
#: Metrics of one name that are another's series: only labels tell them apart.
SHARED_NAMES: Final = _CADVISORS & {place.name for each in OPENTELEMETRY for place in each.places.values()}
#: Metrics that nobody else writes.
CADVISORS_OWN: Final = _CADVISORS - SHARED_NAMES


def names_of(columns: Collection[str]) -> set[str]:
    """Name the metrics that hold some columns in any dialect."""
    return {name for dialect in DIALECTS for name in dialect.names(columns)}


def choose_dialect(present: Collection[str], labels_of: Mapping[str, Collection[str]]) -> Dialect:
    """Choose by the metrics that are there; cAdvisor, which tells more, where there are both.

    Parameters
    ----------
    present : collection of str
        Metrics that are there.
    labels_of : mapping of str to collection of str
        Labels of the metrics of :data:`SHARED_NAMES` that are there, as far as nothing else tells the dialects apart.
    """
    if not CADVISORS_OWN.isdisjoint(present):
        return CADVISOR
    # Some names are the same in several translations: the one that explains most is meant.
    known = {dialect.name: len(dialect.names(dialect.places).intersection(present)) for dialect in OPENTELEMETRY}
    best = max(OPENTELEMETRY, key=lambda dialect: known[dialect.name])
    if not (best.names(best.places) - SHARED_NAMES).isdisjoint(present):
        return best
    labels = {label for name in labels_of if name in best.names(best.places) for label in labels_of[name]}
    return CADVISOR if labels.isdisjoint(best.pod_labels) else best
