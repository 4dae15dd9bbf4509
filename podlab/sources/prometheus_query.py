"""Asking Prometheus: by which names it knows the metrics, selectors of series, and samples read slice by slice.

OpenTelemetry's kubeletstats receiver reads the kubelets' ``/stats/summary``; its metrics:
https://github.com/open-telemetry/opentelemetry-collector-contrib/blob/main/receiver/kubeletstatsreceiver/documentation.md.
On their way into Prometheus names are translated: dots become underscores or stay, and unit and ``_total`` are appended
or not, which makes four ways (``translation_strategy``):
https://prometheus.io/docs/guides/opentelemetry/. The pod of a series is in its resource's attributes, which must
have become labels: ``k8s_pod_name`` or ``k8s.pod.name``, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from podlab.data.catalogue import CATALOGUE, OpenTelemetryPlace, PrometheusPlace
from podlab.errors import InputError
from podlab.sources.collect import read_slices
from podlab.sources.prometheus_client import (
    NoSuchPathError,
    PrometheusApi,
    QueryError,
    RawSeries,
    join_series,
    read_matrix,
    read_names,
)
from podlab.sources.prometheus_series import PAUSE

_SUFFIXES: Final = {"By": "bytes", "s": "seconds"}


@dataclass(frozen=True)
class Dialect:
    """One way of naming: metrics, by column of the samples table, and labels; the first that is there counts."""

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
#: Names that both schemes use: only labels distinguish their series.
SHARED_NAMES: Final = _CADVISORS & {place.name for each in OPENTELEMETRY for place in each.places.values()}
#: Metrics that nobody else writes.
CADVISORS_OWN: Final = _CADVISORS - SHARED_NAMES


def names_of(columns: Collection[str]) -> set[str]:
    """Name the metrics that hold some columns in any dialect."""
    return {name for dialect in DIALECTS for name in dialect.names(columns)}


def choose_dialect(present: Collection[str], labels_of: Mapping[str, Collection[str]]) -> Dialect:
    """Choose by the metrics that exist; cAdvisor, which has more of them, where there are both.

    ``labels_of`` are the labels of the metrics of :data:`SHARED_NAMES` that exist, where nothing else tells.
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


#: What has a meaning in RE2, Prometheus' regular expressions. Nothing else is escaped, so that the server still
#: knows a list of plain names when it sees one, and looks each up in its index.
_MEANING: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
#: Since Prometheus 3 a name may hold dots, where it is quoted.
_DOTTED_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.]*")


def quote_value(text: str) -> str:
    r"""Write any text as a string of PromQL: no text can end it.

    Examples
    --------
    >>> print(quote_value('a"b\\c'))
    "a\"b\\c"
    """
    # A newline ends a string, and the replacement character passes for broken UTF-8.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\ufffd", "\\ufffd")
    return f'"{escaped}"'


def any_of(texts: Collection[str]) -> str:
    r"""Write a regular expression that matches these texts and no other, in a fixed order.

    Examples
    --------
    >>> print(any_of(["web-1", "a.b"]))
    a\.b|web-1
    """
    return "|".join(_MEANING.sub(lambda found: "\\" + found[0], text) for text in sorted(texts))


def selector(
    name: str | Collection[str],
    *,
    equal: Mapping[str, str] | None = None,
    unequal: Mapping[str, Collection[str]] | None = None,
    among: Mapping[str, Collection[str]] | None = None,
) -> str:
    """Write a selector of series of one metric or several; raises ValueError if a label's name is none.

    Parameters
    ----------
    equal : mapping of str to str, optional
        Labels that must have this value; one that is not there has the value ``""``.
    unequal, among : mapping of str to collection of str, optional
        Labels that must have none, or one, of these values.

    Examples
    --------
    >>> selector("up", equal={"job": "a"}, unequal={"pod": [""]})
    '{__name__="up",job="a",pod!=""}'
    >>> selector("up", among={"k8s.pod.name": ["a", "b"]})
    '{__name__="up","k8s.pod.name"=~"a|b"}'
    """
    matchers = [("__name__", "=", name)] if isinstance(name, str) else [("__name__", "=~", any_of(name))]
    matchers += [(label, "=", value) for label, value in (equal or {}).items()]
    matchers += [(label, "!=", value) for label, values in (unequal or {}).items() for value in values]
    matchers += [(label, "=~", any_of(values)) for label, values in (among or {}).items()]
    return "{" + ",".join(f"{_write_name(label)}{how}{quote_value(value)}" for label, how, value in matchers) + "}"


def _write_name(label: str) -> str:
    if _LABEL_NAME.fullmatch(label):
        return label
    if _DOTTED_NAME.fullmatch(label):
        return f'"{label}"'
    raise ValueError(f"{label!r} is not a label's name")


_MS_PER_S: Final = 1_000
# One answer: 600 s of 1,000 pods each 10 s take 2 to 4 MB.
SLICE_S: Final = 600
MAX_ANSWER_BYTES: Final = 64_000_000
# VictoriaMetrics takes questions of 16,384 bytes by default; the other parts of one are short.
_MOST_NAMES_BYTES: Final = 14_000
# In an address: gateways take 8,192 bytes of it, and some characters of a pattern take three there.
_MOST_ADDRESS_BYTES: Final = 5_000


class MissingLabelError(InputError):
    """Series without a label for the pod or the container."""


@dataclass(frozen=True)
class Span:
    """What is asked for: a span of time, some pods or all (None), and by which labels the server knows them.

    The labels are Kubernetes' names that are used here, the first that a series has counts: of several jobs each may
    use others. Those of containers are empty where they are not asked for.
    """

    since_ms: int
    until_ms: int
    pods: Collection[str] | None
    pod_labels: tuple[str, ...]
    container_labels: tuple[str, ...] = ()

    def wider(self, before_ms: int, after_ms: int) -> Span:
        """Reach further."""
        return replace(self, since_ms=self.since_ms - before_ms, until_ms=self.until_ms + after_ms)

    def matchers(self, *, containers: bool) -> list[Matchers]:
        """Say for selectors which series are meant: those of the pods, or of their containers without the pause ones.

        No series is in two of them, and each is in the one of the labels that it has.
        """
        found = [
            replace(own, among={label: self.pods} if self.pods is not None else {})
            for own, label in _by_first_of(self.pod_labels, [""])
        ] or [Matchers()]
        if not containers or not self.container_labels:
            return found
        of_containers = [own for own, _ in _by_first_of(self.container_labels, ["", PAUSE])]
        return [pod.and_also(container) for pod in found for container in of_containers]


@dataclass(frozen=True)
class Matchers:
    """Parts of a selector; as for :func:`selector`."""

    equal: Mapping[str, str] = field(default_factory=dict)
    unequal: Mapping[str, Collection[str]] = field(default_factory=dict)
    among: Mapping[str, Collection[str]] = field(default_factory=dict)

    def and_also(self, other: Matchers) -> Matchers:
        """Ask for what both ask for; they speak of other labels."""
        return Matchers({**self.equal, **other.equal}, {**self.unequal, **other.unequal}, {**self.among, **other.among})


def _by_first_of(labels: Collection[str], unequal: list[str]) -> Iterator[tuple[Matchers, str]]:
    """Divide series by the first of some labels that they have."""
    before: dict[str, str] = {}
    for label in labels:
        # Servers that hold names with dots may be too old to be asked by them; all such series are of pods.
        can_be_asked = "." not in label
        yield Matchers(dict(before), {label: unequal} if can_be_asked else {}), label
        if can_be_asked:
            before[label] = ""


@dataclass
class PrometheusReader:
    """Asks one server for samples and names, only for series with these labels.

    Slices are as for :class:`podlab.sources.prometheus.PrometheusSource`.
    """

    api: PrometheusApi
    labels: Mapping[str, str]
    slice_s: float = SLICE_S
    max_answer_bytes: int = MAX_ANSWER_BYTES

    @property
    def name(self) -> str:
        """The server's address, and the labels if any."""
        return self.api.name + "".join(f", {label}={value!r}" for label, value in self.labels.items())

    def span(
        self, metrics: Collection[str], since_ms: int, until_ms: int, pods: Collection[str] | None, dialect: Dialect
    ) -> Span:
        """Find out which of Kubernetes' names for its labels are used here."""
        found = self.label_names(metrics, since_ms, until_ms)
        if found is None:
            return Span(since_ms, until_ms, pods, dialect.pod_labels if pods is not None else ())
        pod_labels = tuple(label for label in dialect.pod_labels if label in found)
        container_labels = tuple(label for label in dialect.container_labels if label in found)
        if not pod_labels or not container_labels:
            missing = (dialect.container_labels if pod_labels else dialect.pod_labels)[dialect is CADVISOR]
            raise MissingLabelError(
                f"the series of {min(metrics)} have no label {missing}", where=self.name,
                hint="scrape the kubelets' /metrics/cadvisor, and keep its labels when relabelling"
                if dialect is CADVISOR else
                "let resource attributes become labels (promote_resource_attributes, resource_to_telemetry_conversion)",
            )  # fmt: skip
        return Span(since_ms, until_ms, pods, pod_labels, container_labels)

    def label_names(self, metrics: Collection[str], since_ms: int, until_ms: int) -> set[str] | None:
        """List the names of the labels that the metrics' series have; None where the server does not list them."""
        return self._ask_names("labels", [selector(metrics, equal=self.labels)], since_ms, until_ms)

    def present(self, names: Collection[str], since_ms: int, until_ms: int) -> set[str]:
        """Find out which metrics exist; all of them may, where the server does not list any."""
        found = self._ask_names("label/__name__/values", [selector(names, equal=self.labels)], since_ms, until_ms)
        return set(names) if found is None else found & set(names)

    def _ask_names(self, path: str, selectors: list[str], since_ms: int, until_ms: int) -> set[str] | None:
        form = {"match[]": selectors, "start": _seconds(since_ms), "end": _seconds(until_ms)}
        try:
            return set(read_names(self.api.ask(path, form), where=self.api.name, redact=self.api.redact))
        except NoSuchPathError:
            # Some servers and gateways answer questions for samples only; those will show whether there is an API.
            return None
        except QueryError as error:
            raise self.api.refusal(error.refusal) from None

    def read(self, metric: str, span: Span, matchers: Collection[Matchers]) -> RawSeries:
        """Read a metric's samples slice by slice, and where many values are named, of some of them after the others."""
        selectors = [
            selector(metric, equal={**self.labels, **meant.equal}, unequal=meant.unequal, among=some)
            for meant in matchers
            for some in _divide(meant.among, _MOST_ADDRESS_BYTES if self.api.only_get else _MOST_NAMES_BYTES)
        ]
        return join_series([part for text in selectors for part in self._read_slices(metric, text, span)])

    def _read_slices(self, metric: str, text: str, span: Span) -> list[RawSeries]:
        def read_slice(start_ms: int, end_ms: int) -> tuple[RawSeries, int]:
            # A range reaches from its end back, both ends included; before Prometheus 3 that is 1 ms too much.
            form = {
                "query": f"{text}[{end_ms - start_ms}ms]", "time": _seconds(end_ms - 1),
                "timeout": f"{max(1, int(self.api.timeout_s))}s",
            }  # fmt: skip
            answer = self.api.ask("query", form, max_bytes=self.max_answer_bytes)
            try:
                raw = read_matrix(answer, where=self.api.name, redact=self.api.redact)
                return raw.between(start_ms, end_ms), len(answer)
            except QueryError as error:
                raise self.api.refusal(error.refusal) from None

        return read_slices(
            read_slice, span.since_ms, span.until_ms, per_s=_MS_PER_S, slice_s=self.slice_s,
            max_answer_bytes=self.max_answer_bytes, what=metric, where=self.name,
            hint="raise the server's limit, fetch fewer columns, or narrow prometheus_labels",
        )  # fmt: skip


def _divide(among: Mapping[str, Collection[str]], most_bytes: int) -> Iterator[dict[str, Collection[str]]]:
    """Divide a label's values so that no question becomes too long for the server."""
    for label, values in among.items():
        part: list[str] = []
        size = 0
        for value in sorted(values):
            more = len(quote_value(any_of([value])).encode())
            if part and size + more > most_bytes:
                yield {label: part}
                part, size = [], 0
            part.append(value)
            size += more
        yield {label: part}
    if not among:
        yield {}


def _seconds(ms: int) -> str:
    return f"{ms // _MS_PER_S}.{ms % _MS_PER_S:03d}"
