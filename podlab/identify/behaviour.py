"""What a container does, in one line, whichever service it is, and how much that is like mining.

The later half of what was seen counts, so that a start-up does not. The miner score is a logistic regression on four
numbers, so that its formula fits into a table (docs/claims.md):

    score = 1 / (1 + exp(-(b + w1 x1 + w2 x2 + w3 x3 + w4 x4)))

with the kernel's share of CPU time, page faults and bytes of disk by second of CPU time (their decimal logarithms),
and whether next to nothing is sent. Proof of work stays in its own few pages of memory, asks nothing of the kernel, and
must reach a pool; compilers, encoders, compression and training map memory anew, read and write, or talk to nobody. It
is not part of a bundle: whoever trains on their own containers has no miners to learn it from. ``python -m
benchmarks.claims --learn`` learned these weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, isnan, nan
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from podlab.arrays import FloatArray
from podlab.features.rows import Rows, observation_spans
from podlab.features.windows import make_windows
from podlab.identify.prediction import Prediction

#: From this score on a container is called miner-like. Chosen on alpha-1, alpha-2 and bravo-1.
MINER_LIKE: Final = 0.9
#: Of a container seen for a shorter time nothing is said.
LEAST_OBSERVED_S: Final = 20.0
#: Before about two minutes, whether it talks to anybody cannot be told.
LEAST_MINED_S: Final = 110.0
#: Who mines with less than this gains nothing, and shares of so little time say little.
_LEAST_CORES: Final = 0.02
#: What a container sends that talks to nobody, announcements of its address, and what it gets of those of others.
SILENT_BYTES_PER_S: Final = 2.0
_NOISE_BYTES_PER_S: Final = 1000.0
_COLUMNS: Final = (
    "cpu_usage_nanocores", "cpu_usage_core_nanoseconds", "memory_working_set_bytes", "memory_page_faults",
    "io_read_bytes", "io_write_bytes", "rx_bytes", "tx_bytes", "cpu_user_core_nanoseconds",
    "cpu_system_core_nanoseconds",
)  # fmt: skip
#: Parts of the time by which it is judged whether something is even.
_PARTS: Final = 6


class MinerWeights(NamedTuple):
    """Weights of the miner score, and what stands in for a number that a source does not give."""

    bias: float
    weight: tuple[float, ...]
    typical: tuple[float, ...]


#: Of :data:`MEASURES`, learned from 7 miners, 32 hard negatives and 413 others at alpha and bravo.
WEIGHTS: Final = MinerWeights(-4.08, (-7.54, -1.1, -0.24, -15.8), (-0.5, 2.83, 3.6, 0.17))
MEASURES: Final = ("kernel_share", "faults_per_cpu_s", "disk_bytes_per_cpu_s", "silent")


class Behaviour(NamedTuple):
    """What a container does; NaN where the source does not tell."""

    cores: float  # CPU, on average
    cpu_spread: float  # standard deviation between sixths of the time, by the mean
    cpu_growth: float  # the last third's CPU by the first third's
    kernel_share: float  # of CPU time, 0 to 1
    page_faults_per_s: float
    disk_bytes_per_s: float
    received_bytes_per_s: float
    sent_bytes_per_s: float
    traffic_spread: float  # as of the CPU
    memory_bytes: float  # working set
    #: Since the container's start, or since it was seen first where that is unknown; and since it was seen first.
    age_s: float
    observed_s: float
    #: How much it is like mining, 0 to 1; 0 with less than 0.02 cores, NaN before it was seen for two minutes.
    miner_score: float = nan

    @property
    def text(self) -> str:
        """One line for people.

        Examples
        --------
        >>> Behaviour(1.0, 0.1, 1.0, 0.02, 0.0, 0.0, 300.0, 40.0, 0.1, 8e6, 720.0, 600.0, 0.95).text
        'like a miner: one core steadily, no disk, little even traffic, 8 MB of memory, since 12 min'
        """
        memory = "" if isnan(self.memory_bytes) else f"{_bytes(self.memory_bytes)} of memory"
        disk = _amount(self.disk_bytes_per_s, "disk", 100.0, 100e3)
        silent = self.sent_bytes_per_s < SILENT_BYTES_PER_S and self.received_bytes_per_s < _NOISE_BYTES_PER_S
        traffic = _amount(self.received_bytes_per_s + self.sent_bytes_per_s, "traffic", inf if silent else 0.0, 20e3)
        if traffic.startswith("little") and self.traffic_spread < 0.5:
            traffic = "little even traffic"
        age = f"since {self.age_s:.0f} s" if self.age_s < 120 else f"since {self.age_s / 60:.0f} min"
        line = ", ".join(part for part in (self._cpu(), disk, traffic, memory, age) if part)
        return f"like a miner: {line}" if self.is_miner_like else line

    def _cpu(self) -> str:
        if isnan(self.cores):
            return ""
        if self.cores < 0.005:
            return "almost no CPU"
        cores = "one core" if 0.9 <= self.cores <= 1.1 else f"{self.cores:.2g} cores"
        if self.cpu_growth > 1.5 and self.cpu_spread > 0.15:
            return f"{cores}, rising"
        return (
            f"{cores} {'steadily' if self.cpu_spread < 0.2 else 'unevenly' if self.cpu_spread < 0.6 else 'in bursts'}"
        )

    @property
    def rounded_score(self) -> float | None:
        """The miner score as JSON lines have it; None before it can be told."""
        return None if isnan(self.miner_score) else round(self.miner_score, 4)

    def to_json(self) -> dict[str, object]:
        """Give the part of a container's JSON line that describes it."""
        return {"behaviour": self.text, "miner_score": self.rounded_score}

    @property
    def is_miner_like(self) -> bool:
        """Whether the score is that of a miner."""
        return self.miner_score >= MINER_LIKE


def _amount(per_s: float, what: str, nothing: float, little: float) -> str:
    if isnan(per_s):
        return ""
    return f"no {what}" if per_s < nothing else f"little {what}" if per_s < little else f"{_bytes(per_s)}/s of {what}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.2g} GB"


def miner_measures(behaviours: Sequence[Behaviour]) -> FloatArray:
    """Give the measures that the miner score adds up (n, 4); NaN where the source does not tell."""
    table = np.array(behaviours, dtype=np.float64).reshape(-1, len(Behaviour._fields))
    of = dict(zip(Behaviour._fields, table.T, strict=True))
    cpu = np.maximum(of["cores"], 1e-3)
    return np.stack(
        [
            np.log10(np.maximum(of["kernel_share"], 0.003)),
            np.log10(1 + of["page_faults_per_s"] / cpu),
            np.log10(1 + of["disk_bytes_per_s"] / cpu),
            np.where(
                np.isnan(of["sent_bytes_per_s"]), np.nan, (of["sent_bytes_per_s"] < SILENT_BYTES_PER_S).astype(float)
            ),
        ],
        axis=1,
    )


def miner_scores(behaviours: Sequence[Behaviour], weights: MinerWeights = WEIGHTS) -> FloatArray:
    """Score how much containers are like miners (n,), as :attr:`Behaviour.miner_score` with the shipped weights."""
    measures = miner_measures(behaviours)
    measures = np.where(np.isnan(measures), weights.typical, measures)
    score = 1 / (1 + np.exp(-(weights.bias + measures @ np.array(weights.weight))))
    cores, observed_s = (np.array([getattr(each, name) for each in behaviours]) for name in ("cores", "observed_s"))
    return np.asarray(np.where(observed_s < LEAST_MINED_S, np.nan, np.where(cores >= _LEAST_CORES, score, 0.0)))


def behaviours_of(rows: Rows) -> list[Behaviour | None]:
    """Describe what containers do; None of those that were seen too shortly.

    The rows are those of :func:`podlab.features.rows.read_rows`.
    """
    spans = observation_spans(rows)
    first_s, last_s = np.nan_to_num(spans.first_s), np.nan_to_num(spans.last_s)
    windows = make_windows(rows, horizon_s=None, begin_s=(first_s + last_s) / 2, columns=_COLUMNS)
    none = np.full(windows.cells.shape[::2], np.nan)
    series: Mapping[str, FloatArray] = {
        name: windows.cells[:, place].astype(np.float64) for place, name in enumerate(windows.series)
    }

    def cells(name: str) -> FloatArray:
        return series.get(name, none)

    cpu = cells("cpu_usage_nanocores") / 1e9
    thirds = cpu.reshape(len(cpu), 3, -1).mean(axis=2)
    received, sent = cells("rx_bytes"), cells("tx_bytes")
    kernel, user = (cells(f"cpu_{who}_core_nanoseconds").sum(axis=1) for who in ("system", "user"))
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.stack(
            [
                cpu.mean(axis=1), _spread(cpu), thirds[:, 2] / thirds[:, 0], kernel / (kernel + user),
                cells("memory_page_faults").mean(axis=1),
                (cells("io_read_bytes") + cells("io_write_bytes")).mean(axis=1),
                received.mean(axis=1), sent.mean(axis=1), _spread(received + sent),
                cells("memory_working_set_bytes").mean(axis=1), last_s, last_s - first_s,
            ],
            axis=1,
        )  # fmt: skip
    told = (last_s - first_s >= LEAST_OBSERVED_S / 2) & (last_s >= LEAST_OBSERVED_S) & ~np.isnan(table[:, 0])
    described = [Behaviour(*row) for row in table[told].tolist()]
    scored = iter(miner_scores(described).tolist())
    found = iter([each._replace(miner_score=next(scored)) for each in described])
    return [next(found) if tell else None for tell in told.tolist()]


def _spread(cells: FloatArray) -> FloatArray:
    parts = cells.reshape(len(cells), _PARTS, -1).mean(axis=2)
    return np.asarray(parts.std(axis=1) / parts.mean(axis=1))


def most_miner_like(behaviours: Iterable[Behaviour | None]) -> Behaviour | None:
    """Choose of replicas the one with the highest miner score; None where nothing is known of any."""
    known = [each for each in behaviours if each is not None]
    return max(known, key=lambda each: -1.0 if isnan(each.miner_score) else each.miner_score, default=None)


def with_behaviour(predictions: list[Prediction], rows: Rows, *, all_of_them: bool) -> list[Prediction]:
    """Describe what unknown containers do, or all of them, beside what they were identified as."""
    wanted = np.array([bool(each.candidates) and (all_of_them or each.service is None) for each in predictions], bool)
    if not wanted.any():
        return predictions
    found = iter(behaviours_of(rows.only(wanted)))
    return [
        replace(each, behaviour=next(found)) if want else each
        for each, want in zip(predictions, wanted.tolist(), strict=True)
    ]


def learn_weights(behaviours: Sequence[Behaviour], services: pd.Series, hard: Sequence[str]) -> MinerWeights:
    """Learn the weights of the miner score.

    ``services`` (n,) say what each container runs, where miners begin with ``miner``; ``hard`` are the hard negatives,
    which count as much together as all others that are no miners.
    """
    from sklearn.linear_model import LogisticRegression

    measures = miner_measures(behaviours)
    typical = np.nanmean(measures, axis=0)
    measures = np.where(np.isnan(measures), typical, measures)
    scale = measures.std(axis=0)
    miner, is_hard = services.str.startswith("miner").to_numpy(), services.isin(hard).to_numpy()
    share = np.select([miner, is_hard], [1 / miner.sum(), 0.5 / is_hard.sum()], 0.5 / (~miner & ~is_hard).sum())
    model: Any = LogisticRegression().fit((measures - typical) / scale, miner, sample_weight=share * len(miner))
    weight = model.coef_[0] / scale
    bias = float(model.intercept_[0] - weight @ typical)
    return MinerWeights(bias, tuple(weight.tolist()), tuple(typical.tolist()))
