"""Writing a recording into InfluxDB or Prometheus as their agents would: live metrics without a cluster."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, TIMES
from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.progress import Progress
from podlab.sources import telegraf, telegraf_scraped
from podlab.sources.influxdb_client import InfluxDatabase, format_fields, format_tags
from podlab.sources.prometheus_client import PrometheusApi
from podlab.sources.prometheus_query import CADVISOR, Dialect
from podlab.sources.remote_write import SeriesWriter

if TYPE_CHECKING:
    from influxdb import InfluxDBClient

log = logging.getLogger(__name__)

_NS_PER_S: Final = 1_000_000_000
#: How many of ``jitter_s`` later than the containers' own a measurement is stamped.
_LATER: Final = {telegraf.NETWORK: 1, telegraf.VOLUME: 2, telegraf.BLKIO: 3}
#: A recording holds the sum over a pod's volumes, so one volume represents all.
_VOLUME_NAME: Final = "all"
_NAMES: Final = ["cluster", "node", "namespace", "pod", "pod_uid", "container", "image"]
_POD: Final = ["cluster", "namespace", "pod"]


class PointWriter:
    """Writes a checked samples table, in order of time, into InfluxDB as Telegraf would; equal points are replaced.

    The database is made where it is missing. Raises InputError if a name cannot be a tag, or if two rows are the same
    point in Telegraf's schema; ``where`` is the file they came from, and ``jitter_s`` is as for :func:`replay`.
    """

    def __init__(self, samples: pd.DataFrame, target: InfluxDatabase, *, where: str, jitter_s: float = 0.0) -> None:
        # Of names a recording need hold the pod's and the container's only.
        samples = samples.assign(**{name: None for name in _NAMES if name not in samples})
        _refuse_indistinct(samples, where)
        self._measurements = telegraf.measurements(samples.columns)
        self._later_ns = {name: round(times * jitter_s * _NS_PER_S) for name, times in _LATER.items()}
        names = samples[_NAMES].astype("object").where(samples[_NAMES].notna(), "")
        numbers, distinct = pd.factorize(pd.MultiIndex.from_frame(names))
        self._who = numbers
        self._tags = [
            {m.name: m.name + format_tags(_tags(m.name, named), where=where) for m in self._measurements}
            for named in (dict(zip(_NAMES, key, strict=True)) for key in distinct)
        ]
        self._time_ns = samples["time"].astype("int64").to_numpy()
        self._samples = samples
        self._scraped = [
            (columns, [self._scraped_head(dict(zip(_NAMES, key, strict=True)), per_pod, where) for key in distinct])
            for per_pod, columns in telegraf_scraped.written_columns(samples.columns).items()
        ]
        self._target = target
        with official_client(target) as client:
            # Only an administrator may make one, so nobody else is asked to.
            if not any(target.bare_name in each.values() for each in client.get_list_database()):
                client.create_database(target.bare_name)

    def write(self, start: int, stop: int, *, again: bool = False) -> int:
        """Write the rows from ``start`` to before ``stop``; return how many points that are."""
        lines = self._lines(start, stop)
        with official_client(self._target) as client:
            client.write(lines, {**self._target.place, "precision": "ns"}, protocol="line")
        return len(lines)

    def _lines(self, start: int, stop: int) -> list[str]:
        rows = slice(start, stop)
        who = self._who[rows].tolist()
        time_ns = self._time_ns[rows].tolist()
        lines: list[str] = []
        for measurement in self._measurements:
            stamps = [ns + self._later_ns.get(measurement.name, 0) for ns in time_ns]
            present = {column: name for column, name in measurement.fields.items() if column in self._samples}
            values = [_plain(self._samples[column].iloc[rows]) for column in present]
            tagged = [self._tags[number][measurement.name] for number in who]
            lines += _join_lines(tagged, present.values(), values, stamps)
        for columns, heads in self._scraped:
            lines += self._scraped_lines(rows, columns, [heads[number] for number in who], time_ns)
        return lines

    @staticmethod
    def _scraped_head(named: Mapping[str, str], per_pod: bool, where: str) -> str:
        group = f"/kubepods/burstable/pod{named['pod_uid']}"
        own = {"id": f"{group}/pause", "interface": "eth0"}
        if not per_pod:
            own = {"id": f"{group}/{named['container']}", "container": named["container"], "image": named["image"]}
        tags = {name: named[name] for name in ("cluster", "namespace", "pod")} | {"host": named["node"]} | own
        return telegraf_scraped.ALL_IN_ONE + format_tags(tags, where=where)

    def _scraped_lines(self, rows: slice, columns: list[str], heads: list[str], time_ns: list[int]) -> list[str]:
        """Write what the ``prometheus`` input would, in one point of all metrics of a container or pod."""
        age = AGES.get(CATALOGUE[columns[0]].family)
        if age in self._samples:
            age_ns = (self._samples[age].iloc[rows].fillna(0.0).to_numpy() * _NS_PER_S).round().astype(np.int64)
            time_ns = (np.array(time_ns) - age_ns).tolist()
        values = []
        for column in columns:
            given = self._samples[column].iloc[rows]
            scaled = given.astype("Float64").to_numpy(np.float64, na_value=np.nan) / CADVISOR.places[column].scale
            values.append([None if gone else value for value, gone in zip(scaled.tolist(), given.isna(), strict=True)])
        names = [CADVISOR.places[column].name for column in columns]
        return _join_lines(heads, names, values, time_ns)


def _join_lines(
    heads: Iterable[str], names: Collection[str], columns: Sequence[Sequence[Any]], stamps: Iterable[int]
) -> list[str]:
    """Write a point for each row of some columns, without the fields that are missing in it."""
    lines = []
    for head, stamp, row in zip(heads, stamps, zip(*columns, strict=True), strict=False):
        fields = {name: value for name, value in zip(names, row, strict=True) if value is not None}
        if fields:
            lines.append(f"{head} {format_fields(fields)} {stamp}")
    return lines


def _tags(measurement: str, named: Mapping[str, str]) -> dict[str, str]:
    node = named["node"]
    if measurement == telegraf.BLKIO:
        image, _, version = named["image"].rpartition(":")
        name = telegraf.docker_name(named["container"], named["pod"], named["namespace"], named["pod_uid"])
        labels = {label: named[column] for column, label in telegraf.DOCKER_LABELS.items()}
        about = {
            "engine_host": node, "container_image": image or version, "container_version": version if image else ""
        }  # fmt: skip
        tags = {telegraf.CONTAINER_TAG: name, "device": "total", **about, **labels}
    else:
        tags = {telegraf.NODE_TAG: node, telegraf.NAMESPACE_TAG: named["namespace"], telegraf.POD_TAG: named["pod"]}
        if measurement == telegraf.VOLUME:
            tags[telegraf.VOLUME_TAG] = _VOLUME_NAME
        elif measurement != telegraf.NETWORK:
            tags[telegraf.CONTAINER_TAG] = named["container"]
    return {telegraf.CLUSTER_TAG: named["cluster"], "host": node, **tags}


def _plain(values: pd.Series) -> list[Any]:
    """Bring a column to what line protocol knows; None where a value is missing."""
    missing = values.isna().to_numpy(dtype=bool)
    name = str(values.name)
    plain: list[Any]
    if name in TIMES:
        plain = values.astype("int64").tolist()
    elif name in CATALOGUE:
        # Telegraf writes integers; a gauge's fraction is less than its unit.
        whole = values.round() if values.dtype == np.float64 else values
        plain = whole.fillna(0).astype("int64").tolist()
    elif values.dtype == "boolean":
        plain = values.fillna(False).astype(bool).tolist()
    else:
        plain = values.astype("object").tolist()
    return [None if gone else value for gone, value in zip(missing.tolist(), plain, strict=True)]


def _refuse_indistinct(samples: pd.DataFrame, where: str) -> None:
    """Refuse rows that would become one point, of which the last would win."""
    twins = samples.duplicated([*_POD, "container", "time"])
    if not twins.any():
        per_pod = [c for c in samples if str(c) in CATALOGUE and CATALOGUE[str(c)].per == "pod"]
        shared = samples[samples.duplicated([*_POD, "time"], keep=False)].dropna(subset=per_pod)
        twins = ~shared.duplicated([*_POD, "time", *per_pod]) & shared.duplicated([*_POD, "time"])
        samples = shared
    if twins.any():
        row = samples[twins].iloc[0]
        what = f"pod {row['pod']!r} occurs twice at {row['time']}, with different values"
        hint = "Telegraf's schema distinguishes pods by name alone: replay their recordings into different databases"
        raise InputError(what, where=where, hint=hint)


@contextmanager
def official_client(database: InfluxDatabase) -> Iterator[InfluxDBClient]:
    """Give the official client of a database, with podlab's own HTTP underneath.

    So a login, a proxy, certificates, time-outs and the words of errors are the same as for every other request, and
    the client's ways to make databases, users and policies and to write points are there. Raises what
    :meth:`podlab.sources.influxdb_client.InfluxDatabase.query` does; InputError also if the client is not installed.
    """
    try:
        from influxdb import InfluxDBClient
        from influxdb.exceptions import InfluxDBClientError
    except ImportError:
        hint = "install podlab[workbench]"
        raise InputError("writing a recording needs the package influxdb", where=database.name, hint=hint) from None
    client = InfluxDBClient(database=database.bare_name, retries=1, session=_Session(database))
    try:
        yield client
    except InfluxDBClientError as error:
        raise database.refusal(str(error.content)) from None


@dataclass(frozen=True)
class _Session:
    """What the official client sends its requests by, in place of a session of requests."""

    database: InfluxDatabase

    def mount(self, prefix: str, adapter: object) -> None:
        """Take no note: connections are made elsewhere."""

    def request(
        self, method: str, url: str, *, params: Mapping[str, Any], data: bytes | None, **_options: object
    ) -> _Response:
        path = urlsplit(url).path
        # InfluxDB 3 takes questions by GET alone.
        method = "GET" if path == "/query" and self.database.version.major == 3 else method
        body = self.database.send(method, path, data, {name: str(value) for name, value in params.items()})
        return _Response(body, HTTPStatus.OK if path == "/query" else HTTPStatus.NO_CONTENT)


@dataclass
class _Response:
    """As much of a response of requests as the official client looks at; it adds what it read."""

    content: bytes
    status_code: int

    @property
    def headers(self) -> dict[str, str]:
        is_json = self.content[:1] == b"{"
        return {"Content-Type": "application/json" if is_json else "application/x-msgpack"} if self.content else {}

    def json(self) -> Any:
        return msgspec.json.decode(self.content)


#: The server's authors advise 5,000 to 10,000 points a request.
_BATCH_POINTS: Final = 5_000
# One each of the containers', network, volume, block I/O and identity measurements, and two of what was scraped.
_POINTS_PER_ROW: Final = 7
# When time is played, points are sent as they come due, at least this often.
_BATCH_S: Final = 1.0


@dataclass(frozen=True)
class Replayed:
    """What a replay wrote."""

    #: Rows, and points of InfluxDB or values of Prometheus, that this run wrote; what an interrupted run before it
    #: wrote is not counted.
    samples: int
    points: int
    resumed_at: int  # how many samples an interrupted run had written before
    #: The times that the first and the last sample have in the database.
    since: pd.Timestamp
    until: pd.Timestamp


def replay(
    frame: pd.DataFrame,
    target: InfluxDatabase | PrometheusApi,
    *,
    speed: float | None = None,
    now: bool = False,
    batch: int = _BATCH_POINTS,
    jitter_s: float = 0.0,
    dialect: Dialect = CADVISOR,
    state_path: Path | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Replayed:
    """Write samples into a live database.

    Into InfluxDB as Telegraf would have. Gauges become whole numbers, because Telegraf writes integers. Writing the
    same samples again changes nothing: a point replaces the one of the same series and instant. What only cAdvisor
    measures is written as Telegraf's ``prometheus`` input does. What Telegraf does not carry (uid, image, start, image
    size, inodes, ages of values, labels) goes into the measurement ``podlab_container``.

    Into Prometheus by remote write, as the series of cAdvisor and kube-state-metrics, or as those of OpenTelemetry's
    kubeletstats receiver; :func:`podlab.sources.remote_write.series_of` lists what is lost.

    Parameters
    ----------
    frame : DataFrame
        A samples table.
    target : InfluxDatabase or PrometheusApi
        Where to; InfluxDB's database is made when it is missing and the user may do so.
    speed : float, optional
        Play the samples ``speed`` times as fast as they were taken; as fast as possible by default.
    now : bool
        Shift all times, so that the last sample is at the present when it is written.
    batch : int
        Points of InfluxDB a request, at most.
    jitter_s : float
        Of InfluxDB: stamp the network, volume and block I/O measurements this many seconds, and twice and three times
        as many, after the containers' own, as real agents do more or less.
    dialect : Dialect
        Of Prometheus: by whose names.
    state_path : Path, optional
        A small file that remembers the last batch. When it is there and fits, the replay goes on from it; it is
        removed at the end. Without it, an interrupted replay starts anew.
    progress : callable, optional
        Called with the samples written, the samples in all, and the word ``samples``.
    clock, sleep : callable
        The present in seconds since 1970, and how to wait.

    Raises
    ------
    InputError
        If the server cannot be reached or refuses; if a name cannot be stored; if two containers of one name have
        a sample at the same instant, which are one point in Telegraf's schema. Prometheus refuses what is older than
        what it has.
    PodlabError
        If the server fails. As after Ctrl-C, the next replay continues from ``state_path``.
    """
    if speed is not None and not 0 < speed < float("inf"):
        raise InputError(f"the speed must be greater than 0, not {speed}", where="--speed")
    where = "the recording"
    samples = check_samples(frame, where=where).sort_values("time", kind="stable", ignore_index=True)
    time_ns = samples["time"].astype("int64").to_numpy()
    first_ns, last_ns = int(time_ns[0]), int(time_ns[-1])

    state = _State(state_path, _fingerprint(samples, target, jitter_s, speed, now, dialect.name))
    done, shift_ns = state.load()
    if shift_ns is None:
        playing_s = 0.0 if speed is None else (last_ns - first_ns) / _NS_PER_S / speed
        shift_ns = int((clock() + playing_s) * _NS_PER_S) - last_ns if now else 0
    shift = pd.Timedelta(shift_ns, "ns")
    moved = samples.assign(**{name: samples[name] + shift for name in TIMES if name in samples})
    writer: _Writer
    if isinstance(target, InfluxDatabase):
        writer = PointWriter(moved, target, where=where, jitter_s=jitter_s)
    else:
        writer = SeriesWriter(moved, target, dialect=dialect)

    resumed_at, points, started_s = done, 0, clock()
    while done < len(samples):
        end = min(done + max(1, batch // _POINTS_PER_ROW), len(samples))
        if speed is not None:
            soon = np.searchsorted(time_ns, time_ns[done] + int(speed * _BATCH_S * _NS_PER_S), side="right")
            end = min(end, int(soon))
            # Not before its last sample is due, so that nothing is written that has not happened yet.
            due_s = started_s + (time_ns[end - 1] - time_ns[resumed_at]) / _NS_PER_S / speed
            sleep(max(0.0, due_s - clock()))
        # What was under way when a replay was interrupted may have arrived.
        points += writer.write(done, end, again=done == resumed_at > 0)
        done = end
        state.save(done, shift_ns)
        if progress is not None:
            progress(done, len(samples), "samples")
    state.remove()
    since, until = (pd.Timestamp(ns + shift_ns, tz="UTC") for ns in (first_ns, last_ns))
    return Replayed(samples=len(samples) - resumed_at, points=points, resumed_at=resumed_at, since=since, until=until)


class _Writer(Protocol):
    """Writes samples, by their rows in order of time."""

    def write(self, start: int, stop: int, *, again: bool) -> int:
        """Write the rows from ``start`` to ``stop``, and count; some of them may be there already if ``again``."""


def _fingerprint(samples: pd.DataFrame, target: InfluxDatabase | PrometheusApi, *options: object) -> str:
    """Tell one replay from another: the same samples to the same place in the same way."""
    rows = pd.util.hash_pandas_object(samples, index=False).to_numpy()
    how = json.dumps([list(samples.columns), target.name, *options])
    return hashlib.sha256(rows.tobytes() + how.encode()).hexdigest()


@dataclass
class _State:
    """How far a replay came, on disk."""

    path: Path | None
    fingerprint: str

    def load(self) -> tuple[int, int | None]:
        """Return how many samples are written and by how much times are shifted; (0, None) for a new replay."""
        if self.path is None:
            return 0, None
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            if held["fingerprint"] == self.fingerprint:
                return int(held["samples"]), int(held["shift_ns"])
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            log.warning("%s: not a replay's state; the replay starts anew", self.path)
        return 0, None

    def save(self, done: int, shift_ns: int) -> None:
        if self.path is not None:
            with atomic_file(self.path) as temporary:
                held = {"fingerprint": self.fingerprint, "samples": done, "shift_ns": shift_ns}
                temporary.write_text(json.dumps(held), encoding="utf-8")

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)
