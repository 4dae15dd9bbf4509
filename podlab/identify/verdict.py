"""How the experts' votes on the containers of one table are collected and what they add up to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from podlab.features.features import extract
from podlab.features.windows import Rows, Sighting, cut, series_of, sight
from podlab.identify.calibration import Condition, add_votes, log_votes, measure, soften
from podlab.identify.forest import Forest
from podlab.identify.looks import COMPANION_SHARE, MAX_STRETCHES, Look
from podlab.identify.proximity import service_proximity
from podlab.identify.space import Space

if TYPE_CHECKING:
    from podlab.identify.identifier import Identifier

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A container that is judged by an expert for another time of life is judged with this much less certainty.
_MISFIT_TEMPERATURE = 2.0
_LEAST_ROWS = 2
#: Sampled this many times as seldom as in the training counts as seldom.
_SELDOM = 1.5


@dataclass(frozen=True)
class Expert:
    """One forest and where the training containers fall in it.

    Attributes
    ----------
    forest : Forest
        Votes for a service from the features of its look.
    leaves : array of int32 (n_known, n_trees)
        Leaves of training containers.
    service : array of int16 (n_known,)
        Their services, ascending.
    space : Space
        The same containers by their most important features.
    """

    forest: Forest
    leaves: NDArray[np.int32]
    service: NDArray[np.int16]
    space: Space


@dataclass(frozen=True)
class _Vote:
    """One expert's view of some containers: log-votes, proximities (n, n_services), and features in its space."""

    votes: FloatArray
    near: FloatArray
    X: NDArray[np.float32]
    space: Space


@dataclass(frozen=True)
class _Seen:
    """All experts' views together: log-votes, proximities (n, n_services), closeness to the likeliest service (n,)."""

    votes: FloatArray
    near: FloatArray
    closeness: FloatArray


class Verdict:
    """Collects the experts' votes on the containers of one table."""

    def __init__(
        self,
        identifier: Identifier,
        rows: Rows,
        *,
        metrics: Collection[str] | None = None,
        left_out: NDArray[np.int64] | None = None,
    ) -> None:
        self._identifier = identifier
        self._rows = rows
        count, services = len(rows.containers), len(identifier.services)
        self.probability = np.zeros((count, services))
        self.proximity = np.zeros((count, services))
        self.novelty = np.ones(count)
        self.shortlist = np.zeros((count, services), dtype=bool)
        self.promise = np.full(count, "none", dtype=object)
        self.sighting = sight(rows)
        if left_out is not None:
            self.sighting = replace(self.sighting, rows=self.sighting.rows + left_out)
        self._metrics = [name for name in rows.metrics if rows.valid[name].any()] if metrics is None else metrics
        self._condition = self._conditions()
        self._births = [look for look in identifier.looks if look.kind == "birth"]
        self._stretches = [look for look in identifier.looks if look.kind == "midlife"]

    def collect(self) -> None:
        """Let the fitting experts vote on each container."""
        sighting = self.sighting
        seen = ~np.isnan(sighting.first_s)
        born = seen & (sighting.from_birth if self._births and self._stretches else bool(self._births))
        if self._births:
            shown = self._births_shown(sighting)
            longest = shown.shape[1] - 1 - shown[:, ::-1].argmax(axis=1)
            first = self._companions(shown, longest)
            for a, early in enumerate(self._births):
                for b, late in enumerate(self._births):
                    self._judge_births(early, late, born & (first == a) & (longest == b))
        for number, stretch in enumerate(self._stretches):
            longer = self._stretches[number + 1 :]
            span_s = sighting.until_s - np.nan_to_num(sighting.first_s)
            fits = np.ones(seen.size, dtype=bool) if number == 0 else span_s * 1.02 >= stretch.length_s
            if longer:
                fits &= span_s * 1.02 < longer[0].length_s
            self._judge_stretches(stretch, seen & ~born & fits)

    def _births_shown(self, sighting: Sighting) -> BoolArray:
        """Which births' looks each container can fill, at least one (n_containers, n_births)."""
        begin_s = self._birth_begin_s()
        rows, filled = np.zeros((2, begin_s.size, len(self._births)), dtype=np.intp)
        for number, look in enumerate(self._births):
            inside = self._rows.offset_s < (begin_s + look.length_s)[self._rows.code]
            rows[:, number] = np.bincount(self._rows.code[inside], minlength=begin_s.size)
            filled[:, number] = (sighting.until_s - begin_s) * 1.02 >= look.length_s
        shown = (rows >= _LEAST_ROWS) & (filled > 0)
        # Too young or sampled too seldom for any of them: the shortest one that has at least a row.
        least = np.where((rows > 0).any(axis=1), (rows > 0).argmax(axis=1), len(self._births) - 1)
        none = np.flatnonzero(~shown.any(axis=1))
        shown[none, least[none]] = True
        return shown

    def _companions(self, shown: BoolArray, longest: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which birth speaks beside each container's longest one; that one itself where none fits (n_containers,)."""
        lengths_s = np.array([look.length_s for look in self._births])
        fits = shown & (lengths_s >= COMPANION_SHARE * lengths_s[longest][:, None])
        return np.asarray(fits.argmax(axis=1))

    def _birth_begin_s(self) -> FloatArray:
        """Where a birth's window begins: 0, or a late container's first row where no expert knows mid-life."""
        late = ~self.sighting.from_birth & (not self._stretches)
        return np.where(late, np.nan_to_num(self.sighting.first_s), 0.0)

    def _judge_births(self, early: Look, late: Look, whose: BoolArray) -> None:
        if not whose.any():
            return
        begin_s = self._birth_begin_s()[whose]
        rows = self._rows.only(whose)
        looks = tuple(dict.fromkeys((early, late)))
        seen = [self._vote(look, rows, begin_s) for look in looks]
        votes = add_votes([each.votes for each in seen])
        near = np.mean([each.near for each in seen], axis=0)
        answered = votes.argmax(axis=1)
        closeness = np.mean([each.space.closeness(each.X, answered) for each in seen], axis=0)
        names = tuple(look.name for look in looks)
        self._decide(whose, _Seen(votes, near, closeness), names, misfit=begin_s > 0)

    def _judge_stretches(self, look: Look, whose: BoolArray) -> None:
        if not whose.any():
            return
        rows = self._rows.only(whose)
        first_s, until_s = self.sighting.first_s[whose], self.sighting.until_s[whose]
        votes = np.zeros((first_s.size, len(self._identifier.services)))
        near = np.zeros_like(votes)
        number = np.zeros((first_s.size, 1))
        looked: list[tuple[BoolArray, _Vote]] = []
        for back in range(1, MAX_STRETCHES + 1):
            begin_s = np.maximum(until_s - back * look.length_s, first_s)
            fits = until_s - back * look.length_s >= first_s * 0.98 if back > 1 else np.ones(first_s.size, dtype=bool)
            if not fits.any():
                break
            vote = self._vote(look, rows.only(fits), begin_s[fits])
            looked.append((fits, vote))
            votes[fits] += vote.votes
            near[fits] += vote.near
            number[fits] += 1
        answered = votes.argmax(axis=1)
        closeness = np.zeros(first_s.size)
        for fits, vote in looked:
            closeness[fits] += vote.space.closeness(vote.X, answered[fits])
        # Stretches of one container are no independent witnesses: their votes are averaged, not added.
        misfit = self.sighting.from_birth[whose]
        seen = _Seen(votes / number, near / number, closeness / number[:, 0])
        self._decide(whose, seen, (look.name,), misfit=misfit)

    def _vote(self, look: Look, rows: Rows, begin_s: FloatArray) -> _Vote:
        windows = cut(rows, horizon_s=look.length_s, begin_s=begin_s, columns=self._identifier.columns)
        matrix, _ = extract(windows)
        expert = self._identifier.experts[look.name]
        leaves = expert.forest.leaves(matrix)
        votes = log_votes(expert.forest.predict_from(leaves))
        near = service_proximity(leaves, expert.leaves, expert.service, len(self._identifier.services))
        return _Vote(votes, near, matrix, expert.space)

    def _decide(self, whose: BoolArray, seen: _Seen, looks: tuple[str, ...], misfit: BoolArray) -> None:
        self.proximity[whose] = seen.near
        measures = measure(seen.votes, seen.near, seen.closeness, len(looks))
        answered = seen.votes.argmax(axis=1)
        for condition, calibration in zip(Condition, self._identifier.calibrations[looks], strict=True):
            here = self._condition[whose] == condition
            if not here.any():
                continue
            temperature = calibration.temperature * np.where(misfit[here], _MISFIT_TEMPERATURE, 1.0)
            probability = soften(seen.votes[here], temperature[:, None])
            chosen = np.flatnonzero(whose)[here]
            self.probability[chosen] = probability
            self.novelty[chosen] = calibration.typicality.novelty(measures[here], answered[here])
            self.shortlist[chosen] = calibration.bounds.shortlist(probability)
            # Nothing was held out that was seen at the wrong time of life, so nothing can be promised of it.
            self.promise[chosen] = np.where(misfit[here], "none", calibration.bounds.promise)

    def _conditions(self) -> NDArray[np.intp]:
        """How each container was seen, compared with the training (n_containers,)."""
        lacking = set(series_of(self._identifier.columns)) - set(series_of(tuple(self._metrics)))
        seldom = self.sighting.interval_s > _SELDOM * self._identifier.interval_s
        return np.where(
            seldom,
            Condition.SELDOM_AND_LACKING if lacking else Condition.SELDOM,
            Condition.LACKING if lacking else Condition.RECORDED,
        )
