"""A recording as the series that agents would expose of it, and writing them into a live server.

Remote write: https://prometheus.io/docs/specs/prw/remote_write_spec/, version 1: protobuf, packed by snappy.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from podlab.data.catalogue import AGES, CATALOGUE
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.errors import InputError
from podlab.sources.prometheus import POD_CLAIMS, POD_INFO, VOLUME
from podlab.sources.prometheus_client import Floats, OutOfOrderError, PrometheusApi
from podlab.sources.prometheus_query import CADVISOR, Dialect
from podlab.sources.prometheus_series import PAUSE, STARTED
from podlab.sources.time_join import Ints

log = logging.getLogger(__name__)

_NS_PER_MS: Final = 1_000_000
_MS_PER_S: Final = 1_000
#: Samples a request; Prometheus itself sends 2,000 (Mimir refuses above 100 MB unpacked).
_BATCH: Final = 10_000
#: Servers take what is a little older than what they have, so all containers advance together.
_SLICE_MS: Final = 60 * _MS_PER_S
#: A recording holds the sum over a pod's volumes, so one claim represents all.
_CLAIM: Final = "data"
_END_MS: Final = 1 << 62
# Times of 1971 to 2109 take six bytes.
_SIX_BYTES: Final = (1 << 35, 1 << 42)
_SAMPLE: Final = np.dtype(
    [("head", "V3"), ("value", "<f8"), ("tag", "u1"), ("time", "u1", (6,))]
)  # field 2 of 16 bytes: field 1, a double; field 2, a varint


@dataclass(frozen=True)
class OutSeries:
    """One series to write or to expose: labels with ``__name__``, none of them empty, and rising times (n_values,)."""

    labels: dict[str, str]
    time_ms: Ints
    value: Floats


def series_of(
    samples: pd.DataFrame, *, labels: Mapping[str, str] | None = None, dialect: Dialect = CADVISOR
) -> list[OutSeries]:
    """Make the series that cAdvisor, the kubelet and kube-state-metrics would expose of these containers.

    Times become milliseconds; values with an age keep their own time. What they do not know is lost: log sizes, inodes,
    the image's size, services and other labels, and processor use, which they count only.

    Parameters
    ----------
    labels : mapping of str to str, optional
        Put on every series, as Prometheus' ``external_labels``.
    dialect : Dialect
        By whose names; OpenTelemetry's receiver knows fewer metrics, and no starts, and alone knows processor use.
    """
    checked = check_samples(samples, where="the recording")
    made: list[OutSeries] = []
    for _, rows in checked.groupby(list(INSTANCE_KEY), dropna=False, sort=False):
        made += _container_series(rows, dict(labels or {}), dialect)
    for _, rows in checked.groupby(["cluster", "namespace", "pod", "pod_uid"], dropna=False, sort=False):
        # Containers of one pod have the same values of it.
        of_pod = rows.sort_values("time").drop_duplicates("time")
        make = _pod_series if dialect is CADVISOR else _opentelemetrys_pod_series
        made += make(of_pod, dict(labels or {}), dialect)
    return [each for each in made if len(each.time_ms)]


def write_series(series: Sequence[OutSeries], api: PrometheusApi, *, again: bool = False) -> int:
    """Write series into a server that takes remote writes; return the number of samples.

    If ``again``, a request that the server refuses as older than what it has is taken for one that had arrived before.
    Raises InputError if the server cannot be reached, takes no remote writes, or refuses the user; OutOfOrderError if
    the server has newer samples; PodlabError if the server fails.
    """
    written = 0
    for batch in _batches(series):
        try:
            api.write(_pack(batch))
        except OutOfOrderError:
            if not again:
                raise
            log.info("a part that had arrived before is passed over")
        else:
            written += sum(len(each.time_ms) for each in batch)
    return written


class SeriesWriter:
    """Writes a recording, in order of time, into a server that takes remote writes, some rows after the other."""

    def __init__(self, samples: pd.DataFrame, api: PrometheusApi, *, dialect: Dialect = CADVISOR) -> None:
        self.api = api
        self.series = series_of(samples, dialect=dialect)
        self.time_ms = samples["time"].astype("int64").to_numpy() // _NS_PER_MS

    def write(self, start: int, stop: int, *, again: bool = False) -> int:
        """Write the values of the rows from ``start`` to ``stop``, and count, as :func:`write_series` does.

        Values of one millisecond are written together.
        """
        # A row of the same millisecond as the next one waits for it; what was measured apart comes in its own time.
        since_ms = int(self.time_ms[start]) if start else 0
        until_ms = int(self.time_ms[stop]) if stop < len(self.time_ms) else _END_MS
        parts = (_between(each, since_ms, until_ms) for each in self.series)
        return write_series([each for each in parts if len(each.time_ms)], self.api, again=again)


def _between(series: OutSeries, since_ms: int, until_ms: int) -> OutSeries:
    start, stop = np.searchsorted(series.time_ms, [since_ms, until_ms])
    return OutSeries(series.labels, series.time_ms[start:stop], series.value[start:stop])


def _container_series(rows: pd.DataFrame, labels: Mapping[str, str], dialect: Dialect) -> Iterator[OutSeries]:
    if dialect is CADVISOR:
        who = _who(rows, {name: name for name in ("cluster", "namespace", "pod", "container", "image", "node")})
        first = rows.iloc[0]
        uid = first["pod_uid"] if pd.notna(first["pod_uid"]) else "-".join(map(str, first[list(INSTANCE_KEY)]))
        life = hashlib.sha256("/".join(map(str, first[list(INSTANCE_KEY)])).encode()).hexdigest()
        who["id"] = f"/kubepods/burstable/pod{uid}/{life}"
    else:
        who = _who(rows, _attributes(dialect) | {"container": dialect.container_labels[0]})
    who |= labels
    for column, place in dialect.places.items():
        if CATALOGUE[column].per == "container" and column in rows:
            part = {} if place.part is None else {place.part: place.whole or "/dev/sda"}
            yield _series(place.name, who | part | dict(place.only), rows, column, place.scale)
    if dialect is CADVISOR and "started_at" in rows:
        started_ms = rows["started_at"].astype("int64").where(rows["started_at"].notna()) // _NS_PER_MS
        yield _series(STARTED.name, who, rows.assign(started_ms=started_ms), "started_ms", _MS_PER_S)


def _pod_series(rows: pd.DataFrame, labels: Mapping[str, str], dialect: Dialect) -> Iterator[OutSeries]:
    who = {**_who(rows, {name: name for name in ("cluster", "namespace", "pod")}), **labels}
    pause = who | {"container": PAUSE, "id": f"/kubepods/burstable/pod{rows['pod_uid'].iloc[0]}/pause"}
    for column, place in dialect.places.items():
        if CATALOGUE[column].family == "network" and column in rows:
            yield _series(place.name, pause | {"interface": "eth0"}, rows, column)
    rows = rows.assign(always=1.0)
    yield _series(POD_INFO, who | {"uid": str(rows["pod_uid"].fillna("").iloc[0])}, rows, "always")
    if VOLUME in rows and rows[VOLUME].notna().any():
        claim = {"persistentvolumeclaim": f"{_CLAIM}-{who['pod']}"}
        of_claim = {name: value for name, value in who.items() if name != "pod"} | claim
        yield _series(POD_CLAIMS, who | claim | {"volume": _CLAIM}, rows, "always")
        yield _series(dialect.places[VOLUME].name, of_claim, rows, VOLUME)


def _opentelemetrys_pod_series(rows: pd.DataFrame, labels: Mapping[str, str], dialect: Dialect) -> Iterator[OutSeries]:
    who = {**_who(rows, _attributes(dialect)), **labels}
    for column, place in dialect.places.items():
        if CATALOGUE[column].per == "pod" and column in rows:
            part = {place.part or "": place.whole or _CLAIM}
            yield _series(place.name, who | part | dict(place.only), rows, column)


def _attributes(dialect: Dialect) -> dict[str, str]:
    """Which of the resource's attributes, as labels, holds which column."""
    pod = dialect.pod_labels[0]
    names = {"cluster": "cluster.name", "node": "node.name", "namespace": "namespace.name", "pod_uid": "pod.uid"}
    between = pod.removeprefix("k8s")[0]
    return {"pod": pod} | {column: f"k8s.{name}".replace(".", between) for column, name in names.items()}


def _who(rows: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, str]:
    """Give the labels that hold some columns."""
    first = rows.iloc[0]
    return {name: str(first[column]) for column, name in labels.items() if column in rows and pd.notna(first[column])}


def _series(name: str, labels: Mapping[str, str], rows: pd.DataFrame, column: str, scale: float = 1.0) -> OutSeries:
    values = rows[column]
    there = values.notna().to_numpy()
    time_ns = rows["time"].astype("int64").to_numpy()
    age = AGES.get(CATALOGUE[column].family) if column in CATALOGUE else None
    if age in rows:
        # Of repeated values, such as the network's in two rows, one is enough.
        time_ns = time_ns - (rows[age].fillna(0.0).to_numpy() * 1e9).round().astype(np.int64)
    time_ms = time_ns[there] // _NS_PER_MS
    # Two samples within a millisecond are one there.
    time_ms, last = np.unique(time_ms[::-1], return_index=True)
    value = values[there].to_numpy(np.float64)[::-1][last] / scale
    named = {"__name__": name, **labels}
    return OutSeries({label: named[label] for label in sorted(named) if named[label]}, time_ms.astype(np.int64), value)


def _batches(series: Sequence[OutSeries]) -> Iterator[list[OutSeries]]:
    """Cut series into requests: slice of time by slice of time, all series of it before the next."""
    if not series:
        return
    first_ms = min(int(each.time_ms[0]) for each in series)
    # Between two recordings there may be years without a sample.
    numbers = np.unique(np.concatenate([(each.time_ms - first_ms) // _SLICE_MS for each in series]))
    batch: list[OutSeries] = []
    size = 0
    for begin_ms in (numbers * _SLICE_MS + first_ms).tolist():
        for each in series:
            part = _between(each, begin_ms, begin_ms + _SLICE_MS)
            if len(part.time_ms):
                batch.append(part)
                size += len(part.time_ms)
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _pack(series: Sequence[OutSeries]) -> bytes:
    """Write a ``WriteRequest`` and pack it."""
    request = bytearray()
    for each in series:
        body = b"".join(
            _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in each.labels.items()
        )
        body += _samples(each)
        request += _field(1, body)
    return bytes(pa.compress(bytes(request), codec="snappy", asbytes=True))


def _samples(series: OutSeries) -> bytes:
    least, most = _SIX_BYTES
    if series.time_ms[0] < least or series.time_ms[-1] >= most:
        raise InputError("a sample's time is before 1971 or after 2109", where="the recording")
    packed = np.empty(len(series.time_ms), dtype=_SAMPLE)
    packed["head"] = np.void(b"\x12\x10\x09")
    packed["value"] = series.value
    packed["tag"] = 0x10
    for place in range(6):
        more = 0x80 if place < 5 else 0
        packed["time"][:, place] = (series.time_ms >> (7 * place)) & 0x7F | more
    return packed.tobytes()


def _field(number: int, content: bytes) -> bytes:
    """Write a field of bytes with its length."""
    length, size = bytearray(), len(content)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content
