"""Streaming scores: every container is watched from its first sample on, by detectors learned from other containers.

The *source detectors* of a container are those of the services that it may be; without any, the pooled detector
watches. A step takes one sample of each of any number of containers and costs the same however long they live. A
recording is scored by the same steps, so both give the same scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import Family, describe_metric, format_amount
from podlab.detect.detector import smoothing_share
from podlab.detect.discriminative import FaultDetector
from podlab.detect.library import AnyDetector, DetectorLibrary
from podlab.detect.reference import AGES_S
from podlab.detect.signals import SIGNALS, ObservedSignals, SignalState, samples_at, signal_amount, time_steps
from podlab.features.rows import Rows
from podlab.identify.prediction import Prediction

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
#: Services and weights, the heaviest first.
SourceDetectors = Sequence[tuple[str, float]]

#: Source detectors of a container, at most.
MAX_SOURCE_DETECTORS = 3
#: Until it has learned for so long it learns from all rows: without a baseline there are no changes, and a start
#: unlike the service's would stay anomalous for ever.
KNOWN_AFTER_S = 60.0
#: A service less probable than this, besides the one decided on, is no source.
_MIN_PROBABILITY = 0.2
#: Nor is one less similar than this to an unknown container: the most similar other service's detector gave eight
#: times the pooled one's false alarms (docs/results.md), so it must be nearly the same service.
_MIN_SIMILARITY = 0.8
#: Signals that deviate less than this do not contribute to a score.
_MIN_DEVIATION = 2.0


@dataclass(frozen=True)
class StepScores:
    """Scores of one sample of each of some containers.

    Attributes
    ----------
    score : array of float64 (n,)
        0 to 1: the share of normal rows that are less anomalous, by the source detectors.
    rarity : array of float64 (n,)
        ``-log10(1 - score)``, divided by the threshold.
    anomaly : array of bool (n,)
        Whether it is above 1, or still above the detector's ``kept`` since it was.
    deviations : array of float64 (n, 2 * n_signals)
        Standardised deviation of each signal, then of each signal's change.
    observed : ObservedSignals
        The signals of the samples.
    usual : array of float64 (n, n_signals)
        Of an anomalous sample, what is usual for the service of its heaviest source detector; else NaN.
    """

    score: FloatArray
    rarity: FloatArray
    anomaly: BoolArray
    deviations: FloatArray
    observed: ObservedSignals
    usual: FloatArray


class Scorer:
    """Scores the samples of containers, which it knows by their numbers.

    Parameters
    ----------
    library : DetectorLibrary
    size : int
        Number of containers.
    """

    def __init__(self, library: DetectorLibrary, size: int) -> None:
        self._detectors: tuple[AnyDetector, ...] = (*library.detectors.values(), library.pooled)
        self._number = {name: number for number, name in enumerate(library.detectors)}
        self._threshold = np.full(len(self._detectors), library.threshold)
        self._threshold[-1] = library.pooled_threshold
        of_faults = [each for each in self._detectors if isinstance(each, FaultDetector)]
        self._sharing = of_faults if len(of_faults) == len(self._detectors) else []
        self._metrics = frozenset(library.metrics)
        pooled = library.pooled
        self._smoothing_s, self._kept, self._calm = pooled.smoothing_s, pooled.kept, pooled.calm
        self._state = SignalState(size, max(each.scaler.location.shape[1] for each in self._detectors) // 2)
        self._smoothed = np.zeros((size, 2))  # evidence
        self._smoothed_s = np.full(size, np.nan)
        self._anomalous = np.zeros(size, dtype=bool)
        self._source = np.full((size, MAX_SOURCE_DETECTORS), -1, dtype=np.int64)
        self._weight = np.zeros((size, MAX_SOURCE_DETECTORS))
        self.set_source_detectors(np.arange(size), [()] * size)

    @property
    def size(self) -> int:
        """Number of containers there is room for."""
        return len(self._smoothed)

    def resize(self, size: int) -> None:
        """Make room for more containers; the pooled detector watches new ones."""
        before = self.size
        self._state.resize(size)
        self._smoothed = np.concatenate([self._smoothed, np.zeros((size - before, 2))])
        self._smoothed_s = np.append(self._smoothed_s, np.full(size - before, np.nan))
        self._anomalous = np.append(self._anomalous, np.zeros(size - before, dtype=bool))
        self._source = np.concatenate([self._source, np.full((size - before, MAX_SOURCE_DETECTORS), -1)])
        self._weight = np.concatenate([self._weight, np.zeros((size - before, MAX_SOURCE_DETECTORS))])
        self.set_source_detectors(np.arange(before, size), [()] * (size - before))

    def forget(self, which: IntArray) -> None:
        """Reset some containers, whose numbers others take."""
        self._state.forget(which)
        self._smoothed[which], self._smoothed_s[which], self._anomalous[which] = 0.0, np.nan, False
        self.set_source_detectors(which, [()] * which.size)

    def set_source_detectors(self, which: IntArray, sources: Sequence[SourceDetectors]) -> None:
        """Choose the detectors of some containers from their next sample on.

        Parameters
        ----------
        which : array of int64 (n,)
            The containers.
        sources : sequence of sequence of (str, float) (n,)
            Services and weights, the heaviest first. Services without a detector are ignored; the pooled detector
            watches where none is left.
        """
        for container, named in zip(which.tolist(), sources, strict=True):
            known = [(self._number[name], weight) for name, weight in named if name in self._number and weight > 0]
            known = known[:MAX_SOURCE_DETECTORS] or [(len(self._detectors) - 1, 1.0)]
            total = sum(weight for _, weight in known)
            self._source[container], self._weight[container] = -1, 0.0
            for place, (number, weight) in enumerate(known):
                self._source[container, place], self._weight[container, place] = number, weight / total

    def score(
        self,
        which: IntArray,
        time_s: FloatArray,
        age_s: FloatArray,
        values: Mapping[str, NDArray[Any]],
        valid: Mapping[str, BoolArray],
        ages: Mapping[Family, FloatArray] | None = None,
    ) -> StepScores:
        """Score one sample of each of some containers.

        Parameters
        ----------
        which : array of int64 (n,)
            Their numbers, none twice.
        time_s, age_s : array of float64 (n,)
            Time of the sample, on one clock for each container, and the container's age then.
        values, valid : mapping of str to array (n,)
            By metric column, as in :class:`podlab.features.rows.Rows`; counters are int64.
        ages : mapping of str to array (n,), optional
            By family of metrics, as there.

        Returns
        -------
        StepScores
            A sample without any value keeps the container's last score.
        """
        valid = {name: there for name, there in valid.items() if name in self._metrics}
        observed = self._state.observe(which, time_s, values, valid, ages)
        source, weight = self._source[which], self._weight[which]
        row, place = np.nonzero(source >= 0)
        pair_source, pair_weight = source[row, place], weight[row, place]
        order = np.argsort(pair_source, kind="stable")
        ends = np.searchsorted(pair_source[order], np.arange(len(self._detectors) + 1))
        parts = [
            (detector, order[begin:end])
            for detector, begin, end in zip(self._detectors, ends[:-1], ends[1:], strict=True)
            if end > begin
        ]

        def mix(pairs: FloatArray) -> FloatArray:
            return np.asarray(np.bincount(row, weights=pair_weight * pairs, minlength=which.size))

        pair_evidence, deviations = np.zeros((row.size, 2)), np.zeros((which.size, 2 * len(SIGNALS)))
        if self._sharing and which.size:  # one walk through the forest for all services
            judged = FaultDetector.evidence_by(self._sharing, pair_source, observed.take(row), age_s[row])
            pair_evidence[:] = judged.total
            first = np.searchsorted(row, np.arange(which.size))
            deviations = np.add.reduceat(pair_weight[:, None] * judged.deviations, first, axis=0)
        for detector, pairs in [] if self._sharing else parts:
            found = detector.evidence(observed.take(row[pairs]), age_s[row[pairs]])
            pair_evidence[pairs] = found.total
            own = found.deviations.shape[1] // 2  # of older models fewer signals are judged
            for begin, side in ((0, found.deviations[:, :own]), (len(SIGNALS), found.deviations[:, own:])):
                deviations[row[pairs], begin : begin + own] += pair_weight[pairs, None] * side
        evidence = np.stack([mix(each) for each in pair_evidence.T], axis=1)

        has_values = ~np.isnan(observed.value).all(axis=1)
        smoothed, smoothed_s = self._smoothed[which], self._smoothed_s[which]
        with np.errstate(invalid="ignore"):
            share = np.where(np.isnan(smoothed_s), 1.0, smoothing_share(time_s - smoothed_s, self._smoothing_s))
        smoothed = np.where(has_values[:, None], smoothed + share[:, None] * (evidence - smoothed), smoothed)
        self._smoothed[which] = smoothed
        self._smoothed_s[which] = np.where(has_values, time_s, smoothed_s)

        pair_rarity = np.zeros((2, row.size))
        for detector, pairs in parts:
            pair_rarity[:, pairs] = detector.judge(smoothed[row[pairs]])
        rarity, learning_rarity = (mix(each) for each in pair_rarity)
        threshold = mix(self._threshold[pair_source])
        known = observed.learned_s.max(axis=1) >= KNOWN_AFTER_S
        calm = ~known | (learning_rarity < self._calm * threshold)
        self._state.learn(which[calm], time_s[calm], observed.value[calm])
        self._state.pause(which[~calm], time_s[~calm])
        anomaly = rarity > threshold * np.where(self._anomalous[which], self._kept, 1.0)
        self._anomalous[which] = anomaly
        signals = observed.value.shape[1]
        usual: FloatArray = np.full((which.size, signals), np.nan)
        for each in np.flatnonzero(anomaly).tolist():
            location = self._detectors[source[each, 0]].scaler.location
            usual[each] = location[np.searchsorted(AGES_S, age_s[each], side="right"), :signals]
        return StepScores(-np.expm1(-rarity * np.log(10.0)), rarity / threshold, anomaly, deviations, observed, usual)


def score_rows(
    rows: Rows,
    library: DetectorLibrary,
    sources: Callable[[int, int], SourceDetectors],
    knowledge: IntArray | None = None,
) -> Iterator[tuple[IntArray, StepScores]]:
    """Score all rows in the order in which a watcher would see them.

    Parameters
    ----------
    rows : Rows
    library : DetectorLibrary
    sources : callable
        Gives the source detectors of a container by its number and level of knowledge.
    knowledge : array of int64 (n_rows,), optional
        Level of knowledge about the container at each row; ``sources`` is called whenever it rises. At level 0 the
        pooled detector watches. By default level 1 throughout.

    Yields
    ------
    tuple of (array of int64 (n,), StepScores)
        Numbers of rows, at most one of each container, and their scores.
    """
    level = np.ones(len(rows.code), dtype=np.int64) if knowledge is None else knowledge
    scorer = Scorer(library, len(rows.containers))
    at = np.zeros(scorer.size, dtype=np.int64)
    started = ~np.asarray(rows.containers["started_at"].array.isna())
    age_s = np.where(started[rows.code], rows.offset_s, np.inf)
    for which in time_steps(rows):
        container = rows.code[which]
        new = level[which] > at[container]
        at[container] = np.maximum(at[container], level[which])
        scorer.set_source_detectors(
            container[new], [sources(number, int(at[number])) for number in container[new].tolist()]
        )
        yield which, scorer.score(container, rows.offset_s[which], age_s[which], *samples_at(rows, which))


def source_detectors(answer: Prediction) -> tuple[tuple[str, float], ...]:
    """Choose a container's source detectors and their weights, the heaviest first.

    They are the services that cannot be ruled out, by their probability. An unknown container has none: the pooled
    detector watches it.

    Examples
    --------
    >>> source_detectors(Prediction("local", "shop", "db-0", None, "main", 10.0, None, 0.0, {}, (), False, 1.0, "m@1"))
    ()
    """
    if not answer.known:
        return ()
    return tuple((service, answer.candidates[service]) for service in answer.prediction_set)


def source_detectors_of_decision(
    service: str | None, candidates: SourceDetectors, similar: SourceDetectors
) -> tuple[tuple[str, float], ...]:
    """Choose the source detectors of a container after a decision, with their weights, the heaviest first.

    Parameters
    ----------
    service : str or None
        The decision; None: unknown.
    candidates : sequence of (str, float)
        Services and their probability.
    similar : sequence of (str, float)
        Services and the container's similarity to them, used if it is unknown.

    Examples
    --------
    >>> source_detectors_of_decision("redis", [("redis", 0.7), ("memcached", 0.25), ("nginx", 0.05)], [])
    (('redis', 0.7), ('memcached', 0.25))
    >>> source_detectors_of_decision("redis", [], [])
    (('redis', 1.0),)
    >>> source_detectors_of_decision(None, [("redis", 0.4)], [("redis", 0.3)])
    ()
    """
    if service is None:
        return tuple((name, value) for name, value in similar if value >= _MIN_SIMILARITY)
    split = tuple((name, value) for name, value in candidates if name == service or value >= _MIN_PROBABILITY)
    return split if service in dict(split) else ((service, 1.0),)


@dataclass(frozen=True)
class ContributingSignal:
    """A signal that contributes to a score.

    Attributes
    ----------
    signal : str
        One of :data:`podlab.detect.signals.SIGNALS`.
    deviation : float
        Its standardised deviation, positive above the reference.
    against : {"service", "itself"}
        Whether its value deviates from the service, or its change from the container's own baseline.
    now, before, usual : float
        Its value, the container's own baseline, and what is usual for the service, in the metric's unit, of a rate or a
        growth a second; of a contrast in multiples of the baseline. NaN where unknown.
    """

    signal: str
    deviation: float
    against: Literal["service", "itself"]
    now: float = np.nan
    before: float = np.nan
    usual: float = np.nan

    @property
    def text(self) -> str:
        """Describe it for people.

        Examples
        --------
        >>> ContributingSignal("rx_bytes", 12.3, "itself", 3.1e6, 2e4, 1e4).text
        'network traffic received is 3.1 MB a second (20 kB a second before, usual 10 kB a second)'
        >>> ContributingSignal("memory_rss_bytes.growth", 9.0, "itself", 5e5, 0.0).text
        "growth of the processes' own memory is 500 kB a second (0 B a second before)"
        >>> ContributingSignal("cpu_usage_nanocores per rx_bytes", 9.0, "itself", 30.0, 1.0).text
        'CPU use per network traffic received is 30 times as much as before'
        """
        metric, growth, over = self.signal.partition(" per ")[0].removesuffix(".growth"), ".growth" in self.signal, ""
        if " per " in self.signal:
            over = f" per {describe_metric(self.signal.partition(' per ')[2])}"
        name = f"{'growth of ' if growth else ''}{describe_metric(metric)}{over}"
        if np.isnan(self.now):
            return f"{name} is unusually {'high' if self.deviation > 0 else 'low'}"
        if over:
            return f"{name} is {float(f'{self.now:.2g}'):,.12g} times as much as before"
        now, before, usual = (
            "" if np.isnan(value) else format_amount(metric, value, growth=growth)
            for value in (self.now, self.before, self.usual)
        )
        known = [f"{before} before" if before else "", f"usual {usual}" if usual else ""]
        known = [each for each in known if each]
        return f"{name} is {now}{' (' + ', '.join(known) + ')' if known else ''}"

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        amounts = {name: getattr(self, name) for name in ("now", "before", "usual")}
        return {
            "signal": self.signal,
            "strays": round(self.deviation, 2),
            "against": self.against,
            "words": self.text,
            **{name: None if np.isnan(value) else float(f"{value:.4g}") for name, value in amounts.items()},
        }


def contributing_signals(scores: StepScores, row: int, *, most: int = 3) -> tuple[ContributingSignal, ...]:
    """List the signals that contribute to one row's score, those that deviate most first.

    Parameters
    ----------
    scores : StepScores
    row : int
    most : int
        Largest number; a signal counts once, by the larger deviation of its value and its change.
    """
    value, change = np.split(scores.deviations[row], 2)
    changed = np.abs(change) > np.abs(value)
    larger = np.where(changed, change, value)
    now, moved = np.nan_to_num(scores.observed.value[row]), np.nan_to_num(scores.observed.change[row])
    size = np.zeros(len(SIGNALS))  # deviations are clipped: of the largest the one that moved most comes first
    size[: moved.size] = np.abs(moved)
    found = []
    for number in np.lexsort((-size, -np.abs(larger)))[:most].tolist():
        if abs(larger[number]) < _MIN_DEVIATION:
            break
        name, amounts = SIGNALS[number], [np.nan, np.nan, np.nan]
        if " per " in name:
            amounts = [float(np.exp(size[number] * np.sign(moved[number]))), 1.0, np.nan]
        elif number < now.size:
            levels = now[number], now[number] - moved[number], scores.usual[row, number]
            amounts = [signal_amount(name, each) for each in levels]
        against: Literal["service", "itself"] = "itself" if changed[number] else "service"
        found.append(ContributingSignal(name, float(larger[number]), against, *amounts))
    return tuple(found)
