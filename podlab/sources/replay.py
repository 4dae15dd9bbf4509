"""Writing a recording into InfluxDB or Prometheus as their agents would: live metrics without a cluster."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pandas as pd

from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.progress import Progress
from podlab.sources.influx_http import InfluxDatabase, quote_identifier
from podlab.sources.influx_lines import PointWriter
from podlab.sources.influx_wire import RefusedError, read_series
from podlab.sources.prometheus_dialect import CADVISOR, Dialect
from podlab.sources.prometheus_http import PrometheusApi
from podlab.sources.prometheus_write import SeriesWriter

log = logging.getLogger(__name__)

_NS_PER_S: Final = 1_000_000_000
#: The server's authors advise 5,000 to 10,000 points a request.
_BATCH_POINTS: Final = 5_000
# One each of the containers', network, volume, block I/O and identity measurements, and two of what was scraped.
_POINTS_PER_ROW: Final = 7
# When time is played, points are sent as they come due, at least this often.
_BATCH_S: Final = 1.0


@dataclass(frozen=True)
class Replayed:
    """What a replay wrote.

    Attributes
    ----------
    samples, points : int
        Rows, and points of InfluxDB or values of Prometheus, that this run wrote; what an interrupted run before it
        wrote is not counted.
    resumed_at : int
        How many samples an interrupted run had written before.
    since, until : Timestamp
        The times that the first and the last sample have in the database.
    """

    samples: int
    points: int
    resumed_at: int
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
    tells is written as Telegraf's ``prometheus`` input does. What Telegraf does not carry (uid, image, start, image
    size, inodes, ages of values, labels) goes into the measurement ``podlab_container``.

    Into Prometheus by remote write, as the series of cAdvisor and kube-state-metrics, or as those of OpenTelemetry's
    kubeletstats receiver; what is lost by it is told by
    :func:`podlab.sources.prometheus_write.series_of`.

    Parameters
    ----------
    frame : DataFrame
        A samples table.
    target : InfluxDatabase or PrometheusApi
        Where to; InfluxDB's database is made when it is missing and the user may do so.
    speed : float, optional
        Play the samples ``speed`` times as fast as they were taken; as fast as can be by default.
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

    Returns
    -------
    Replayed

    Raises
    ------
    InputError
        If the server cannot be reached or refuses; if a name cannot be stored; if two containers of one name have
        a sample at the same instant, which Telegraf's schema cannot tell apart. Prometheus refuses what is older than
        what it has.
    PodlabError
        If the server fails. As after Ctrl-C, ``state_path`` then tells the next replay where to go on.
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
    writer: _Writer
    if isinstance(target, InfluxDatabase):
        writer = _PointsWriter(samples, target, where, jitter_s, shift_ns)
    else:
        writer = SeriesWriter(samples, target, shift_ns=shift_ns, dialect=dialect)

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


class _PointsWriter:
    """Writes points of Telegraf's schema into InfluxDB; what is there already is replaced by the same."""

    def __init__(
        self, samples: pd.DataFrame, target: InfluxDatabase, where: str, jitter_s: float, shift_ns: int
    ) -> None:
        self.points = PointWriter(samples, where=where, jitter_s=jitter_s)
        self.target, self.shift_ns = target, shift_ns
        _make_database(target)

    def write(self, start: int, stop: int, *, again: bool) -> int:
        lines = self.points.lines(start, stop, shift_ns=self.shift_ns)
        self.target.write("\n".join(lines).encode())
        return len(lines)


def _make_database(target: InfluxDatabase) -> None:
    """Make the database unless it is there; only an administrator may, so nobody else is asked to."""
    try:
        databases = read_series(target.query("SHOW DATABASES"), where=target.name)
        if not any(row == (target.bare_name,) for series in databases for row in series.rows):
            read_series(target.query(f"CREATE DATABASE {quote_identifier(target.bare_name)}"), where=target.name)
    except RefusedError as error:
        raise target.refusal(error.message) from None


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
