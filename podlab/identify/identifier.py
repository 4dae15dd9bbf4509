"""How the experts' votes on the containers of one table are collected and what they add up to.

The fitted model: which experts look at which container, and what their votes add up to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE
from podlab.errors import InputError
from podlab.features.features import feature_matrix
from podlab.features.rows import ObservationSpans, Rows, observation_spans, read_rows
from podlab.features.windows import make_windows, series_of
from podlab.identify.calibration import Calibration, Condition, combine_logits, measure, softmax, to_logits
from podlab.identify.forest import Forest
from podlab.identify.novelty import NearestNeighbours
from podlab.identify.observation import COMPANION_MIN_FRACTION, MAX_SEGMENTS, ObservationWindow
from podlab.identify.prediction import Prediction, make_predictions
from podlab.identify.proximity import service_proximity

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A container that is judged by an expert for another time of life is judged with this much less certainty.
_MISFIT_TEMPERATURE = 2.0
_LEAST_ROWS = 2
#: Sampled this many times as seldom as in the training counts as seldom.
_SPARSE_FACTOR = 1.5


@dataclass(frozen=True)
class HorizonModel:
    """One forest and where the training containers fall in it.

    Attributes
    ----------
    forest : Forest
        Votes for a service from the features of its look.
    leaves : array of int32 (n_known, n_trees)
        Leaves of training containers.
    service : array of int16 (n_known,)
        Their services, ascending.
    space : NearestNeighbours
        The same containers by their most important features.
    """

    forest: Forest
    leaves: NDArray[np.int32]
    service: NDArray[np.int16]
    neighbours: NearestNeighbours


@dataclass(frozen=True)
class _Vote:
    """One expert's view of some containers: log-votes, proximities (n, n_services), and features in its space."""

    votes: FloatArray
    near: FloatArray
    X: NDArray[np.float32]
    neighbours: NearestNeighbours


@dataclass(frozen=True)
class _Seen:
    """All models' views together: logits, proximities (n, n_services), distance to the likeliest service (n,)."""

    votes: FloatArray
    near: FloatArray
    neg_log_distance: FloatArray


class EnsemblePrediction:
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
        self.prediction_set = np.zeros((count, services), dtype=bool)
        self.coverage = np.full(count, "none", dtype=object)
        self.spans = observation_spans(rows)
        if left_out is not None:
            self.spans = replace(self.spans, rows=self.spans.rows + left_out)
        self._metrics = [name for name in rows.metrics if rows.valid[name].any()] if metrics is None else metrics
        self._condition = self._conditions()
        self._births = [look for look in identifier.windows if look.kind == "startup"]
        self._stretches = [look for look in identifier.windows if look.kind == "steady"]

    def collect(self) -> None:
        """Let the fitting experts vote on each container."""
        spans = self.spans
        seen = ~np.isnan(spans.first_s)
        born = seen & (spans.start_observed if self._births and self._stretches else bool(self._births))
        if self._births:
            shown = self._births_shown(spans)
            longest = shown.shape[1] - 1 - shown[:, ::-1].argmax(axis=1)
            first = self._companions(shown, longest)
            for a, early in enumerate(self._births):
                for b, late in enumerate(self._births):
                    self._judge_births(early, late, born & (first == a) & (longest == b))
        for number, stretch in enumerate(self._stretches):
            longer = self._stretches[number + 1 :]
            span_s = spans.until_s - np.nan_to_num(spans.first_s)
            fits = np.ones(seen.size, dtype=bool) if number == 0 else span_s * 1.02 >= stretch.length_s
            if longer:
                fits &= span_s * 1.02 < longer[0].length_s
            self._judge_stretches(stretch, seen & ~born & fits)

    def _births_shown(self, spans: ObservationSpans) -> BoolArray:
        """Which births' looks each container can fill, at least one (n_containers, n_births)."""
        begin_s = self._birth_begin_s()
        rows, filled = np.zeros((2, begin_s.size, len(self._births)), dtype=np.intp)
        for number, look in enumerate(self._births):
            inside = self._rows.offset_s < (begin_s + look.length_s)[self._rows.code]
            rows[:, number] = np.bincount(self._rows.code[inside], minlength=begin_s.size)
            filled[:, number] = (spans.until_s - begin_s) * 1.02 >= look.length_s
        shown = (rows >= _LEAST_ROWS) & (filled > 0)
        # Too young or sampled too seldom for any of them: the shortest one that has at least a row.
        least = np.where((rows > 0).any(axis=1), (rows > 0).argmax(axis=1), len(self._births) - 1)
        none = np.flatnonzero(~shown.any(axis=1))
        shown[none, least[none]] = True
        return shown

    def _companions(self, shown: BoolArray, longest: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which birth speaks beside each container's longest one; that one itself where none fits (n_containers,)."""
        lengths_s = np.array([look.length_s for look in self._births])
        fits = shown & (lengths_s >= COMPANION_MIN_FRACTION * lengths_s[longest][:, None])
        return np.asarray(fits.argmax(axis=1))

    def _birth_begin_s(self) -> FloatArray:
        """Where a birth's window begins: 0, or a late container's first row where no expert knows mid-life."""
        late = ~self.spans.start_observed & (not self._stretches)
        return np.where(late, np.nan_to_num(self.spans.first_s), 0.0)

    def _judge_births(self, early: ObservationWindow, late: ObservationWindow, whose: BoolArray) -> None:
        if not whose.any():
            return
        begin_s = self._birth_begin_s()[whose]
        rows = self._rows.only(whose)
        looks = tuple(dict.fromkeys((early, late)))
        seen = [self._vote(look, rows, begin_s) for look in looks]
        votes = combine_logits([each.votes for each in seen])
        near = np.mean([each.near for each in seen], axis=0)
        answered = votes.argmax(axis=1)
        neg_log_distance = np.mean([each.neighbours.neg_log_distance(each.X, answered) for each in seen], axis=0)
        names = tuple(look.name for look in looks)
        self._decide(whose, _Seen(votes, near, neg_log_distance), names, misfit=begin_s > 0)

    def _judge_stretches(self, look: ObservationWindow, whose: BoolArray) -> None:
        if not whose.any():
            return
        rows = self._rows.only(whose)
        first_s, until_s = self.spans.first_s[whose], self.spans.until_s[whose]
        votes = np.zeros((first_s.size, len(self._identifier.services)))
        near = np.zeros_like(votes)
        number = np.zeros((first_s.size, 1))
        looked: list[tuple[BoolArray, _Vote]] = []
        for back in range(1, MAX_SEGMENTS + 1):
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
        neg_log_distance = np.zeros(first_s.size)
        for fits, vote in looked:
            neg_log_distance[fits] += vote.neighbours.neg_log_distance(vote.X, answered[fits])
        # Stretches of one container are no independent witnesses: their votes are averaged, not added.
        misfit = self.spans.start_observed[whose]
        seen = _Seen(votes / number, near / number, neg_log_distance / number[:, 0])
        self._decide(whose, seen, (look.name,), misfit=misfit)

    def _vote(self, look: ObservationWindow, rows: Rows, begin_s: FloatArray) -> _Vote:
        windows = make_windows(rows, horizon_s=look.length_s, begin_s=begin_s, columns=self._identifier.columns)
        matrix, _ = feature_matrix(windows)
        expert = self._identifier.horizon_models[look.name]
        leaves = expert.forest.leaves(matrix)
        votes = to_logits(expert.forest.predict_from(leaves))
        near = service_proximity(leaves, expert.leaves, expert.service, len(self._identifier.services))
        return _Vote(votes, near, matrix, expert.neighbours)

    def _decide(self, whose: BoolArray, seen: _Seen, looks: tuple[str, ...], misfit: BoolArray) -> None:
        self.proximity[whose] = seen.near
        measures = measure(seen.votes, seen.near, seen.neg_log_distance, len(looks))
        answered = seen.votes.argmax(axis=1)
        for condition, calibration in zip(Condition, self._identifier.calibrations[looks], strict=True):
            here = self._condition[whose] == condition
            if not here.any():
                continue
            temperature = calibration.temperature * np.where(misfit[here], _MISFIT_TEMPERATURE, 1.0)
            probability = softmax(seen.votes[here], temperature[:, None])
            chosen = np.flatnonzero(whose)[here]
            self.probability[chosen] = probability
            self.novelty[chosen] = calibration.ood_score.novelty(measures[here], answered[here])
            self.prediction_set[chosen] = calibration.quantiles.prediction_set(probability)
            # Nothing was held out that was seen at the wrong time of life, so nothing can be promised of it.
            self.coverage[chosen] = np.where(misfit[here], "none", calibration.quantiles.coverage)

    def _conditions(self) -> NDArray[np.intp]:
        """How each container was seen, compared with the training (n_containers,)."""
        lacking = set(series_of(self._identifier.columns)) - set(series_of(tuple(self._metrics)))
        seldom = self.spans.interval_s > _SPARSE_FACTOR * self._identifier.interval_s
        return np.where(
            seldom,
            Condition.SPARSE_AND_INCOMPLETE if lacking else Condition.SPARSE,
            Condition.INCOMPLETE if lacking else Condition.RECORDED,
        )


@dataclass(frozen=True, repr=False)
class Identifier:
    """Tells which service runs in a container.

    Attributes
    ----------
    services : tuple of str
        What it can answer, in the order of the experts' votes.
    columns : tuple of str
        The metric columns that it learned from.
    features : tuple of str
        Names of the features, in the order in which the forests count them.
    windows : tuple of ObservationWindow
        What the experts look at, births before mid-life, short before long.
    experts : mapping of str to HorizonModel
        By the look's name.
    calibrations : mapping of tuple of str to tuple of Calibration
        By the names of the looks whose votes are added; one for each :class:`Condition`.
    similarity : array of float64 (n_services, n_services)
        How alike services are, symmetric, 1 with itself: :func:`podlab.identify.proximity.service_similarity`.
    interval_s : float
        The training's typical sampling interval.
    seed : int
        That all chance in the training came from.
    scores : dict
        What held-out deployments gave during the training.
    model : str
        ``name@digest``, once saved.
    """

    services: tuple[str, ...]
    columns: tuple[str, ...]
    features: tuple[str, ...]
    windows: tuple[ObservationWindow, ...]
    horizon_models: Mapping[str, HorizonModel]
    calibrations: Mapping[tuple[str, ...], tuple[Calibration, ...]]
    similarity: FloatArray
    interval_s: float
    seed: int
    scores: dict[str, object] = field(default_factory=dict)
    model: str = "unsaved@"

    def __repr__(self) -> str:
        about = f"{len(self.services)} services, {len(self.columns)} metric columns"
        return f"Identifier({about}, windows: {', '.join(self.horizon_models)})"

    def identify(
        self,
        samples: pd.DataFrame,
        *,
        horizon_s: float | None = None,
        metrics: Collection[str] | None = None,
        left_out: NDArray[np.int64] | None = None,
    ) -> list[Prediction]:
        """Answer for every container instance of a samples table.

        Parameters
        ----------
        samples : DataFrame
            A checked samples table, with whatever columns and sampling interval; other columns than the model's
            are not looked at, and of the model's some may be missing.
        horizon_s : float, optional
            Use only rows in [start, start + horizon); by default all.
        metrics : collection of str, optional
            The metric columns of which there is any value, where these samples are a part of more.
        left_out : array of int64 (n_containers,), optional
            How many rows of each container, in order of appearance, are not among the samples: see :meth:`reach`.

        Returns
        -------
        list of Prediction
            In the order of the containers' appearance. A container without a value of any of the model's columns
            gets no service, no candidates, confidence 0 and novelty 1.

        Raises
        ------
        InputError
            If the horizon is not positive, or the table has none of the model's columns.
        """
        if horizon_s is not None and not horizon_s > 0:
            raise InputError("the horizon must be longer than 0", where="horizon")
        there = samples.columns if metrics is None else metrics
        if not any(column in there for column in self.columns):
            raise InputError(
                "the samples have none of the model's columns",
                where=self.model,
                hint=f"it was trained on {', '.join(self.columns)}",
            )
        rows = read_rows(samples)
        if horizon_s is not None:
            rows = rows.take((rows.offset_s >= 0) & (rows.offset_s < horizon_s))
        ensemble = EnsemblePrediction(self, rows, metrics=metrics, left_out=left_out)
        ensemble.collect()
        return make_predictions(
            rows.containers,
            ensemble.spans.observed_s,
            self.services,
            ensemble.probability,
            ensemble.proximity,
            ensemble.novelty,
            prediction_set=ensemble.prediction_set,
            coverage=ensemble.coverage,
            usable=usable(rows, self.columns, horizon_s),
            columns=columns_shown(rows, self.columns),
            model=self.model,
        )

    def reach(self, horizon_s: float | None = None) -> tuple[float, float]:
        """Tell how many of a container's first and of its last seconds :meth:`identify` looks at."""
        if horizon_s is not None:
            return horizon_s, 0.0
        births_s, stretches_s = (
            max((look.length_s for look in self.windows if look.kind == kind), default=0.0)
            for kind in ("startup", "steady")
        )
        return births_s, MAX_SEGMENTS * stretches_s


def usable(rows: Rows, columns: Sequence[str], horizon_s: float | None) -> BoolArray:
    """Tell whether a container shows a value of any series made from these columns (n_containers,).

    The same as :attr:`podlab.features.windows.Windows.usable` of rows inside the horizon, mostly without cutting
    windows.
    """
    shown = np.zeros(len(rows.containers), dtype=bool)
    for name in rows.metrics:
        if name in columns and CATALOGUE[name].kind == "gauge":
            shown[rows.code[rows.valid[name]]] = True  # a level is there from its first value on
    rest = ~shown
    if rest.any():
        shown[rest] = make_windows(rows.only(rest), horizon_s=horizon_s, columns=columns).usable
    return shown


def columns_shown(rows: Rows, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Name those of the columns of which each container shows a value (n_containers,)."""
    there = [name for name in columns if name in rows.valid]
    shown = np.zeros((len(rows.containers), len(there)), dtype=bool)
    begins = np.flatnonzero(np.diff(rows.code, prepend=-1))
    for number, name in enumerate(there):
        if begins.size:
            shown[rows.code[begins], number] = np.logical_or.reduceat(rows.valid[name], begins)
    # Mostly all show the same ones, and share one tuple.
    told: dict[bytes, tuple[str, ...]] = {}
    for own in shown:
        if (key := own.tobytes()) not in told:
            told[key] = tuple(compress(there, own.tolist()))
    return [told[own.tobytes()] for own in shown]
