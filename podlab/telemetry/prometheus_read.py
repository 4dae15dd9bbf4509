"""Asking Prometheus' API for samples as they were scraped: slice by slice, so that no answer grows without bound."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from podlab.errors import InputError, PodlabError
from podlab.telemetry.prometheus_dialect import CADVISOR, Dialect
from podlab.telemetry.prometheus_http import PrometheusApi, TooMuchError
from podlab.telemetry.prometheus_query import any_of, quote_value, selector
from podlab.telemetry.prometheus_wire import RawSeries, RefusedError, join_series, read_matrix, read_names

_MS_PER_S: Final = 1_000
# One answer: 600 s of 1,000 pods each 10 s take 2 to 4 MB.
SLICE_S: Final = 600
_MIN_SLICE_MS: Final = _MS_PER_S
MAX_ANSWER_BYTES: Final = 64_000_000
# An answer this many times smaller than the most allowed leaves room to ask for twice the span.
_ROOM_TO_GROW: Final = 8
# VictoriaMetrics takes questions of 16,384 bytes unless told otherwise; other parts of one are short.
_MOST_NAMES_BYTES: Final = 14_000


@dataclass(frozen=True)
class Span:
    """What is asked for: a span of time, some pods or all, and by which labels the server knows them."""

    since_ms: int
    until_ms: int
    pods: Collection[str] | None
    pod_label: str
    container_label: str

    def wider(self, before_ms: int, after_ms: int) -> Span:
        """Reach further."""
        return Span(
            self.since_ms - before_ms, self.until_ms + after_ms, self.pods, self.pod_label, self.container_label
        )

    def among_pods(self) -> dict[str, Collection[str]]:
        """Say for a selector which pods; nothing where all are meant."""
        return {} if self.pods is None else {self.pod_label: self.pods}


@dataclass
class PrometheusReader:
    """Asks one server for samples and names.

    Parameters
    ----------
    api : PrometheusApi
        The server, and who asks.
    labels : mapping of str to str
        Every question is only for series with these labels.
    slice_s : float
        The span asked for first, in seconds; it grows while answers stay small.
    max_answer_bytes : int
        When one answer would have more, or the server refuses so much, a shorter span is asked for.
    """

    api: PrometheusApi
    labels: Mapping[str, str]
    slice_s: float = SLICE_S
    max_answer_bytes: int = MAX_ANSWER_BYTES

    @property
    def name(self) -> str:
        """The server's address, and the labels if any."""
        return self.api.name + "".join(f", {label}={value!r}" for label, value in self.labels.items())

    def span(self, metric: str, since_ms: int, until_ms: int, pods: Collection[str] | None, dialect: Dialect) -> Span:
        """Find out which of Kubernetes' names for its labels are used here."""
        found = self.label_names(metric, since_ms, until_ms)
        pod = next((label for label in dialect.pod_labels if label in found), None)
        container = next((label for label in dialect.container_labels if label in found), None)
        if pod is None or container is None:
            label = (dialect.pod_labels if pod is None else dialect.container_labels)[dialect is CADVISOR]
            raise InputError(
                f"the series of {metric} have no label {label}", where=self.name,
                todo="scrape the kubelets' /metrics/cadvisor, and keep its labels when relabelling"
                if dialect is CADVISOR else
                "let resource attributes become labels (promote_resource_attributes, resource_to_telemetry_conversion)",
            )  # fmt: skip
        return Span(since_ms, until_ms, pods, pod, container)

    def label_names(self, metric: str, since_ms: int, until_ms: int) -> set[str]:
        """List the names of the labels that a metric's series have."""
        return self._ask_names("labels", [selector(metric, equal=self.labels)], since_ms, until_ms)

    def present(self, names: Collection[str], since_ms: int, until_ms: int) -> set[str]:
        """Find out which metrics are there at all."""
        return self._ask_names("label/__name__/values", [selector(names, equal=self.labels)], since_ms, until_ms) & set(
            names
        )

    def _ask_names(self, path: str, selectors: list[str], since_ms: int, until_ms: int) -> set[str]:
        form = {"match[]": selectors, "start": _seconds(since_ms), "end": _seconds(until_ms)}
        try:
            return set(read_names(self.api.ask(path, form), where=self.api.name))
        except RefusedError as error:
            raise self.api.refusal(error.refusal) from None

    def read(
        self,
        metric: str,
        span: Span,
        equal: Mapping[str, str],
        unequal: Mapping[str, Collection[str]],
        among: Mapping[str, Collection[str]],
    ) -> RawSeries:
        """Read a metric's samples slice by slice, and where many values are named, of some of them after the others."""
        selectors = [
            selector(metric, equal={**self.labels, **equal}, unequal=unequal, among=some) for some in _divide(among)
        ]
        return join_series([part for text in selectors for part in self._read_slices(metric, text, span)])

    def _read_slices(self, metric: str, text: str, span: Span) -> list[RawSeries]:
        width_ms = int(self.slice_s * _MS_PER_S)
        parts: list[RawSeries] = []
        start_ms = span.since_ms
        while start_ms < span.until_ms:
            # A short rest is asked for with the slice before it: each question costs the server something.
            end_ms = span.until_ms if span.until_ms - start_ms <= width_ms * 3 // 2 else start_ms + width_ms
            # A range reaches from its end back, both ends included; before Prometheus 3 that is 1 ms too much.
            form = {
                "query": f"{text}[{end_ms - start_ms}ms]", "time": _seconds(end_ms - 1),
                "timeout": f"{max(1, int(self.api.timeout_s))}s",
            }  # fmt: skip
            try:
                answer = self.api.ask("query", form, max_bytes=self.max_answer_bytes)
                raw = read_matrix(answer, where=self.api.name)
            except RefusedError as error:
                refusal = self.api.refusal(error.refusal)
                if not isinstance(refusal, TooMuchError):
                    raise refusal from None
                width_ms = self._narrower(end_ms - start_ms, metric, refusal)
                continue
            except TooMuchError as error:
                width_ms = self._narrower(end_ms - start_ms, metric, error)
                continue
            parts.append(raw.between(start_ms, end_ms))
            start_ms = end_ms
            if len(answer) < self.max_answer_bytes // _ROOM_TO_GROW:
                width_ms *= 2
        return parts

    def _narrower(self, width_ms: int, metric: str, error: TooMuchError) -> int:
        if width_ms // 2 < _MIN_SLICE_MS:
            raise PodlabError(
                f"even {width_ms / _MS_PER_S:g} s of {metric} are too much for one answer: {error.what}",
                where=self.name,
                todo="raise the server's limit, fetch fewer columns, or narrow prometheus_labels",
            ) from error
        return width_ms // 2


def _divide(among: Mapping[str, Collection[str]]) -> Iterator[dict[str, Collection[str]]]:
    """Divide a label's values so that no question becomes too long for the server."""
    for label, values in among.items():
        part: list[str] = []
        size = 0
        for value in sorted(values):
            size += len(quote_value(any_of([value])).encode())
            if part and size > _MOST_NAMES_BYTES:
                yield {label: part}
                part, size = [], len(quote_value(any_of([value])).encode())
            part.append(value)
        yield {label: part}
    if not among:
        yield {}


def _seconds(ms: int) -> str:
    return f"{ms // _MS_PER_S}.{ms % _MS_PER_S:03d}"
