"""The anomaly monitor: scores all samples of all containers, by the detectors of what each was identified as."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import nan
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import BoolArray, IntArray
from podlab.detect.library import DetectorLibrary
from podlab.detect.scoring import Scorer, source_detectors_of_decision
from podlab.detect.signals import samples_at, time_steps
from podlab.features.rows import Rows
from podlab.watcher.alarms import MODEL_REPLACED, NO_SAMPLES, RAISED_AFTER_S, Alarms, AlarmThrottle
from podlab.watcher.containers import NEVER, TrackedContainer
from podlab.watcher.notify import Announcement
from podlab.watcher.samples import FetchResult, SampleArrays, SampleFetcher, offset_s

#: How a container is watched. *unknown*: by the pooled detector; *off*: not at all.
MonitorState = Literal["warming-up", "watching", "anomalous", "unknown", "off"]

_NS_PER_S: Final = 1_000_000_000
_FIRST_ROOM: Final = 256
#: After an answer with more rows than this, at some 2 kB each in passing, queries name pods and ask for some at a time.
_MOST_ROWS: Final = 80_000
#: After this long a metric that does not come has ended, and samples count without it. An agent's measurements of one
#: instant are written within one or two of its intervals.
COMPLETE_WITHIN_S: Final = 30.0


class CompletenessFilter:
    """Holds back samples that lack a metric which the two before them had, until it comes or has ended.

    A database may show some series of a write and not yet others, for hundreds of samples if these were written at
    once. Scores are made in the order of time and once, so what is missing then would be missing for ever. Made for so
    many containers (``size``) and metrics.
    """

    def __init__(self, size: int, metrics: int) -> None:
        self._last, self._before = np.zeros((2, size, metrics), dtype=bool)
        self._held_since_s = np.full(size, np.nan)

    def resize(self, size: int) -> None:
        """Make room for more containers; those there keep their slots."""
        fresh = CompletenessFilter(size, self._last.shape[1])
        for name, array in vars(self).items():
            vars(fresh)[name][: len(array)] = array
        vars(self).update(vars(fresh))

    def forget(self, which: IntArray) -> None:
        """Reset some slots, which other containers take."""
        self._last[which], self._before[which], self._held_since_s[which] = False, False, np.nan

    def passes(self, slot: IntArray, code: IntArray, present: BoolArray, steady_s: float) -> BoolArray:
        """Return which samples may be scored now: of each container those before the first that is held back.

        Parameters
        ----------
        slot : array of int64 (n_containers,)
            Of the containers, none twice.
        code : array of int64 (n_rows,)
            Which of them each sample is of; samples are sorted by it, then by time.
        present : array of bool (n_rows, n_metrics)
            :attr:`podlab.watcher.samples.SampleArrays.present`.
        steady_s : float
            Now, on a clock that never goes back.

        Returns
        -------
        array of bool (n_rows,)
        """
        first = np.flatnonzero(np.diff(code, prepend=-1))
        end = np.append(first[1:], code.size)[: first.size]
        here = slot[code[first]]
        # A metric that is in a later sample was left out of this one; one that is not may still come.
        last_row = np.maximum.reduceat(np.where(present, np.arange(code.size)[:, None], -1), first)
        expected = self._last[here] & self._before[here]
        until = np.where(expected, last_row + 1, end[:, None]).min(axis=1)
        until = np.maximum(until, first)
        since_s = self._held_since_s[here]
        since_s = np.where(np.isnan(since_s) | (until > first), steady_s, since_s)
        until = np.where(steady_s - since_s >= COMPLETE_WITHIN_S, end, until)
        self._held_since_s[here] = np.where(until < end, since_s, np.nan)
        through = np.arange(code.size) < np.repeat(until, end - first)

        some = until > first
        here, first, until = here[some], first[some], until[some]
        self._before[here] = np.where((until - first >= 2)[:, None], present[until - 2], self._last[here])
        self._last[here] = present[until - 1]
        return through


class AnomalyMonitor:
    """Scores containers from their first sample on, and announces which are anomalous.

    Samples are scored in the order of their times: one that comes after a later one of its container is left out, and
    an incomplete one waits for the rest (:class:`CompletenessFilter`). An alarm is raised only after a decision on the
    container; until then the pooled detector learns its baseline.

    Parameters
    ----------
    library : DetectorLibrary or None
        The detectors; None: no container is scored.
    """

    def __init__(self, library: DetectorLibrary | None, fetcher: SampleFetcher) -> None:
        self._fetcher = fetcher
        self._steady = fetcher.clock.steady
        self._unnamed = fetcher.options.all_pods
        self._tracked: dict[int, TrackedContainer] = {}  # by number
        self._at: dict[int, TrackedContainer] = {}  # by slot
        #: Number of containers before more memory is taken; slots of those that are gone are reused.
        self.room = _FIRST_ROOM
        self._free = list(range(_FIRST_ROOM))
        self._throttle = AlarmThrottle(fetcher.options.cluster, self._steady)
        self._missed_rounds: dict[int, int] = {}  # in which there was no time to query a container, by its number
        self._begin(library)

    def _begin(self, library: DetectorLibrary | None) -> None:
        self._library = library
        self._scorer = None if library is None else Scorer(library, self.room)
        raised_after_s = RAISED_AFTER_S if library is None else library.pooled.raised_after_s
        self._alarms = Alarms(self.room, raised_after_s=raised_after_s)
        self._complete = CompletenessFilter(self.room, len(library.metrics) if library else 0)

    def replace_model(self, library: DetectorLibrary | None) -> None:
        """Change to another model's detectors: alarms are closed, and all baselines are learned again."""
        for slot, alarm in self._alarms.standing.items():
            self._throttle.close(self._at[slot], alarm, MODEL_REPLACED)
        self._begin(library)
        for tracked in self._tracked.values():
            tracked.detectors_for, tracked.is_scored = None, False
        self._choose_detectors()

    def add(self, containers: Iterable[TrackedContainer]) -> None:
        """Add new containers; an alarm that their decision of before a restart records stands."""
        for tracked in containers:
            if not self._free:
                self._make_room()
            tracked.slot = self._free.pop()
            self._at[tracked.slot] = self._tracked[tracked.number] = tracked
            since_s = tracked.decision.alarm_s if tracked.decision else None
            if since_s is not None:
                self._alarms.restore(tracked.slot, since_s)
                tracked.alarm_announced_s = since_s

    def remove(self, containers: Iterable[TrackedContainer]) -> None:
        """Remove containers; an alarm that stands is closed without an announcement."""
        gone = [tracked for tracked in containers if tracked.slot >= 0]
        which = np.array([tracked.slot for tracked in gone], dtype=np.int64)
        for tracked in gone:
            del self._at[tracked.slot], self._tracked[tracked.number]
            self._free.append(tracked.slot)
            tracked.slot = -1
        self._alarms.forget(which)
        self._complete.forget(which)
        if self._scorer is not None:
            self._scorer.forget(which)

    def take(self, samples: SampleArrays) -> None:
        """Score samples; those that were scored before are left out."""
        if self._scorer is None or self._library is None or not len(samples):
            return
        self._unnamed &= len(samples) <= _MOST_ROWS
        samples = samples.take(np.isin(samples.number, list(self._tracked))).with_metrics(self._library.metrics)
        numbers, code = np.unique(samples.number, return_inverse=True)
        them = [self._tracked[number] for number in numbers.tolist()]
        scored_ns = np.array([tracked.scored_ns for tracked in them], dtype=np.int64)
        slot = np.array([tracked.slot for tracked in them], dtype=np.int64)
        order = np.flatnonzero(samples.time_ns > scored_ns[code])
        order = order[np.lexsort((samples.time_ns[order], code[order]))]
        again = (np.diff(code[order], prepend=-1) == 0) & (np.diff(samples.time_ns[order], prepend=NEVER) == 0)
        order = order[~again]
        samples, code = samples.take(order), code[order]
        passes = self._complete.passes(slot, code, samples.present, self._steady())
        samples, code = samples.take(passes), code[passes]
        first_ever = (np.diff(code, prepend=-1) != 0) & (scored_ns[code] == NEVER)
        nobody = pd.DataFrame(index=pd.RangeIndex(len(them)))
        rows = samples.rows(nobody, code, offset_s(samples, them, code), np.flatnonzero(first_ever))
        self._score(them, rows, samples.time_ns / _NS_PER_S)
        for place, at_ns in dict(zip(code.tolist(), samples.time_ns.tolist(), strict=True)).items():
            them[place].scored_ns, them[place].is_scored = at_ns, True

    def _score(self, them: Sequence[TrackedContainer], rows: Rows, time_s: NDArray[np.float64]) -> None:
        """Score rows of some containers, one sample of each at a time; ``time_s`` is the time of day, for alarms."""
        assert self._scorer is not None
        slot = np.array([tracked.slot for tracked in them], dtype=np.int64)[rows.code]
        decided = np.array([tracked.detectors_for is not None for tracked in them], dtype=bool)[rows.code]
        for which in time_steps(rows):
            age_s = rows.offset_s[which]
            scores = self._scorer.score(slot[which], age_s, age_s, *samples_at(rows, which))
            for change in self._alarms.step(slot[which], time_s[which], scores, decided[which]):
                self._throttle.note(self._at[change.slot], change)

    def run_round(self, had: Collection[int], proceed: Callable[[], bool] = lambda: True) -> FetchResult:
        """Update source detectors, then fetch and score the new samples of all containers with a decision.

        ``had`` are the numbers of the containers whose samples were scored already in this round; ``proceed`` is as for
        :meth:`podlab.watcher.samples.SampleFetcher.fetch`.
        """
        self.remove([tracked for tracked in self._tracked.values() if tracked.view.state == "ended"])
        self._close_silent(self._fetcher.clock.now() - self._fetcher.options.window_s)
        self._choose_detectors()
        result = FetchResult(set(), None, sent=False)
        if self._scorer is None:
            return result
        # Containers without any metrics are not fetched: they are checked seldom, until some come.
        groups: dict[int, list[TrackedContainer]] = {}
        for tracked in self._tracked.values():
            decision = tracked.decision
            if tracked.number not in had and decision is not None and decision.reason != "unseen":
                groups.setdefault(self._missed_rounds.get(tracked.number, 0), []).append(tracked)
        # Those that were left out longest come first: if a round is too short for all, each has its turn.
        for missed in sorted(groups, reverse=True):
            result |= self._fetcher.fetch(
                groups[missed], self.take, newest_s=lambda tracked: tracked.scored_s, unnamed=self._unnamed,
                proceed=proceed if result.error is None else lambda: False,
            )  # fmt: skip
        late = result.failed if result.error is None else ()  # after an error all are equal again
        self._missed_rounds = {number: self._missed_rounds.get(number, 0) + 1 for number in late}
        return result

    def announcements(self) -> list[Announcement]:
        """Return the announcements since the last call."""
        return self._throttle.take(self._alarms.standing, self._at)

    def state(self, tracked: TrackedContainer) -> MonitorState:
        """Return how a container is watched; from any thread."""
        if self._scorer is None or tracked.slot < 0:
            return "off"
        if tracked.slot in self._alarms.standing:
            return "anomalous"
        if tracked.detectors_for is None or not tracked.is_scored:
            return "warming-up"
        return "watching" if tracked.source_detectors or tracked.detectors_for.service is not None else "unknown"

    def describe(self, tracked: TrackedContainer) -> dict[str, object]:
        """Describe how a container is watched as JSON values; from any thread."""
        alarm = self._alarms.standing.get(tracked.slot)
        sources = tracked.source_detectors if tracked.slot >= 0 else ()
        return {
            "watched": self.state(tracked),
            "donors": [[service, round(weight, 6)] for service, weight in sources],
            "anomaly": None if alarm is None else alarm.to_json(),
        }

    def counts(self) -> dict[MonitorState, int]:
        """Count the containers by how they are watched."""
        states = [self.state(tracked) for tracked in self._tracked.values()]
        return {state: states.count(state) for state in get_args(MonitorState) if state != "off"}

    def newest_s(self) -> float:
        """Return the median container's last scored sample, in seconds since 1970; NaN: none is scored."""
        scored_s = [tracked.scored_ns / _NS_PER_S for tracked in self._tracked.values() if tracked.scored_ns != NEVER]
        return float(np.median(scored_s)) if scored_s else nan

    def _make_room(self) -> None:
        self._free += range(self.room, 2 * self.room)
        self.room *= 2
        self._alarms.resize(self.room)
        self._complete.resize(self.room)
        if self._scorer is not None:
            self._scorer.resize(self.room)

    def _close_silent(self, before_s: float) -> None:
        """Close the alarms of containers whose last sample is older than what is fetched."""
        for slot, alarm in list(self._alarms.standing.items()):
            tracked = self._at[slot]
            if max(alarm.last_s, tracked.scored_ns / _NS_PER_S) < before_s:
                self._throttle.close(tracked, alarm, NO_SAMPLES)
                self._alarms.forget(np.array([slot]))

    def _choose_detectors(self) -> None:
        """Follow the decisions: choose the detectors from the next sample on."""
        if self._library is None or self._scorer is None:
            return
        changed: list[TrackedContainer] = []
        for tracked in self._tracked.values():
            decision = tracked.decision
            if decision is None or decision is tracked.detectors_for:
                continue
            tracked.detectors_for = decision
            prediction = decision.prediction
            candidates, similar = (prediction.candidates, prediction.similar) if prediction else ((), ())
            named = source_detectors_of_decision(decision.service, candidates, similar)
            tracked.source_detectors = tuple(each for each in named if each[0] in self._library.detectors)
            changed.append(tracked)
        if changed:
            which = np.array([tracked.slot for tracked in changed], dtype=np.int64)
            self._scorer.set_source_detectors(which, [tracked.source_detectors for tracked in changed])
