"""Samples to signals: what a detector looks at, updated with each sample in constant time and memory.

Every series gives one or two signals on a scale on which a step means about the same for a small and a large container,
``arcsinh(value / unit)``: linear near 0, logarithmic above the unit.

- a *counter* gives its rate, never its level. A step where it falls (a restart, a wrap) has no rate;
- a *gauge* gives its level, and its growth per second: a leak grows long before its level is anomalous;
- a few *contrasts* of two signals show work without requests, and the like, at any load.

:data:`SIGNALS` begins with those of the original metrics, which detectors of older models see alone.

Signals are means over the last seconds; one without a value in the present sample is missing (NaN). With each comes its
change from the container's own baseline, and the mean square of such changes so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, Family
from podlab.features.rows import Rows
from podlab.features.windows import ALL_SERIES, SERIES

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A signal is a mean over about this long, weighted exponentially.
FAST_S = 5.0
#: The baseline of a container is a mean over about this long, and so is the mean square of its changes.
SLOW_S = 240.0
SPREAD_S = 300.0
#: A sample stands for so long at most: nothing is known about a gap.
LONGEST_STEP_S = 60.0
#: Changes are clipped here before their mean square is taken.
MAX_CHANGE = 3.0
#: Amounts per second, by family, and of levels, by unit, that count as nothing.
_RATE_UNITS = {
    "cpu": 1e6, "filesystem": 2.0**12, "volume": 2.0**12, "network": 1e3, "io": 2.0**12, "memory": 2.0**16,
}  # fmt: skip
_COUNT_UNITS = {"memory": 10.0, "network": 1.0, "io": 1.0, "cpu": 0.1, "filesystem": 1.0, "processes": 0.1}
_LEVEL_UNITS = {"bytes": 2.0**20, "1": 1.0}
#: Over a shorter step there is no rate: clocks are not that exact.
_MIN_STEP_S = 1e-3


@dataclass(frozen=True)
class _Signal:
    series: str
    growth: bool

    @property
    def name(self) -> str:
        """The series' name, with ``.growth`` behind it for its growth."""
        return f"{self.series}.growth" if self.growth else self.series

    @property
    def level(self) -> bool:
        """Whether it is a gauge's level."""
        return not self.growth and CATALOGUE[ALL_SERIES[self.series][0]].kind == "gauge"

    @property
    def unit(self) -> float:
        """Amount that counts as nothing."""
        metric = CATALOGUE[self.series]
        if self.level:
            return _LEVEL_UNITS[metric.unit]
        return (_COUNT_UNITS if metric.unit == "1" else _RATE_UNITS)[metric.family]


def _signals_of(series: str) -> list[_Signal]:
    gauge = CATALOGUE[SERIES[series][0]].kind == "gauge"
    return [_Signal(series, False), _Signal(series, True)] if gauge else [_Signal(series, False)]


_ORIGINAL = tuple(signal for series in SERIES for signal in _signals_of(series))
#: Of the metrics that were added later, those that show a fault which the original ones hide. Pressure is not among
#: them, since models do not ask sources for it.
_LEVELS = (
    "processes", "threads", "file_descriptors", "sockets", "memory_cache_bytes", "memory_kernel_bytes",
    "rootfs_inodes_used",
)  # fmt: skip
_RATES = (
    "cpu_system_core_nanoseconds", "cpu_throttled_nanoseconds", "memory_limit_hits", "io_read_operations",
    "io_write_operations", "rx_packets", "tx_packets", "rx_dropped",
)  # fmt: skip
#: Counted only in a container with a limit: without one there is nothing, and a limit that is set is a change.
UNDER_A_LIMIT = frozenset({"cpu_throttled_nanoseconds", "memory_limit_hits"})
_PLAIN = (
    *_ORIGINAL,
    *(_Signal(series, growth) for series in _LEVELS for growth in (False, True)),
    *(_Signal(series, False) for series in _RATES),
)
_UNIT = np.array([signal.unit for signal in _PLAIN])
_CONTRASTS = (
    ("cpu_usage_nanocores", "rx_bytes"),
    ("cpu_usage_nanocores", "tx_bytes"),
    ("tx_bytes", "rx_bytes"),
    ("logsfs_used_bytes.growth", "rx_bytes"),
    ("io_write_bytes", "rx_bytes"),
    ("memory_page_faults", "rx_bytes"),
)
_FURTHER_CONTRASTS = (
    ("cpu_system_core_nanoseconds", "cpu_usage_nanocores"),
    ("rx_packets", "rx_bytes"),
    ("tx_packets", "rx_packets"),
    ("io_read_bytes", "rx_bytes"),
)
_NUMBER = {signal.name: number for number, signal in enumerate(_PLAIN)}
_CONTRAST_NAMES = [f"{left} per {right}" for left, right in (*_CONTRASTS, *_FURTHER_CONTRASTS)]

#: Names of the signals that detectors of older models see: those of the original metrics, then their contrasts.
ORIGINAL_SIGNALS: tuple[str, ...] = (*(signal.name for signal in _ORIGINAL), *_CONTRAST_NAMES[: len(_CONTRASTS)])
#: Names of all signals, in order.
SIGNALS: tuple[str, ...] = (
    *ORIGINAL_SIGNALS, *(signal.name for signal in _PLAIN[len(_ORIGINAL) :]), *_CONTRAST_NAMES[len(_CONTRASTS) :]
)  # fmt: skip
#: Whether changes of a signal are used (n_signals,). What was written stays on a file system after the fault, so there
#: only the growth counts.
CHANGES = np.array(
    [
        name in _CONTRAST_NAMES
        or not (_PLAIN[_NUMBER[name]].level and CATALOGUE[name].family in ("filesystem", "volume"))
        for name in SIGNALS
    ]
)
#: Whether a signal is a gauge's growth (n_signals,).
GROWTHS = np.array([name in _NUMBER and _PLAIN[_NUMBER[name]].growth for name in SIGNALS])


def signal_amount(name: str, value: float) -> float:
    """Give a signal's value in its metric's unit, a second where it is a rate or a growth; NaN for a contrast."""
    return float(_UNIT[_NUMBER[name]] * np.sinh(value)) if name in _NUMBER else np.nan


class _Layout:
    """Which metrics the first signals are made from, and how: all of them, or the original metrics' only."""

    def __init__(self, signals: int) -> None:
        original = signals == len(ORIGINAL_SIGNALS)
        self.plain = _ORIGINAL if original else _PLAIN
        contrasts = _CONTRASTS if original else (*_CONTRASTS, *_FURTHER_CONTRASTS)
        self.unit = _UNIT[: len(self.plain)]
        self.left, self.right = ([_NUMBER[pair[side]] for pair in contrasts] for side in (0, 1))
        made = [*(signal.name for signal in self.plain), *_CONTRAST_NAMES[: len(contrasts)]]
        self.order = [made.index(name) for name in SIGNALS[:signals]]
        sources = {source for signal in self.plain for source in ALL_SERIES[signal.series]}
        self.counters, self.gauges = (
            tuple(name for name in MEASURED_METRICS if name in sources and CATALOGUE[name].kind == kind)
            for kind in ("counter", "gauge")
        )


_LAYOUTS = {number: _Layout(number) for number in (len(ORIGINAL_SIGNALS), len(SIGNALS))}


@dataclass(frozen=True)
class ObservedSignals:
    """Signals of a sample of each of some containers, or of some rows.

    Attributes
    ----------
    value : array (n, n_signals)
        NaN where missing, as in ``change``.
    change : array (n, n_signals)
        Difference from the container's baseline so far.
    mean_square : array (n, n_signals)
        Mean square of the changes so far.
    learned_s : array (n, n_signals)
        Seconds for which the baseline has learned.
    """

    value: NDArray[Any]
    change: NDArray[Any]
    mean_square: NDArray[Any]
    learned_s: NDArray[Any]

    @classmethod
    def empty(cls, rows: int, signals: int = len(SIGNALS)) -> ObservedSignals:
        """Make room for so many signals of so many rows, at half the precision where that is enough."""
        shape = (rows, signals)
        return cls(np.empty(shape), np.empty(shape), np.empty(shape, np.float32), np.empty(shape, np.float32))

    def take(self, chosen: NDArray[Any]) -> ObservedSignals:
        """Keep some rows."""
        return ObservedSignals(
            self.value[chosen], self.change[chosen], self.mean_square[chosen], self.learned_s[chosen]
        )

    def first(self, number: int) -> ObservedSignals:
        """Keep the first signals, such as those of :data:`ORIGINAL_SIGNALS`, without a copy."""
        return ObservedSignals(*(array[:, :number] for array in vars(self).values()))

    def put(self, which: IntArray, other: ObservedSignals) -> None:
        """Overwrite some rows."""
        for name, array in vars(self).items():
            array[which] = getattr(other, name)


class SignalState:
    """State of each container between two samples: a few numbers, however long it lives.

    Parameters
    ----------
    size : int
        Number of containers.
    signals : int
        Number of signals: those of :data:`ORIGINAL_SIGNALS`, at half the cost, or all.
    """

    def __init__(self, size: int, signals: int = len(SIGNALS)) -> None:
        made = _LAYOUTS[signals]
        self._counted = np.zeros((size, len(made.counters)), dtype=np.int64)
        self._counted_s = np.full((size, len(made.counters)), np.nan)
        self._level = np.zeros((size, len(made.gauges)))
        self._level_s = np.full((size, len(made.gauges)), np.nan)
        self._mean = np.full((size, len(made.plain)), np.nan)
        self._mean_s = np.full((size, len(made.plain)), np.nan)
        self._slow = np.full((size, signals), np.nan)
        self._slow_s = np.full((size, signals), np.nan)
        self._square = np.zeros((size, signals))
        self._learned_s = np.zeros((size, signals))

    def resize(self, size: int) -> None:
        """Make room for more containers; those there keep their numbers."""
        fresh = SignalState(size, self.signals)
        for name, array in vars(self).items():
            vars(fresh)[name][: len(array)] = array
        vars(self).update(vars(fresh))

    def forget(self, which: IntArray) -> None:
        """Reset some containers, whose numbers others take."""
        fresh = SignalState(1, self.signals)
        for name, array in vars(self).items():
            array[which] = vars(fresh)[name]

    @property
    def signals(self) -> int:
        """Number of signals."""
        return self._slow.shape[1]

    def observe(
        self,
        which: IntArray,
        time_s: FloatArray,
        values: Mapping[str, NDArray[Any]],
        valid: Mapping[str, BoolArray],
        ages: Mapping[Family, FloatArray] | None = None,
    ) -> ObservedSignals:
        """Take one sample of each of some containers.

        Parameters
        ----------
        which : array of int64 (n,)
            Their numbers, none twice.
        time_s : array of float64 (n,)
            Time of the sample, on one clock for each container. Over a step back there is no rate.
        values, valid : mapping of str to array (n,)
            By metric column, as in :class:`podlab.features.rows.Rows`; counters are int64.
        ages : mapping of str to array (n,), optional
            By family of metrics, as there.

        Returns
        -------
        ObservedSignals
            Baselines do not learn from it yet: see :meth:`learn`.
        """
        now = self._read(which, time_s, values, valid, ages or {})
        mean, mean_s = self._mean[which], self._mean_s[which]
        there = ~np.isnan(now)
        since_s = np.maximum(time_s[:, None] - mean_s, 0.0)
        share = np.where(np.isnan(mean_s), 1.0, -np.expm1(-since_s / FAST_S))
        mean = np.where(there, np.where(np.isnan(mean), 0.0, mean) * (1 - share) + share * np.nan_to_num(now), mean)
        self._mean[which] = mean
        self._mean_s[which] = np.where(there, time_s[:, None], mean_s)
        made = _LAYOUTS[self.signals]
        plain = np.where(there, np.arcsinh(mean / made.unit), np.nan)
        signals = np.concatenate([plain, plain[:, made.left] - plain[:, made.right]], axis=1)[:, made.order]
        return ObservedSignals(signals, signals - self._slow[which], self._square[which], self._learned_s[which])

    def learn(self, which: IntArray, time_s: FloatArray, signals: FloatArray) -> None:
        """Update the baselines of some containers with their signals, as :meth:`observe` gave them (n, n_signals).

        At first a baseline is the plain mean, later one over the last minutes. NaN changes nothing.
        """
        slow, slow_s, learned_s = self._slow[which], self._slow_s[which], self._learned_s[which]
        there = ~np.isnan(signals)
        step_s = np.nan_to_num(np.clip(time_s[:, None] - slow_s, 0.0, LONGEST_STEP_S))
        total_s = learned_s + step_s
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.nan_to_num(step_s / total_s)
        share = np.where(np.isnan(slow), 1.0, np.maximum(part, -np.expm1(-step_s / SLOW_S)))
        moved = np.nan_to_num(slow) * (1 - share) + share * np.nan_to_num(signals)
        change = np.clip(np.nan_to_num(signals - slow), -MAX_CHANGE, MAX_CHANGE)
        spread = np.maximum(part, -np.expm1(-step_s / SPREAD_S)) * (change**2 - self._square[which])
        self._square[which] += np.where(there & ~np.isnan(slow), spread, 0.0)
        self._slow[which] = np.where(there, moved, slow)
        self._slow_s[which] = np.where(there, time_s[:, None], slow_s)
        self._learned_s[which] = np.where(there, total_s, learned_s)

    def pause(self, which: IntArray, time_s: FloatArray) -> None:
        """Let time pass for the baselines of some containers without learning."""
        slow_s = self._slow_s[which]
        self._slow_s[which] = np.where(np.isnan(slow_s), slow_s, time_s[:, None])

    def _read(
        self,
        which: IntArray,
        time_s: FloatArray,
        values: Mapping[str, NDArray[Any]],
        valid: Mapping[str, BoolArray],
        ages: Mapping[Family, FloatArray],
    ) -> FloatArray:
        """Give the sample's levels, rates and growths before averaging (n, n_plain)."""
        found: dict[tuple[str, bool], FloatArray] = {}
        made = _LAYOUTS[self.signals]
        for names, last, last_s in (
            (made.counters, self._counted, self._counted_s),
            (made.gauges, self._level, self._level_s),
        ):
            for column, name in enumerate(names):
                if name not in valid:
                    continue
                before, before_s, there = last[which, column], last_s[which, column], valid[name]
                now = values[name].astype(last.dtype, copy=False)
                age_s = ages.get(CATALOGUE[name].family) if names is made.counters else None
                own_s = time_s if age_s is None else time_s - age_s
                step_s = own_s - before_s
                with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                    rate = np.where(there & (step_s >= _MIN_STEP_S), (now - before) / step_s, np.nan)
                if names is made.counters:
                    found[name, False] = np.where(now >= before, rate, np.nan)
                else:
                    found[name, False] = np.where(there, now, np.nan)
                    found[name, True] = rate
                last[which, column] = np.where(there, now, before)
                last_s[which, column] = np.where(there, own_s, before_s)
        nowhere = np.zeros(which.size, dtype=bool)
        runs = np.any([valid.get(name, nowhere) for name in ALL_SERIES["cpu_usage_nanocores"]], axis=0)
        for name in UNDER_A_LIMIT.intersection(made.counters, valid):
            unlimited = runs & ~valid[name]
            found[name, False] = np.where(unlimited, 0.0, found.get((name, False), np.nan))
        out = np.full((which.size, len(made.plain)), np.nan)
        for position, signal in enumerate(made.plain):
            for source in ALL_SERIES[signal.series]:
                if (source, signal.growth) in found:
                    values_now = found[source, signal.growth]
                    out[:, position] = np.where(np.isnan(out[:, position]), values_now, out[:, position])
        return out


def metrics_of(signals: Sequence[int]) -> tuple[str, ...]:
    """Name the metrics that some signals, given by their numbers, are made from, in the catalogue's order."""
    series = {name.removesuffix(".growth") for number in signals for name in SIGNALS[number].split(" per ")}
    sources = {source for name in series for source in ALL_SERIES[name]}
    return tuple(name for name in MEASURED_METRICS if name in sources)


def unit_of(signal: str) -> float:
    """Give the amount of a metric that counts as nothing."""
    return float(_UNIT[_NUMBER[signal]])


def samples_at(
    rows: Rows, which: IntArray
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]], dict[Family, NDArray[np.float64]]]:
    """Give values of some rows (n,) by metric, where they are valid, and ages of counters by family."""
    return (
        {name: rows.values[name][which] for name in rows.metrics},
        {name: rows.valid[name][which] for name in rows.metrics},
        {family: age_s[which] for family, age_s in rows.ages.items()},
    )


def time_steps(rows: Rows) -> Iterator[IntArray]:
    """Give the numbers of the rows that are their containers' first, then second, and so on (n,)."""
    count = np.bincount(rows.code, minlength=len(rows.containers))
    first = np.cumsum(count) - count
    order = np.argsort(-count, kind="stable")
    sorted_count = count[order]
    for number in range(int(sorted_count[0]) if count.size else 0):
        alive = order[: np.searchsorted(-sorted_count, -number, side="left")]
        yield np.sort(first[alive] + number)


def observe_rows(rows: Rows, skipped: BoolArray | None = None, *, signals: int = len(SIGNALS)) -> ObservedSignals:
    """Give the first signals of all rows, with baselines that learn from each of them but those skipped (n_rows,)."""
    out = ObservedSignals.empty(len(rows.code), signals)
    state = SignalState(len(rows.containers), signals)
    for which in time_steps(rows):
        container, time_s = rows.code[which], rows.offset_s[which]
        observed = state.observe(container, time_s, *samples_at(rows, which))
        learns = np.ones(which.size, dtype=bool) if skipped is None else ~skipped[which]
        state.learn(container[learns], time_s[learns], observed.value[learns])
        state.pause(container[~learns], time_s[~learns])
        out.put(which, observed)
    return out
