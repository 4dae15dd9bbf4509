"""From queries to features: samples are fetched, matched to tracked containers, and stay arrays from then on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

import numpy as np
import pandas as pd

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.catalogue import AGES, CATALOGUE
from podlab.errors import PodlabError
from podlab.features.rows import Rows, drop_empty_readings
from podlab.sources.protocol import LiveSource, NothingThereError
from podlab.watcher.containers import TrackedContainer
from podlab.watcher.runtime import Clock, WatcherOptions

log = logging.getLogger(__name__)

#: Opens the source of some metrics.
OpenSource = Callable[[tuple[str, ...]], LiveSource]

#: Pods in one query: the server takes longer per pod for many more.
MOST_PODS: Final = 500
#: A query for this many pods times seconds costs less than a second query.
MOST_POD_SECONDS: Final = 75_000.0
#: Where all pods are watched, this many pods times seconds are queried without naming pods: the server takes half as
#: long, and an answer of so many rows still fits into memory.
MOST_UNNAMED_POD_SECONDS: Final = 750_000.0
#: Agents write some time after they measured (Telegraf: 10 s and jitter), and one measurement after the other.
OVERLAP_S: Final = 30.0
#: A node's clock may be ahead of ours.
AHEAD_S: Final = 300.0
#: The API reports starts in whole seconds.
_START_S: Final = 1.0
_NS_PER_S: Final = 1_000_000_000

#: Rows kept of one container: two minutes of one each second, twenty of one each ten seconds.
MOST_ROWS: Final = 120
#: Rows kept of all containers, at 140 bytes each with the original metrics, at 330 with all that models learn from.
ROOM: Final = 120_000
#: With very many containers, each keeps at least these.
_LEAST_ROWS: Final = 8
#: Stands for a missing counter; none is negative.
_MISSING: Final = -1
#: The network's counters are read at another instant than the rest.
_AGE: Final = AGES["network"]


@dataclass(frozen=True)
class SampleArrays:
    """Samples of tracked containers, side by side."""

    #: The metrics that are kept; a source may lack some of them.
    metrics: tuple[str, ...]
    number: IntArray  # of the tracked container (n_rows,)
    time_ns: IntArray  # since 1970 (n_rows,)
    #: In the order of ``metrics``, NaN where missing; the last column is the age of the network's counters
    #: (n_rows, n_gauges + 1).
    gauges: FloatArray
    #: In the order of ``metrics``, -1 where missing. Integers, because they may be larger than a float can represent
    #: (n_rows, n_counters).
    counters: IntArray

    @classmethod
    def empty(cls, metrics: Sequence[str], number: IntArray, time_ns: IntArray) -> SampleArrays:
        """Make samples of which every value is missing."""
        counters, gauges = _by_kind(tuple(metrics))
        return cls(
            tuple(metrics), number, time_ns,
            np.full((number.size, len(gauges) + 1), np.nan),
            np.full((number.size, len(counters)), _MISSING, dtype=np.int64),
        )  # fmt: skip

    @classmethod
    def read(cls, samples: pd.DataFrame, number: IntArray, metrics: Sequence[str]) -> SampleArrays:
        """Read a samples table, whatever columns its source has; ``number`` is each row's container (n_rows,)."""
        found = cls.empty(metrics, number, _nanoseconds(samples["time"]))
        counters, gauges = _by_kind(found.metrics)
        for place, name in enumerate((*gauges, _AGE)):
            if name in samples:
                found.gauges[:, place] = samples[name].to_numpy(np.float64, na_value=np.nan)
        for place, name in enumerate(counters):
            if name in samples:
                found.counters[:, place] = samples[name].astype("Int64").to_numpy(np.int64, na_value=_MISSING)
        return found

    @classmethod
    def join(cls, parts: Sequence[SampleArrays]) -> SampleArrays:
        """Concatenate samples of the same metrics, at least one part."""
        arrays = (np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS)
        return cls(parts[0].metrics, *arrays)

    def __len__(self) -> int:
        return self.time_ns.size

    def take(self, rows: IntArray | BoolArray | slice) -> SampleArrays:
        """Keep some rows."""
        return SampleArrays(self.metrics, *(getattr(self, name)[rows] for name in _ARRAYS))

    def with_metrics(self, metrics: Sequence[str]) -> SampleArrays:
        """Keep these metrics; those that were not kept so far are missing."""
        if self.metrics == tuple(metrics):
            return self
        found = SampleArrays.empty(metrics, self.number, self.time_ns)
        counters, gauges = _by_kind(found.metrics)
        own_counters, own_gauges = _by_kind(self.metrics)
        found.gauges[:, -1] = self.gauges[:, -1]
        for old, new, names, wanted in (
            (self.gauges, found.gauges, own_gauges, gauges), (self.counters, found.counters, own_counters, counters),
        ):  # fmt: skip
            for place, name in enumerate(wanted):
                if name in names:
                    new[:, place] = old[:, names.index(name)]
        return found

    def newest_s(self) -> dict[int, float]:
        """Return the time of each container's newest sample, in seconds since 1970."""
        order = np.lexsort((self.time_ns, self.number))
        last = order[np.diff(self.number[order], append=-1) != 0]
        return dict(zip(self.number[last].tolist(), (self.time_ns[last] / 1e9).tolist(), strict=True))

    @property
    def present(self) -> BoolArray:
        """Which metrics each sample has a value of, counters before gauges (n_rows, n_metrics)."""
        return np.concatenate([self.counters != _MISSING, ~np.isnan(self.gauges[:, :-1])], axis=1)

    def rows(self, containers: pd.DataFrame, code: IntArray, offset_s: FloatArray, first_row: IntArray) -> Rows:
        """Make them the rows that features and detectors read.

        ``containers``, ``code`` and ``offset_s`` are as in :class:`podlab.features.rows.Rows`, samples sorted by
        ``code`` and time; ``first_row`` are the rows that are the first of their container.
        """
        values: dict[str, IntArray | FloatArray] = {}
        valid: dict[str, BoolArray] = {}
        counters, gauges = _by_kind(self.metrics)
        for place, name in enumerate(counters):
            values[name] = self.counters[:, place].copy()
            valid[name] = values[name] != _MISSING
        for place, name in enumerate(gauges):
            values[name] = self.gauges[:, place].copy()
            valid[name] = ~np.isnan(values[name])
        drop_empty_readings(values, valid, first_row)
        return Rows(containers, code, offset_s, values, valid, {"network": np.nan_to_num(self.gauges[:, -1])})


_ARRAYS: Final = ("number", "time_ns", "gauges", "counters")


@cache
def _by_kind(metrics: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide metrics into counters and gauges."""
    counters = tuple(name for name in metrics if CATALOGUE[name].kind == "counter")
    return counters, tuple(name for name in metrics if name not in counters)


def _nanoseconds(times: pd.Series) -> IntArray:
    return np.asarray(times.astype("datetime64[ns, UTC]").astype("int64"), dtype=np.int64)


class SampleBuffer:
    """A bounded store of samples, by number of their container.

    A container with more rows than it may keep loses some from all over its life, so that the rest still represents all
    of it; counters lose nothing, since their growth is taken between neighbours. Each container's rows are stored by
    themselves, so that new samples of some cost nothing for the others.

    Parameters
    ----------
    metrics : sequence of str
        The metrics that are kept.
    most_rows : int
        Rows kept of one container.
    room : int
        Rows kept of all; with very many containers each keeps fewer, down to eight.
    """

    def __init__(self, metrics: Sequence[str], most_rows: int = MOST_ROWS, room: int = ROOM) -> None:
        self.metrics = tuple(metrics)
        self.most_rows = most_rows
        self.room = room
        self._of: dict[int, SampleArrays] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, samples: SampleArrays) -> None:
        """Add samples; one of the same container and instant replaces the stored one, since it may be more complete."""
        order = np.argsort(samples.number, kind="stable")
        numbers, begins = np.unique(samples.number[order], return_index=True)
        nothing = self._nothing()
        self._of |= {each: nothing for each in numbers.tolist() if each not in self._of}
        for each, own in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            self._put(each, _in_time(SampleArrays.join([self._of[each], samples.take(own)])))
        if self._count > self.room:
            # Containers without new samples must make room as well.
            for each in self._of:
                self._put(each, self._of[each])

    def _put(self, number: int, rows: SampleArrays) -> None:
        most = min(self.most_rows, max(_LEAST_ROWS, self.room // len(self._of)))
        if len(rows) > most:
            rows = rows.take(_downsample(rows.time_ns, most))
        self._count += len(rows) - len(self._of[number])
        self._of[number] = rows

    def keep_metrics(self, metrics: Sequence[str]) -> None:
        """Keep other metrics from now on; in rows that are there, those that were not kept so far are missing."""
        self.metrics = tuple(metrics)
        self._of = {number: rows.with_metrics(self.metrics) for number, rows in self._of.items()}

    def _nothing(self) -> SampleArrays:
        none = np.zeros(0, dtype=np.int64)
        return SampleArrays.empty(self.metrics, none, none)

    def keep(self, numbers: IntArray) -> None:
        """Drop all rows except those of these containers."""
        for gone in self._of.keys() - set(numbers.tolist()):
            self._count -= len(self._of.pop(gone))

    def of_one(self, number: int) -> SampleBuffer:
        """Return a buffer with the rows of one container; from any thread."""
        rows = self._of.get(number)
        found = SampleBuffer(self.metrics if rows is None else rows.metrics)
        if rows is not None:
            found._of[number], found._count = rows, len(rows)
        return found

    def of(self, numbers: IntArray) -> SampleArrays:
        """Return the rows of some containers, sorted by number and time."""
        return SampleArrays.join(
            [self._nothing(), *(self._of[n] for n in sorted(set(numbers.tolist())) if n in self._of)]
        )

    def rows_of(self, containers: Sequence[TrackedContainer], cluster: str) -> tuple[list[TrackedContainer], Rows]:
        """Return what a model reads of some containers: those that have samples, and their rows in the same order."""
        here = sorted((each for each in containers if each.number in self._of), key=lambda each: each.number)
        samples = self.of(np.array([each.number for each in here], dtype=np.int64))
        first_row = np.flatnonzero(np.diff(samples.number, prepend=-1))
        code = np.cumsum(np.diff(samples.number, prepend=-1) != 0) - 1
        identity = pd.DataFrame(
            {
                "cluster": [cluster] * len(here),
                "namespace": [each.view.namespace for each in here],
                "pod": [each.view.pod for each in here],
                "pod_uid": [each.view.pod_uid for each in here],
                "container": [each.view.container for each in here],
            },
            dtype="str",
        )
        identity["started_at"] = pd.DatetimeIndex([each.started_at for each in here], tz="UTC").as_unit("ns")
        return here, samples.rows(identity, code, offset_s(samples, here, code), first_row)


def offset_s(samples: SampleArrays, containers: Sequence[TrackedContainer], code: IntArray) -> FloatArray:
    """Return the age of the containers at each sample (n_rows,); ``code`` is each row's place in ``containers``."""
    started_ns = np.array([int(pd.Timestamp(each.started_at).value) for each in containers], dtype=np.int64)
    return np.asarray((samples.time_ns - started_ns[code]) / 1e9)


def _in_time(rows: SampleArrays) -> SampleArrays:
    """Sort one container's rows by time; of those of one instant the last to come stays."""
    order = np.argsort(rows.time_ns, kind="stable")
    time_ns = rows.time_ns[order]
    last = np.ones(order.size, dtype=bool)
    last[:-1] = time_ns[1:] != time_ns[:-1]
    return rows.take(order[last])


def _downsample(time_ns: IntArray, most: int) -> BoolArray:
    """Which of a container's rows stay, in order of time (n_rows,), where there are more than it may keep.

    One in each span of time stays, and the newest. The spans' lengths are powers of two, so that those of a longer
    life consist of whole earlier ones, and gaps stay even.
    """
    since_ns = time_ns - time_ns[0]
    length_ns = 2 ** int(np.ceil(np.log2(max(since_ns[-1] / (most - 1), 1))))
    stays: BoolArray = np.diff(since_ns // length_ns, prepend=-1) != 0
    stays[-1] = True
    return stays


@dataclass(frozen=True)
class FetchResult:
    """How some queries went."""

    failed: set[int]  # numbers of the containers whose samples could not be fetched
    error: str | None  # what went wrong last
    sent: bool  # whether any query was sent

    def __or__(self, other: FetchResult) -> FetchResult:
        return FetchResult(self.failed | other.failed, self.error or other.error, self.sent or other.sent)


class SampleFetcher:
    """Fetches the new samples of tracked containers by few queries, and catches up with what was missed.

    Each container is queried from its newest sample, or from its start, and never from further back than the options'
    ``window_s``. What cannot be fetched now is queried again the next time.

    Parameters
    ----------
    open_source : callable
        Opens the source of some metrics, such as :func:`podlab.live.live_source`.
    metrics : tuple of str
        The metrics to fetch.
    interruptible : callable
        The context in which a query may be broken off.
    """

    def __init__(
        self,
        open_source: OpenSource,
        metrics: tuple[str, ...],
        options: WatcherOptions,
        clock: Clock,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.metrics = metrics
        self.source = open_source(metrics)
        self.options = options
        self.clock = clock
        self._open_source = open_source
        self._interruptible = interruptible

    def fetch_metrics(self, metrics: tuple[str, ...]) -> bool:
        """Fetch other metrics from now on; return False where that cannot be, and those of before go on."""
        try:
            source = self._open_source(metrics)
        except PodlabError as error:
            log.warning("what another model reads cannot be fetched yet: %s", error)
            return False
        self.source.close()
        self.source, self.metrics = source, metrics
        return True

    def fetch(
        self,
        containers: Sequence[TrackedContainer],
        take: Callable[[SampleArrays], None],
        *,
        newest_s: Callable[[TrackedContainer], float | None] = lambda tracked: tracked.newest_s,
        window_s: float | None = None,
        unnamed: bool = False,
        proceed: Callable[[], bool] = lambda: True,
    ) -> FetchResult:
        """Fetch the new samples of some containers.

        Parameters
        ----------
        take : callable
            Receives the samples of each query.
        newest_s : callable
            Returns the time of a container's newest known sample, in seconds since 1970.
        window_s : float, optional
            How far back at most, instead of the options'.
        unnamed : bool
            Whether very many containers may be fetched by one query for all pods.
        proceed : callable
            Called before each query; False leaves the rest for the next time.
        """
        now_s = self.clock.now()
        earliest_s = now_s - (self.options.window_s if window_s is None else window_s)
        failed: set[int] = set()
        error = None
        sent = False
        for since_s, part in _queries(containers, newest_s, now_s, earliest_s, unnamed):
            if error is not None or not proceed():
                # A query that fails takes its whole timeout: the rest waits for the next round.
                failed |= {tracked.number for tracked in part}
                continue
            sent = True
            try:
                pods = {tracked.view.pod for tracked in part} if len(part) <= MOST_PODS else None
                with self._interruptible():
                    samples = self.source.fetch(_instant(since_s), _instant(now_s + AHEAD_S), pods=pods)
            except NothingThereError:
                continue
            except PodlabError as failure:
                error = str(failure)
            else:
                others = samples["cluster"] != self.options.cluster
                if not others.all():
                    matched = match_containers(samples[~others], part, self.metrics)
                    if len(matched):  # else all rows are of earlier containers
                        take(matched)
                    continue
                error = f"{self.source.name}: the rows are of cluster {samples['cluster'].iloc[0]!r}"
                error += "; set cluster to that"
            failed |= {tracked.number for tracked in part}
        return FetchResult(failed, error, sent)


def _queries(
    containers: Sequence[TrackedContainer],
    newest_s: Callable[[TrackedContainer], float | None],
    now_s: float,
    earliest_s: float,
    unnamed: bool,
) -> Iterator[tuple[float, list[TrackedContainer]]]:
    """Divide containers into queries: since when, and for whom; more than can be named are one query for all."""
    since = {}
    for tracked in containers:
        newest = newest_s(tracked)
        begin_s = tracked.started_at.timestamp() - _START_S if newest is None else newest - OVERLAP_S
        since[tracked.number] = max(begin_s, earliest_s)
    ordered = sorted(containers, key=lambda tracked: -since[tracked.number])
    near = [each for each in ordered if since[each.number] >= since[ordered[0].number] - 4 * OVERLAP_S]
    if unnamed and len(near) > MOST_PODS and len(near) * (now_s - since[near[-1].number]) <= MOST_UNNAMED_POD_SECONDS:
        ordered = ordered[len(near) :]
        yield since[near[-1].number], near
    while ordered:
        # Containers that need little do not wait for the past of those that need much, unless both are few.
        reach_s = since[ordered[0].number] - 4 * OVERLAP_S
        part = [
            each
            for count, each in enumerate(ordered[:MOST_PODS], 1)
            if since[each.number] >= reach_s or count * (now_s - since[each.number]) <= MOST_POD_SECONDS
        ]
        ordered = ordered[len(part) :]
        yield since[part[-1].number], part


def _instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def match_containers(
    samples: pd.DataFrame, containers: Sequence[TrackedContainer], metrics: Sequence[str]
) -> SampleArrays:
    """Find the container of each row: of its names, of its uid where known, and the last that started before it.

    The result is that of :func:`podlab.kubernetes.inventory.enrich` with an inventory, at a fraction of the cost for a
    few rows each of many containers. Rows without a container are dropped. Starts in the samples are ignored, because
    they may be more exact than the API's.
    """
    instances: dict[tuple[str, str, str], list[TrackedContainer]] = {}
    for tracked in sorted(containers, key=lambda tracked: (tracked.started_at, tracked.view.pod_uid)):
        view = tracked.view
        instances.setdefault((view.namespace, view.pod, view.container), []).append(tracked)
    names = samples[["namespace", "pod", "container", "pod_uid"]]
    group = names.groupby(list(names), dropna=False, sort=False).ngroup().to_numpy(np.int64)
    _, first = np.unique(group, return_index=True)
    time_ns = _nanoseconds(samples["time"])
    number = np.zeros(len(samples), dtype=np.int64)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))[:-1]
    for rows, (namespace, pod, container, uid) in zip(
        np.split(order, ends), names.take(first).itertuples(index=False), strict=True
    ):
        for tracked in instances.get((namespace, pod, container), []):  # a later one takes over from an earlier one
            if pd.isna(uid) or uid == tracked.view.pod_uid:
                number[rows[time_ns[rows] >= int(tracked.started_at.timestamp()) * _NS_PER_S]] = tracked.number
    found = np.flatnonzero(number)
    return SampleArrays.read(samples.iloc[found], number[found], metrics)
