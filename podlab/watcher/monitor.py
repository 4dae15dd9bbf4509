"""Scoring the samples of all containers as they come, by the detectors of what each was identified as."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import nan
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import AGES, FEATURE_METRICS
from podlab.detect.library import DetectorLibrary
from podlab.detect.scoring import Scorer, source_detectors_of_decision
from podlab.detect.signals import samples_at, time_steps
from podlab.features.rows import Rows, read_ages, read_values
from podlab.sources.protocol import LiveSource
from podlab.watcher.alarms import Alarms
from podlab.watcher.anomaly import MODEL_REPLACED, NO_SAMPLES, AnomalyAnnouncement
from podlab.watcher.bulletin import NEVER, Bulletin, Watched
from podlab.watcher.cases import Case
from podlab.watcher.gather import Asked, ask
from podlab.watcher.metrics import Metrics
from podlab.watcher.partial import Partial, present

#: How a container is watched. *unknown*: by the pooled detector; *off*: not at all.
State = Literal["warming-up", "watching", "anomalous", "unknown", "off"]

_NS_PER_S = 1_000_000_000
_FIRST_ROOM = 256
#: After an answer of more rows than these, at some 2 kB each in passing, pods are named and asked for some at a time.
_MOST_ROWS = 80_000


class Monitor:
    """Scores containers from their first sample on, and says when one is anomalous.

    Samples are taken in the order of their times: one that comes after a later one of its container is left out. One
    of which only a part is there waits for the rest, see :class:`podlab.watcher.partial.Partial`. An alarm is raised
    only when something is decided of the container; until then the pooled detector learns its usual.

    Parameters
    ----------
    library : DetectorLibrary or None
        The detectors; None: no container is scored.
    cluster : str
        This cluster's name.
    steady : callable
        A clock that never goes back, in seconds.
    unnamed : bool
        Whether the containers are all those that there are, so that they need not be named to the database.

    Attributes
    ----------
    room : int
        So many containers can be watched before more memory is taken; places of those that are gone are used again.
    """

    def __init__(
        self, library: DetectorLibrary | None, *, cluster: str, steady: Callable[[], float], unnamed: bool = False
    ) -> None:
        self._cluster = cluster
        self._unnamed = unnamed
        self._steady = steady
        self._watched: dict[int, Watched] = {}
        self._at: dict[int, Watched] = {}
        self.room = _FIRST_ROOM
        self._free = list(range(_FIRST_ROOM))
        self._bulletin = Bulletin(cluster, steady)
        self._waited: dict[int, int] = {}  # rounds in which there was no time to ask for a case, by its number
        self._begin(library)

    def _begin(self, library: DetectorLibrary | None) -> None:
        self._library = library
        self._scorer = None if library is None else Scorer(library, self.room)
        self._alarms = Alarms(self.room)
        self._partial = Partial(self.room)

    def renew(self, library: DetectorLibrary | None) -> None:
        """Change to another model's detectors: alarms that stand are closed, and nothing is known of any container."""
        for place, alarm in self._alarms.standing.items():
            self._bulletin.over(self._at[place], alarm, MODEL_REPLACED)
        self._begin(library)
        for watched in self._watched.values():
            watched.verdict, watched.is_scored = None, False
        self._choose_donors()

    def meet(self, cases: Sequence[Case], alarms_s: Mapping[int, float]) -> None:
        """Take in new containers.

        Parameters
        ----------
        cases : sequence of Case
        alarms_s : mapping of int to float
            Since when an alarm stands that was told before a restart, in seconds since 1970, by number of the case.
        """
        for case in cases:
            if not self._free:
                self._make_room()
            place = self._free.pop()
            watched = self._watched[case.number] = self._at[place] = Watched(case, place)
            since_s = alarms_s.get(case.number)
            if since_s is not None:
                self._alarms.restore(place, since_s)
                watched.told_s = since_s

    def leave(self, numbers: Iterable[int]) -> None:
        """Let containers go; an alarm that stands is closed without a word."""
        gone = [self._watched.pop(number).place for number in numbers if number in self._watched]
        for place in gone:
            del self._at[place]
        self._free += gone
        which = np.array(gone, dtype=np.int64)
        self._alarms.forget(which)
        self._partial.forget(which)
        if self._scorer is not None:
            self._scorer.forget(which)

    def take(self, samples: pd.DataFrame) -> None:
        """Score samples.

        Parameters
        ----------
        samples : DataFrame
            Columns of the samples table, and ``number`` of the case. Those that were scored are left out.
        """
        if self._scorer is None or samples.empty:
            return
        self._unnamed &= len(samples) <= _MOST_ROWS
        samples = samples[samples["number"].isin(self._watched)]
        numbers, whose = np.unique(samples["number"].to_numpy(np.int64), return_inverse=True)
        them = [self._watched[number] for number in numbers.tolist()]
        scored_ns = np.array([each.scored_ns for each in them], dtype=np.int64)
        time_ns = np.asarray(samples["time"].astype("datetime64[ns, UTC]").astype("int64"), dtype=np.int64)
        order = np.flatnonzero(time_ns > scored_ns[whose])
        order = order[np.lexsort((time_ns[order], whose[order]))]
        again = (np.diff(whose[order], prepend=-1) == 0) & (np.diff(time_ns[order], prepend=NEVER) == 0)
        order = order[~again]
        place = np.array([each.place for each in them], dtype=np.int64)
        order = order[self._partial.complete(place, whose[order], present(samples)[order], self._steady())]
        whose, time_ns = whose[order], time_ns[order]
        first = (np.diff(whose, prepend=-1) != 0) & (scored_ns[whose] == NEVER)
        used = [name for name in (*FEATURE_METRICS, *AGES.values()) if name in samples]
        columns = {name: samples[name].array.take(order) for name in used}
        started_ns = np.array([pd.Timestamp(each.case.started_at).value for each in them], dtype=np.int64)
        age_s = (time_ns - started_ns[whose]) / _NS_PER_S
        nobody = pd.DataFrame(index=pd.RangeIndex(len(them)))
        rows = Rows(nobody, whose, age_s, *read_values(columns, np.flatnonzero(first)), read_ages(columns))
        self._score(them, rows, time_ns / _NS_PER_S)
        for number, at_ns in dict(zip(whose.tolist(), time_ns.tolist(), strict=True)).items():
            them[number].scored_ns, them[number].is_scored = at_ns, True

    def _score(self, them: Sequence[Watched], rows: Rows, time_s: NDArray[np.float64]) -> None:
        """Score rows of some containers, a sample of each at a time; ``time_s`` is the day's, for alarms."""
        assert self._scorer is not None
        place = np.array([each.place for each in them], dtype=np.int64)[rows.code]
        decided = np.array([each.verdict is not None for each in them], dtype=bool)[rows.code]
        for which in time_steps(rows):
            age_s = rows.offset_s[which]
            said = self._scorer.score(place[which], age_s, age_s, *samples_at(rows, which))
            for change in self._alarms.step(place[which], time_s[which], said, decided[which]):
                self._bulletin.note(self._at[change.place], change)

    def round(
        self,
        had: Collection[int],
        source: LiveSource,
        *,
        now_s: float,
        window_s: float,
        proceed: Callable[[], bool] = lambda: True,
    ) -> Asked:
        """Bring donors up to date, then fetch and score the new samples of all containers that something is decided of.

        Parameters
        ----------
        had : collection of int
            Numbers of the cases whose samples were taken already.
        source, now_s, window_s, proceed
            As for :func:`podlab.watcher.gather.ask`.
        """
        self.leave([number for number, each in self._watched.items() if each.case.container.state == "ended"])
        self._close_silent(now_s - window_s)
        self._choose_donors()
        if self._scorer is None:
            return Asked(set(), None, asked=False)
        # Nothing is asked of a container without any metrics: it is looked at seldom, until some come.
        wanted = [
            each for number, each in self._watched.items()
            if number not in had and each.verdict is not None and each.verdict.reason != "unseen"
        ]  # fmt: skip
        newest_s = {
            each.case.number: None if each.scored_ns == NEVER else each.scored_ns / _NS_PER_S for each in wanted
        }
        # Who was left out longest comes first: where a round is too short for all, each has its turn.
        went, waited = Asked(set(), None, asked=False), self._waited
        groups: dict[int, list[Case]] = {}
        for each in wanted:
            groups.setdefault(waited.get(each.case.number, 0), []).append(each.case)
        for rounds in sorted(groups, reverse=True):
            this = ask(
                groups[rounds], newest_s, source, self.take, now_s=now_s, window_s=window_s, cluster=self._cluster,
                unnamed=self._unnamed, proceed=proceed if went.error is None else lambda: False,
            )  # fmt: skip
            went = Asked(went.failed | this.failed, went.error or this.error, went.asked or this.asked)
        late = went.failed if went.error is None else ()  # after an error all are alike again
        self._waited = {number: waited.get(number, 0) + 1 for number in late}
        return went

    def news(self) -> list[AnomalyAnnouncement]:
        """Give what is to be announced since the last time."""
        return self._bulletin.take()

    def state(self, number: int) -> State:
        """Tell how a container is watched, by the number of its case; from any thread."""
        watched = self._watched.get(number)
        if self._scorer is None or watched is None:
            return "off"
        if watched.place in self._alarms.standing:
            return "anomalous"
        if watched.verdict is None or not watched.is_scored:
            return "warming-up"
        return "watching" if watched.donors or watched.verdict.service is not None else "unknown"

    def donors(self, number: int) -> tuple[tuple[str, float], ...]:
        """Tell whose detectors watch a container, and their weights; none: the pooled one. From any thread."""
        watched = self._watched.get(number)
        return () if watched is None else watched.donors

    def describe(self, number: int) -> dict[str, object]:
        """Give how a container is watched as JSON values; from any thread."""
        watched = self._watched.get(number)
        alarm = self._alarms.standing.get(watched.place) if watched is not None else None
        return {
            "watched": self.state(number),
            "donors": [[service, round(weight, 6)] for service, weight in self.donors(number)],
            "anomaly": None if alarm is None else alarm.to_json(),
        }

    def measure(self, metrics: Metrics, now_s: float) -> None:
        """Bring the metrics up to date."""
        states = [self.state(number) for number in self._watched]
        for state in get_args(State):
            if state != "off":
                metrics.scored_containers.labels(state).set(states.count(state))
        scored_ns = [watched.scored_ns for watched in self._watched.values() if watched.scored_ns != NEVER]
        newest_s = float(np.median(scored_ns)) / _NS_PER_S if scored_ns else nan
        metrics.scoring_lag_seconds.set(now_s - newest_s)

    def _make_room(self) -> None:
        self._free += range(self.room, 2 * self.room)
        self.room *= 2
        self._alarms.resize(self.room)
        self._partial.resize(self.room)
        if self._scorer is not None:
            self._scorer.resize(self.room)

    def _close_silent(self, before_s: float) -> None:
        """Close the alarms of containers whose last sample is older: what there may be of them is not fetched."""
        for place, alarm in list(self._alarms.standing.items()):
            watched = self._at[place]
            if max(alarm.last_s, watched.scored_ns / _NS_PER_S) < before_s:
                self._bulletin.over(watched, alarm, NO_SAMPLES)
                self._alarms.forget(np.array([place]))

    def _choose_donors(self) -> None:
        """Follow the decisions: whose detectors watch whom from the next sample on."""
        changed: list[Watched] = []
        for watched in self._watched.values():
            verdict = watched.case.verdict
            if verdict is None or verdict is watched.verdict or self._library is None:
                continue
            watched.verdict = verdict
            sight = verdict.sight
            candidates, similar = (sight.candidates, sight.similar) if sight else ((), ())
            named = source_detectors_of_decision(verdict.service, candidates, similar)
            watched.donors = tuple((name, weight) for name, weight in named if name in self._library.detectors)
            changed.append(watched)
        if self._scorer is not None and changed:
            which = np.array([watched.place for watched in changed], dtype=np.int64)
            self._scorer.set_source_detectors(which, [watched.donors for watched in changed])
