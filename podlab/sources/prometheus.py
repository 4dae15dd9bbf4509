"""Samples out of Prometheus, and of what speaks its API: Thanos, Mimir, VictoriaMetrics."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, PrometheusPlace
from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.sources.prometheus_client import PrometheusApi, RawSeries
from podlab.sources.prometheus_query import (
    CADVISOR,
    CADVISORS_OWN,
    COLUMNS,
    MAX_ANSWER_BYTES,
    SHARED_NAMES,
    SLICE_S,
    Dialect,
    Matchers,
    MissingLabelError,
    PrometheusReader,
    Span,
    choose_dialect,
    names_of,
)
from podlab.sources.prometheus_series import (
    CPU_COUNTER,
    STARTED,
    Owned,
    Owner,
    ScrapedRows,
    choose_scrapers,
    claim_of,
    container_of,
    find_twins,
    join_scraped,
    make_points,
    needed_columns,
    pod_of,
)
from podlab.sources.protocol import NothingThereError, span_ns
from podlab.sources.time_join import NOTHING, Ints, nearest_rows

log = logging.getLogger(__name__)

# What belongs to the first and last rows may have been measured just outside the span, and the first row's
# processor use is a rate since the sample before it.
_MARGIN_MS: Final = 60_000
_NS_PER_MS: Final = 1_000_000

#: Of kube-state-metrics, where it is there: uid and node of a pod, and which claims are its volumes.
POD_INFO: Final = "kube_pod_info"
POD_CLAIMS: Final = "kube_pod_spec_volumes_persistentvolumeclaims_info"
VOLUME: Final = "volume_used_bytes"
#: Of these labels each value has a column of its own, so that series are read together.
_TOLD_APART_HERE: Final = ("failure_type", "direction")
#: Without it, a series is cAdvisor's.
_OPENTELEMETRYS_POD: Final = "k8s_pod_name"


class PrometheusSource:
    """A server with Prometheus' API as a source of samples, with the kubelets' metrics in one of two naming schemes.

    It scrapes cAdvisor (each kubelet's ``/metrics/cadvisor``), or OpenTelemetry's kubeletstats receiver writes into it,
    which is detected. Each fetch asks one question per metric for all pods, for the samples as they were scraped with
    their own times, in slices of time so that no answer grows without bound. Metrics that are not there are missing.

    Parameters
    ----------
    api : PrometheusApi
        The server, and who asks.
    labels : mapping of str to str, optional
        Only series with these labels, such as ``{"cluster": "east"}``.
    cluster, columns, slice_s, max_answer_bytes
        As for :class:`podlab.sources.influxdb.InfluxSource`.
    """

    has_past = True

    def __init__(
        self,
        api: PrometheusApi,
        *,
        cluster: str = "local",
        columns: Collection[str] | None = None,
        labels: Mapping[str, str] | None = None,
        slice_s: float = SLICE_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.reader = PrometheusReader(api, dict(labels or {}), slice_s, max_answer_bytes)
        self.cluster = cluster
        #: Labels that were reported to differ between pods of one name.
        self._reported: set[str] = set()
        #: Cluster, namespace and name of pods that ran twice at the same time, in the last fetch.
        self._twins: set[Owner] = set()
        wanted = tuple(CATALOGUE) if columns is None else tuple(columns)
        self.columns = tuple(c for c in wanted if c in COLUMNS)

    @property
    def name(self) -> str:
        """The server's address, and the labels if any."""
        return self.reader.name

    def close(self) -> None:
        """Give the connections back."""
        self.reader.api.close()

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Read the samples with ``since <= time < until``; see :class:`podlab.sources.protocol.LiveSource`.

        ``pod_uid`` comes from the cgroup's path (label ``id``) or from kube-state-metrics; ``started_at`` from
        ``container_start_time_seconds``. ``cpu_usage_nanocores`` is the growth of the counter since the sample before.
        Raises what :class:`podlab.sources.protocol.LiveSource` lists.
        """
        since_ms, until_ms = (-(-ns // _NS_PER_MS) for ns in span_ns(since, until))
        needed = needed_columns(self.columns)
        present = self.reader.present(names_of(needed) | {STARTED.name, POD_INFO, POD_CLAIMS}, since_ms, until_ms)
        read = self._read_rows(present, since_ms, until_ms, pods)
        if read is None:
            raise self._explain_nothing(since, until, present)
        frame, dialect = read
        if dialect is CADVISOR and frame.empty:
            # A server lists a metric for hours after its last sample (and one that lists none may have none of them):
            # another agent may have taken over.
            with suppress(MissingLabelError):
                frame, _ = self._read_rows(present - CADVISORS_OWN, since_ms, until_ms, pods) or read
        if frame.empty:
            what = f"no samples of {'containers' if pods is None else f'the {len(pods)} pods asked for'}"
            raise NothingThereError(f"{what} from {since:%H:%M:%S} to {until:%H:%M:%S}", where=self.name)
        return check_samples(frame, where=self.name)

    def _read_rows(
        self, present: Collection[str], since_ms: int, until_ms: int, pods: Collection[str] | None
    ) -> tuple[pd.DataFrame, Dialect] | None:
        """Read the table by the dialect that the metrics speak; None if there are none of containers."""
        needed = needed_columns(self.columns)
        dialect = self._dialect(present, since_ms, until_ms)
        places = {column: dialect.places[column] for column in CATALOGUE if column in needed & dialect.places.keys()}
        of_containers = {p.name for c, p in places.items() if CATALOGUE[c].per == "container" and p.name in present}
        if not of_containers:
            return None
        span = self.reader.span(of_containers, since_ms, until_ms, pods, dialect)
        scraped = self._read_scraped(places, present, span, dialect)
        rows = join_scraped(scraped, places, self.columns, since_ms, until_ms)
        if not len(rows.timeline.owner):
            return pd.DataFrame(), dialect
        claimed = places.get(VOLUME)
        if dialect is CADVISOR and claimed is not None and {claimed.name, POD_CLAIMS} <= set(present):
            self._join_volumes(rows, claimed, span)
        frame = rows.table()
        if POD_INFO in present:
            self._fill_from_pod_info(frame, rows, span)
        return frame, dialect

    def _dialect(self, present: Collection[str], since_ms: int, until_ms: int) -> Dialect:
        labels_of: dict[str, set[str]] = {}
        if set(present) <= SHARED_NAMES | {POD_INFO, POD_CLAIMS}:
            labels_of = {
                name: self.reader.label_names([name], since_ms, until_ms) or set()
                for name in SHARED_NAMES.intersection(present)
            }
        return choose_dialect(present, labels_of)

    def _read_scraped(
        self, places: Mapping[str, PrometheusPlace], present: Collection[str], span: Span, dialect: Dialect
    ) -> dict[str, Owned]:
        """Read each metric of containers and pods once, and take one scraper's series of each pod."""
        found: dict[str, Owned] = {}
        named = [
            (place, CATALOGUE[c].per, c == CPU_COUNTER)
            for c, place in places.items()
            if c != VOLUME or dialect is not CADVISOR
        ]
        for place, per, with_margin in [*named, (STARTED, "container", False)]:
            if place.name not in present or place.name in found:
                continue
            wider = span.wider(_MARGIN_MS, _MARGIN_MS) if per == "pod" else span
            if with_margin:
                wider = span.wider(_MARGIN_MS, 0)
            equal = {label: value for label, value in place.only if label not in _TOLD_APART_HERE}
            if dialect is CADVISOR and place.name in SHARED_NAMES:
                equal[_OPENTELEMETRYS_POD] = ""
            matchers = [Matchers(equal).and_also(meant) for meant in span.matchers(containers=per == "container")]
            raw = self.reader.read(place.name, wider, matchers)
            found[place.name] = Owned.of(raw, pod_of if per == "pod" else container_of, self.cluster)
        twins = find_twins(found)
        self._twins = set() if twins is None else set(twins.pods)
        if twins is not None and set(twins.labels) - self._reported:
            self._reported |= set(twins.labels)
            log.warning("%s: %s; set prometheus_labels, such as prometheus_labels=%s", self.name, twins, twins.example)
        return choose_scrapers(found)

    def _join_volumes(self, rows: ScrapedRows, place: PrometheusPlace, span: Span) -> None:
        """Sum a pod's claims; the kubelet knows their use, kube-state-metrics their pod."""
        wider = span.wider(_MARGIN_MS, _MARGIN_MS)
        links = self._read_state(POD_CLAIMS, span)
        users: dict[Owner, set[Owner]] = {}
        for labels in links.labels:
            claim, pod = claim_of(labels, self.cluster), pod_of(labels, self.cluster)
            if claim is not None and pod is not None:
                users.setdefault(claim, set()).add(pod)
        among = {} if span.pods is None else {place.part or "": {claim[2] for claim in users}}
        raw = self.reader.read(place.name, wider, [Matchers(among=among)])
        claims = Owned.of(raw, claim_of, self.cluster)
        owned = choose_scrapers({place.name: claims})[place.name]
        # Of two pods of one name, each with a claim of one name, nothing says which claim is whose.
        twice = {who for who, left in zip(claims.owners, owned.owners, strict=True) if who is not None and left is None}
        # A claim that several pods share counts for each of them.
        pairs = [
            (number, pod)
            for number, claim in enumerate(owned.owners)
            if claim is not None
            for pod in sorted(users.get(claim, ()))
            if claim not in twice or pod not in self._twins
        ]
        shared = _copies(owned.raw, [n for n, _ in pairs])
        numbers: dict[Owner, int] = {}
        points = make_points(Owned(shared, [pod for _, pod in pairs]), place, numbers)
        rows.join_of_pods(VOLUME, points, numbers)

    def _fill_from_pod_info(self, frame: pd.DataFrame, rows: ScrapedRows, span: Span) -> None:
        info = self._read_state(POD_INFO, span)
        numbers: dict[Owner, int] = {}
        named = [(pod_of(labels, self.cluster), labels.get("uid", "")) for labels in info.labels]
        of_series = [(*pod, uid) if pod is not None and pod in self._twins else pod for pod, uid in named]
        pod = np.array(
            [NOTHING if p is None else numbers.setdefault(p, len(numbers)) for p in of_series], dtype=np.int64
        )
        own = rows.pods(numbers)
        # Two pods of one name follow one another: the nearest in time is meant.
        index, _ = nearest_rows(own, rows.timeline.time, pod[info.series], info.time_ms)
        series = np.append(info.series, NOTHING)[np.where(own == NOTHING, NOTHING, index)]
        for column in ("pod_uid", "node"):
            label = "uid" if column == "pod_uid" else column
            known = pd.Series([labels.get(label) or None for labels in info.labels] + [None], dtype="str")
            frame[column] = frame[column].fillna(known.take(series).reset_index(drop=True))

    def _read_state(self, metric: str, span: Span) -> RawSeries:
        """Read a metric of kube-state-metrics, which may name its labels otherwise than cAdvisor."""
        known = None if span.pods is None else self.reader.label_names([metric], span.since_ms, span.until_ms)
        labels = [label for label in CADVISOR.pod_labels if known is None or label in known]
        span = replace(span, pod_labels=() if span.pods is None else tuple(labels))
        return self.reader.read(metric, span.wider(_MARGIN_MS, _MARGIN_MS), span.matchers(containers=False))

    def _explain_nothing(self, since: datetime, until: datetime, present: Collection[str]) -> InputError:
        has = f" (but {', '.join(sorted(present))})" if present else ""
        return InputError(
            f"no container metrics{has} from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S}",
            where=self.name,
            hint="let Prometheus scrape the kubelets' /metrics/cadvisor, or OpenTelemetry's kubeletstats receiver "
            "write into it; choose another span, or check prometheus_labels and prometheus_tenant",
        )


def _copies(raw: RawSeries, series: list[int]) -> RawSeries:
    """Copy some series, each as often as it is listed."""
    rows: list[Ints] = [np.flatnonzero(raw.series == number) for number in series]
    taken = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    number = np.repeat(np.arange(len(series)), [len(each) for each in rows])
    return RawSeries([raw.labels[n] for n in series], number, raw.time_ms[taken], raw.value[taken])
