"""Samples to signals: what a detector looks at, brought up to date with each sample in constant time and memory.

Every series gives one or two signals, each on a scale where a step means about the same for a small and a large
container, ``arcsinh(value / unit)``: linear near 0, logarithmic above the unit.

- a *counter* gives its rate, never its level. A step where it falls (a restart, a wrap) has no rate;
- a *gauge* gives its level, and the rate at which it grows: a leak grows long before its level is strange;
- a few *contrasts* of two signals tell work without requests, and the like, whatever the load is.

Signals are means over the last seconds. One without a value in the present sample is missing (NaN) now. Beside each
stands its change from the container's own usual, and how far such changes went until now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, Family
from podlab.features.windows import SERIES

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A signal is a mean over about this long, weighted exponentially.
FAST_S = 5.0
#: A container's own usual is a mean over about this long, and so is how far it strays from it.
SLOW_S = 240.0
SPREAD_S = 300.0
#: A sample stands for so long at most: nothing is known of a gap.
LONGEST_STEP_S = 60.0
#: A change farther than this counts as this in how far changes go.
FARTHEST_CHANGE = 3.0
#: Per second, this much is as good as nothing.
_RATE_UNITS = {"cpu": 1e6, "filesystem": 2.0**12, "volume": 2.0**12, "network": 1e3, "io": 2.0**12, "memory": 2.0**16}
_FAULTS_UNIT = 10.0
_LEVEL_UNIT = 2.0**20
#: Over a shorter step there is no rate: a clock is not that exact.
_LEAST_STEP_S = 1e-3
_COUNTERS = tuple(name for name in FEATURE_METRICS if CATALOGUE[name].kind == "counter")
_GAUGES = tuple(name for name in FEATURE_METRICS if CATALOGUE[name].kind == "gauge")


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
        return not self.growth and CATALOGUE[SERIES[self.series][0]].kind == "gauge"

    @property
    def unit(self) -> float:
        """What is as good as nothing."""
        if self.level:
            return _LEVEL_UNIT
        return _FAULTS_UNIT if "faults" in self.series else _RATE_UNITS[CATALOGUE[self.series].family]


def _signals_of(series: str) -> list[_Signal]:
    gauge = CATALOGUE[SERIES[series][0]].kind == "gauge"
    return [_Signal(series, False), _Signal(series, True)] if gauge else [_Signal(series, False)]


_PLAIN = tuple(signal for series in SERIES for signal in _signals_of(series))
_UNIT = np.array([signal.unit for signal in _PLAIN])
_CONTRASTS = (
    ("cpu_usage_nanocores", "rx_bytes"),
    ("cpu_usage_nanocores", "tx_bytes"),
    ("tx_bytes", "rx_bytes"),
    ("logsfs_used_bytes.growth", "rx_bytes"),
    ("io_write_bytes", "rx_bytes"),
    ("memory_page_faults", "rx_bytes"),
)
_NUMBER = {signal.name: number for number, signal in enumerate(_PLAIN)}
_LEFT, _RIGHT = ([_NUMBER[pair[side]] for pair in _CONTRASTS] for side in (0, 1))

#: Names of all signals, in order: the metrics' own, then the contrasts.
SIGNALS: tuple[str, ...] = (*_NUMBER, *(f"{left} per {right}" for left, right in _CONTRASTS))
#: Whether a signal is looked at for changes (n_signals,). What was written stays on a file system when the fault is
#: over: there the growth tells of the change.
CHANGES = np.array(
    [not (signal.level and CATALOGUE[signal.series].family in ("filesystem", "volume")) for signal in _PLAIN]
    + [True] * len(_CONTRASTS)
)


@dataclass(frozen=True)
class Observed:
    """What a sample of each of some containers, or each of some rows, shows.

    Attributes
    ----------
    now : array (n, n_signals)
        The signals; NaN where missing, as in ``change``.
    change : array (n, n_signals)
        How far each is from the container's own usual until then.
    square : array (n, n_signals)
        Mean square of the changes until then.
    learned_s : array (n, n_signals)
        Seconds that the own usual was learned for until then.
    """

    now: NDArray[Any]
    change: NDArray[Any]
    square: NDArray[Any]
    learned_s: NDArray[Any]

    def only(self, chosen: NDArray[Any]) -> Observed:
        """Keep some rows."""
        return Observed(self.now[chosen], self.change[chosen], self.square[chosen], self.learned_s[chosen])


class SignalState:
    """What must be kept of each container between two samples: a few numbers, however long it lives.

    Parameters
    ----------
    size : int
        How many containers.
    """

    def __init__(self, size: int) -> None:
        signals = len(SIGNALS)
        self._counted = np.zeros((size, len(_COUNTERS)), dtype=np.int64)
        self._counted_s = np.full((size, len(_COUNTERS)), np.nan)
        self._level = np.zeros((size, len(_GAUGES)))
        self._level_s = np.full((size, len(_GAUGES)), np.nan)
        self._mean = np.full((size, len(_PLAIN)), np.nan)
        self._mean_s = np.full((size, len(_PLAIN)), np.nan)
        self._slow = np.full((size, signals), np.nan)
        self._slow_s = np.full((size, signals), np.nan)
        self._square = np.zeros((size, signals))
        self._learned_s = np.zeros((size, signals))

    def resize(self, size: int) -> None:
        """Make room for more containers; those there keep their numbers."""
        fresh = SignalState(size)
        for name, array in vars(self).items():
            vars(fresh)[name][: len(array)] = array
        vars(self).update(vars(fresh))

    def forget(self, which: IntArray) -> None:
        """Begin anew with some containers, whose places others take."""
        fresh = SignalState(1)
        for name, array in vars(self).items():
            array[which] = vars(fresh)[name]

    def observe(
        self,
        which: IntArray,
        time_s: FloatArray,
        values: Mapping[str, NDArray[Any]],
        valid: Mapping[str, BoolArray],
        ages: Mapping[Family, FloatArray] | None = None,
    ) -> Observed:
        """Take one sample of each of some containers.

        Parameters
        ----------
        which : array of int64 (n,)
            Their numbers, none twice.
        time_s : array of float64 (n,)
            When it was taken; one container keeps to one clock. Over a step back there is no rate.
        values, valid : mapping of str to array (n,)
            By metric column, as in :class:`podlab.features.rows.Rows`; counters are int64.
        ages : mapping of str to array (n,), optional
            By family of metrics, as there.

        Returns
        -------
        Observed
            Nothing of it is learned yet: see :meth:`learn`.
        """
        now = self._read(which, time_s, values, valid, ages or {})
        mean, mean_s = self._mean[which], self._mean_s[which]
        there = ~np.isnan(now)
        since_s = np.maximum(time_s[:, None] - mean_s, 0.0)
        share = np.where(np.isnan(mean_s), 1.0, -np.expm1(-since_s / FAST_S))
        mean = np.where(there, np.where(np.isnan(mean), 0.0, mean) * (1 - share) + share * np.nan_to_num(now), mean)
        self._mean[which] = mean
        self._mean_s[which] = np.where(there, time_s[:, None], mean_s)
        plain = np.where(there, np.arcsinh(mean / _UNIT), np.nan)
        signals = np.concatenate([plain, plain[:, _LEFT] - plain[:, _RIGHT]], axis=1)
        return Observed(signals, signals - self._slow[which], self._square[which], self._learned_s[which])

    def learn(self, which: IntArray, time_s: FloatArray, signals: FloatArray) -> None:
        """Move the own usual of some containers towards their signals, as :meth:`observe` gave them (n, n_signals).

        At first it is the plain mean, later one over the last minutes. NaN teaches nothing.
        """
        slow, slow_s, learned_s = self._slow[which], self._slow_s[which], self._learned_s[which]
        there = ~np.isnan(signals)
        step_s = np.nan_to_num(np.clip(time_s[:, None] - slow_s, 0.0, LONGEST_STEP_S))
        total_s = learned_s + step_s
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.nan_to_num(step_s / total_s)
        share = np.where(np.isnan(slow), 1.0, np.maximum(part, -np.expm1(-step_s / SLOW_S)))
        moved = np.nan_to_num(slow) * (1 - share) + share * np.nan_to_num(signals)
        change = np.clip(np.nan_to_num(signals - slow), -FARTHEST_CHANGE, FARTHEST_CHANGE)
        spread = np.maximum(part, -np.expm1(-step_s / SPREAD_S)) * (change**2 - self._square[which])
        self._square[which] += np.where(there & ~np.isnan(slow), spread, 0.0)
        self._slow[which] = np.where(there, moved, slow)
        self._slow_s[which] = np.where(there, time_s[:, None], slow_s)
        self._learned_s[which] = np.where(there, total_s, learned_s)

    def pause(self, which: IntArray, time_s: FloatArray) -> None:
        """Let time pass for the own usual of some containers without learning from it."""
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
        for names, last, last_s in (
            (_COUNTERS, self._counted, self._counted_s),
            (_GAUGES, self._level, self._level_s),
        ):
            for column, name in enumerate(names):
                if name not in valid:
                    continue
                before, before_s, there = last[which, column], last_s[which, column], valid[name]
                now = values[name].astype(last.dtype, copy=False)
                age_s = ages.get(CATALOGUE[name].family) if names is _COUNTERS else None
                own_s = time_s if age_s is None else time_s - age_s
                step_s = own_s - before_s
                with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                    rate = np.where(there & (step_s >= _LEAST_STEP_S), (now - before) / step_s, np.nan)
                if names is _COUNTERS:
                    found[name, False] = np.where(now >= before, rate, np.nan)
                else:
                    found[name, False] = np.where(there, now, np.nan)
                    found[name, True] = rate
                last[which, column] = np.where(there, now, before)
                last_s[which, column] = np.where(there, own_s, before_s)
        out = np.full((which.size, len(_PLAIN)), np.nan)
        for position, signal in enumerate(_PLAIN):
            for source in SERIES[signal.series]:
                if (source, signal.growth) in found:
                    values_now = found[source, signal.growth]
                    out[:, position] = np.where(np.isnan(out[:, position]), values_now, out[:, position])
        return out


def unit_of(signal: str) -> float:
    """Give the value of a metric's own signal that is as good as nothing."""
    return float(_UNIT[_NUMBER[signal]])
