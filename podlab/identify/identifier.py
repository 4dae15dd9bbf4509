"""The identifier: which service runs in each container of a samples table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import BoolArray, FloatArray
from podlab.errors import InputError
from podlab.features.features import feature, feature_matrix, registered_features, series_in
from podlab.features.rows import Rows, metrics_to_read, observation_spans, read_rows
from podlab.features.windows import containers_usable, make_windows, series_of
from podlab.identify.behaviour import with_behaviour
from podlab.identify.calibration import Calibration, Condition, combine_logits, measure, softmax, to_logits
from podlab.identify.classifier import ClassifierModel, ForestModel
from podlab.identify.observation import COMPANION_MIN_FRACTION, MAX_SEGMENTS, ObservationWindow
from podlab.identify.prediction import Prediction, make_predictions, predictions_table
from podlab.identify.selection import OPTIONAL_SERIES, closest_set, smaller_sets
from podlab.progress import Progress

#: The temperature is raised by this where a container is predicted by a model of the wrong kind of window.
_MISMATCH_TEMPERATURE = 2.0
_LEAST_ROWS = 2
_UNSAVED = "unsaved@"
#: Sampled this many times less often than in the training counts as sparse.
_SPARSE_FACTOR = 1.5


class Identifier:
    """Identifies the service of containers from their metrics.

    An estimator in the manner of scikit-learn: :meth:`fit` it to labelled samples, then :meth:`identify` or
    :meth:`predict`. It is an ensemble of one model for each observation window, calibrated on deployments held out.

    Parameters
    ----------
    estimator : object, optional
        A scikit-learn classifier with ``predict_proba``, fitted anew for each observation window; by default podlab's
        own forest. It gets standardised features; missing ones are replaced by the median unless it copes with them.
    services : sequence of str, optional
        Learn only these; by default all that are labelled.
    columns : sequence of str, optional
        Metric columns to learn from; by default all that have a value.
    horizons_s : sequence of float, optional
        Seconds since the start that get a model, if half the containers show a sample by then; by default, and where
        none is left, chosen by what the samples show.
    group : str
        Column with the independent deployments, which are held out as a whole.
    column_sets : bool
        Also fit a model for each smaller set of columns that clusters commonly have
        (:data:`podlab.identify.selection.COLUMN_SETS`), which then identifies samples with these columns.
    seed : int
        Same samples and seed, same model.
    jobs : int, optional
        Processes for training; by default all cores.

    Attributes
    ----------
    services : tuple of str
        What it can predict, in the order of all arrays by service.
    columns : tuple of str
        The metric columns that it learned from.
    features : tuple of str
        Columns of the feature matrix.
    windows : tuple of ObservationWindow
        Start-up before steady state, short before long.
    horizon_models : mapping of str to (ForestModel or ClassifierModel)
        By name of the window.
    calibrations : mapping of tuple of str to tuple of Calibration
        By names of the windows whose models are combined; one for each :class:`Condition`.
    similarity : array of float64 (n_services, n_services)
        How similar services are: :func:`podlab.identify.classifier.service_similarity`.
    interval_s : float
        Typical sampling interval of the training.
    scores : dict
        Scores on held-out deployments.
    model : str
        ``name@digest``, once saved.
    reduced : mapping of str to Identifier
        Identifiers of smaller sets of columns, by name of the set.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> Identifier(LogisticRegression(), seed=1)
    Identifier(estimator=LogisticRegression(), seed=1)
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        services: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        horizons_s: Sequence[float] | None = None,
        group: str = "deployment",
        column_sets: bool = True,
        seed: int = 0,
        jobs: int | None = None,
    ) -> None:
        self._parameters: dict[str, Any] = {
            "estimator": estimator, "services": services, "columns": columns, "horizons_s": horizons_s, "group": group,
            "column_sets": column_sets, "seed": seed, "jobs": jobs,
        }  # fmt: skip
        self.seed = seed
        self._set_fitted()

    @classmethod
    def from_fitted(cls, *, seed: int = 0, **fitted: Any) -> Self:
        """Make a fitted identifier of its attributes."""
        identifier = cls(seed=seed)
        identifier._set_fitted(**fitted)
        return identifier

    def _set_fitted(
        self,
        *,
        services: tuple[str, ...] = (),
        columns: tuple[str, ...] = (),
        features: tuple[str, ...] = (),
        windows: tuple[ObservationWindow, ...] = (),
        horizon_models: Mapping[str, ForestModel | ClassifierModel] | None = None,
        calibrations: Mapping[tuple[str, ...], tuple[Calibration, ...]] | None = None,
        similarity: FloatArray | None = None,
        interval_s: float = 0.0,
        scores: dict[str, object] | None = None,
        model: str = _UNSAVED,
        reduced: Mapping[str, Identifier] | None = None,
    ) -> None:
        self.services, self.columns, self.features, self.windows = services, columns, features, windows
        self.horizon_models = horizon_models or {}
        self.calibrations = calibrations or {}
        self.similarity = np.eye(len(services)) if similarity is None else similarity
        self.interval_s, self.scores, self.model = interval_s, scores or {}, model
        self.reduced: Mapping[str, Identifier] = reduced or {}
        self._importance: dict[str, float] | None = None

    def __repr__(self) -> str:
        """Give its parameters, or once fitted what it knows."""
        if not self.services:
            default = Identifier().get_params()
            shown = {name: each for name, each in self._parameters.items() if each != default[name]}
            return f"Identifier({', '.join(f'{name}={each!r}' for name, each in shown.items())})"
        about = f"{len(self.services)} services, {len(self.columns)} metric columns"
        model = "" if self.model == _UNSAVED else f", model: {self.model:.24}"
        spans = [f"{window.kind} {window.length_s:g} s" for window in self.windows]
        return f"Identifier({about}, windows: {', '.join(spans)}{model})"

    def __getstate__(self) -> dict[str, Any]:
        """Take registered features along: another process may not know them."""
        return {**self.__dict__, "registered": registered_features()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Register the features that came along."""
        for name, function in state.pop("registered").items():
            if name not in registered_features():
                feature(name)(function)
        self.__dict__.update(state)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters, as scikit-learn's ``clone`` wants them."""
        return dict(self._parameters)

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters; what was fitted is forgotten."""
        self.__init__(**{**self._parameters, **parameters})  # type: ignore[misc]
        return self

    def require_fitted(self) -> None:
        """Raise InputError if it is not fitted yet."""
        if not self.services:
            raise InputError("the identifier is not fitted yet", hint="call fit with labelled samples first")

    def fit(
        self, samples: pd.DataFrame, labels: Sequence[str] | None = None, *, progress: Progress | None = None
    ) -> Self:
        """Train on labelled containers.

        Parameters
        ----------
        samples : DataFrame
            A checked samples table. Containers without a label are left out.
        labels : sequence of str (n_rows,), optional
            The service of each row; by default the column ``service``.
        progress : callable, optional
            Called with steps done, steps in all, and what is being done.

        Raises
        ------
        InputError
            If labels or groups are missing, or there are not two services and two groups.
        """
        from podlab.identify.training import train

        samples = samples if labels is None else samples.assign(service=pd.array(list(labels), dtype="str"))
        fitted, *smaller = train(samples, progress=progress, **self._parameters)
        reduced = {name: type(self).from_fitted(seed=self.seed, **each) for name, each in smaller}
        self._set_fitted(**fitted[1], reduced=reduced)
        return self

    def adapt(
        self, samples: pd.DataFrame, *, services: Sequence[str] | None = None, group: str = "deployment",
        progress: Progress | None = None,
    ) -> Self:  # fmt: skip
        """Make an identifier that also knows a few labelled containers of one's own; this one stays as it is.

        One to five of a service help, also of a new one. The recordings that this one was trained on are not needed.
        Parameters and errors are those of :meth:`fit` and of a new identifier; only models of forests can be adapted.
        """
        from podlab.identify.adapt import adapt

        self.require_fitted()
        fitted, *smaller = adapt(self, samples, services=services, group=group, seed=self.seed, progress=progress)
        reduced = {name: type(self).from_fitted(seed=self.seed, **each) for name, each in smaller}
        return type(self).from_fitted(seed=self.seed, **fitted[1], reduced=reduced)

    def for_columns(self, available: Collection[str]) -> Identifier:
        """Choose the identifier that suits the available columns best: this one, or one of :attr:`reduced`."""
        own = set(series_of(self.columns))
        there = own & set(series_of(tuple(available))) - OPTIONAL_SERIES
        if not self.reduced or not own - there - OPTIONAL_SERIES:
            return self
        for name, columns in smaller_sets(self.columns).items():
            if name in self.reduced and set(series_of(columns)) - OPTIONAL_SERIES == there:
                return self.reduced[name]  # the best by any measure, and no other has to be read
        models = {"": self, **self.reduced}
        return models[closest_set(available, {name: each.series_importance() for name, each in models.items()})]

    def series_importance(self) -> Mapping[str, float]:
        """How much the models use each series; the sum is that of all features."""
        if self._importance is None:
            self._importance = dict.fromkeys(series_of(self.columns), 0.0)
            total = np.sum([each.importance(len(self.features)) for each in self.horizon_models.values()], axis=0)
            for feature, value in zip(self.features, total, strict=True):
                made_from = series_in(feature)
                for name in self._importance.keys() & set(made_from):
                    self._importance[name] += float(value) / len(made_from)
        return self._importance

    def identify(
        self,
        samples: pd.DataFrame | Rows,
        *,
        horizon_s: float | None = None,
        metrics: Collection[str] | None = None,
        left_out: NDArray[np.int64] | None = None,
        p_values: bool = False,
    ) -> list[Prediction]:
        """Predict every container instance of a samples table.

        Parameters
        ----------
        samples : DataFrame or Rows
            A checked samples table, or its arrays, with whatever columns and sampling interval. Columns that the model
            did not learn from are ignored; of those that it did some may be missing.
        horizon_s : float, optional
            Use only rows in [start, start + horizon); by default all.
        metrics : collection of str, optional
            The metric columns that have any value, where these samples are a part of more.
        left_out : array of int64 (n_containers,), optional
            How many rows of each container, in order of appearance, are not among the samples: see :meth:`reach`.
        p_values : bool
            Whether to give each prediction p-values of claims, and say what all containers do, not only unknown ones.

        Returns
        -------
        list of Prediction
            In order of the containers' appearance. A container without a value of any of the model's columns gets no
            service, no candidates, confidence 0 and novelty 1.

        Raises
        ------
        InputError
            If it is not fitted, the horizon is not positive, or the table has none of the model's columns.
        """
        self.require_fitted()
        if horizon_s is not None and not horizon_s > 0:
            raise InputError("the horizon must be longer than 0", where="horizon")
        rows = samples if isinstance(samples, Rows) else read_rows(samples, metrics=metrics_to_read(self.columns))
        if not any(column in (rows.metrics if metrics is None else metrics) for column in self.columns):
            what = "the samples have none of the model's columns"
            raise InputError(what, where=self.model, hint=f"it was trained on {', '.join(self.columns)}")
        if horizon_s is not None:
            rows = rows.take((rows.offset_s >= 0) & (rows.offset_s < horizon_s))
        metrics = [name for name in rows.metrics if rows.valid[name].any()] if metrics is None else metrics
        found = EnsemblePrediction(self.for_columns(metrics), rows, metrics=metrics, left_out=left_out)
        predictions = make_predictions(
            rows.containers, found, self.services, usable=containers_usable(rows, self.columns, horizon_s),
            columns=rows.columns_shown(self.columns), model=self.model, p_values=p_values,
        )  # fmt: skip
        return with_behaviour(predictions, rows, all_of_them=p_values)

    def predict(self, samples: pd.DataFrame, *, horizon_s: float | None = None) -> pd.DataFrame:
        """As :meth:`identify`, as a table.

        Returns
        -------
        DataFrame
            One row for each container, in order of appearance, as
            :func:`podlab.identify.prediction.predictions_table` makes it; no row where the samples have none of the
            model's columns.
        """
        self.require_fitted()
        if not any(column in samples for column in self.columns):
            return predictions_table([], self.services)
        return predictions_table(self.identify(samples, horizon_s=horizon_s), self.services)

    def predict_proba(self, samples: pd.DataFrame, *, horizon_s: float | None = None) -> pd.DataFrame:
        """Give the calibrated probability of each service.

        Returns
        -------
        DataFrame
            One row for each container, in order of appearance; a column for each service.
        """
        found = self.identify(samples, horizon_s=horizon_s)
        index = pd.MultiIndex.from_tuples(
            [(each.namespace, each.pod, each.container) for each in found], names=["namespace", "pod", "container"]
        )
        return pd.DataFrame([each.candidates for each in found], index=index, columns=list(self.services), dtype=float)

    def reach(self, horizon_s: float | None = None) -> tuple[float, float]:
        """How many of a container's first seconds, and of its last ones, :meth:`identify` looks at."""
        if horizon_s is not None:
            return horizon_s, 0.0
        startup_s, steady_s = (
            max((each.length_s for each in self.windows if each.kind == kind), default=0.0)
            for kind in ("startup", "steady")
        )
        return startup_s, MAX_SEGMENTS * steady_s


def fit(samples: pd.DataFrame, *, progress: Progress | None = None, **parameters: Any) -> Identifier:
    """Make an identifier with these parameters and fit it: ``Identifier(**parameters).fit(samples)``."""
    return Identifier(**parameters).fit(samples, progress=progress)


class EnsemblePrediction:
    """The combined predictions of an identifier's models for the containers of one table.

    ``probability``, ``proximity``, ``prediction_set`` and ``p_value`` are of each service (n_containers, n_services),
    ``novelty`` and ``coverage`` of each container (n_containers,).
    """

    def __init__(
        self,
        identifier: Identifier,
        rows: Rows,
        *,
        metrics: Collection[str],
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
        self.p_value = np.full((count, services), np.nan)
        self.spans = observation_spans(rows)
        if left_out is not None:
            self.spans = replace(self.spans, rows=self.spans.rows + left_out)
        incomplete = set(series_of(identifier.columns)) - set(series_of(tuple(metrics))) - OPTIONAL_SERIES
        self._condition = np.where(
            self.spans.interval_s > _SPARSE_FACTOR * identifier.interval_s,
            Condition.SPARSE_AND_INCOMPLETE if incomplete else Condition.SPARSE,
            Condition.INCOMPLETE if incomplete else Condition.RECORDED,
        )
        self._startup = [each for each in identifier.windows if each.kind == "startup"]
        self._steady = [each for each in identifier.windows if each.kind == "steady"]
        self._predict()

    def _predict(self) -> None:
        """Choose the models for each container."""
        spans = self.spans
        seen = ~np.isnan(spans.first_s)
        at_start = seen & (spans.start_observed if self._startup and self._steady else bool(self._startup))
        if self._startup:
            # A late container is seen from its first row on where there is no model of the steady state.
            late = ~spans.start_observed & (not self._steady)
            begin_s = np.where(late, np.nan_to_num(spans.first_s), 0.0)
            filled = self._filled(begin_s)
            longest = filled.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
            lengths_s = np.array([each.length_s for each in self._startup])
            # Beside the longest window the shortest one that is not too short; itself where there is none.
            companion = (filled & (lengths_s >= COMPANION_MIN_FRACTION * lengths_s[longest][:, None])).argmax(axis=1)
            for a, short in enumerate(self._startup):
                for b, long in enumerate(self._startup):
                    self._predict_startup(short, long, at_start & (companion == a) & (longest == b), begin_s)
        span_s = (spans.until_s - np.nan_to_num(spans.first_s)) * 1.02
        for number, window in enumerate(self._steady):
            fits = np.ones(seen.size, dtype=bool) if number == 0 else span_s >= window.length_s
            if number + 1 < len(self._steady):
                fits &= span_s < self._steady[number + 1].length_s
            self._predict_steady(window, seen & ~at_start & fits)

    def _filled(self, begin_s: FloatArray) -> BoolArray:
        """Which start-up windows each container fills, at least one (n_containers, n_windows)."""
        rows, reached = np.zeros((2, begin_s.size, len(self._startup)), dtype=np.intp)
        for number, window in enumerate(self._startup):
            inside = self._rows.offset_s < (begin_s + window.length_s)[self._rows.code]
            rows[:, number] = np.bincount(self._rows.code[inside], minlength=begin_s.size)
            reached[:, number] = (self.spans.until_s - begin_s) * 1.02 >= window.length_s
        filled = (rows >= _LEAST_ROWS) & (reached > 0)
        # Too young or sampled too sparsely for any of them: the shortest one that has at least a row.
        least = np.where((rows > 0).any(axis=1), (rows > 0).argmax(axis=1), len(self._startup) - 1)
        none = np.flatnonzero(~filled.any(axis=1))
        filled[none, least[none]] = True
        return filled

    def _predict_startup(
        self, short: ObservationWindow, long: ObservationWindow, chosen: BoolArray, begin_s: FloatArray
    ) -> None:
        if not chosen.any():
            return
        rows, begin_s = self._rows.only(chosen), begin_s[chosen]
        windows = tuple(dict.fromkeys((short, long)))
        X, logits, proximity = zip(*(self._apply(window, rows, begin_s) for window in windows), strict=True)
        combined = combine_logits(logits)
        best = combined.argmax(axis=1)
        distance = np.mean([self._distance(window, own, best) for window, own in zip(windows, X, strict=True)], axis=0)
        names = tuple(window.name for window in windows)
        self._calibrate(chosen, combined, np.mean(proximity, axis=0), distance, names, mismatch=begin_s > 0)

    def _predict_steady(self, window: ObservationWindow, chosen: BoolArray) -> None:
        if not chosen.any():
            return
        rows = self._rows.only(chosen)
        first_s, until_s = self.spans.first_s[chosen], self.spans.until_s[chosen]
        logits, proximity = np.zeros((2, first_s.size, len(self._identifier.services)))
        number, distance = np.zeros((2, first_s.size))
        segments: list[tuple[BoolArray, NDArray[np.float32]]] = []
        for back in range(1, MAX_SEGMENTS + 1):
            begin_s = np.maximum(until_s - back * window.length_s, first_s)
            fits = until_s - back * window.length_s >= first_s * 0.98 if back > 1 else np.ones(first_s.size, dtype=bool)
            if not fits.any():
                break
            X, own_logits, own_proximity = self._apply(window, rows.only(fits), begin_s[fits])
            segments.append((fits, X))
            logits[fits] += own_logits
            proximity[fits] += own_proximity
            number[fits] += 1
        best = logits.argmax(axis=1)
        for fits, X in segments:
            distance[fits] += self._distance(window, X, best[fits])
        # Segments of one container are not independent: they are averaged, not added.
        each = number[:, None]
        mismatch = self.spans.start_observed[chosen]
        self._calibrate(chosen, logits / each, proximity / each, distance / number, (window.name,), mismatch=mismatch)

    def _apply(
        self, window: ObservationWindow, rows: Rows, begin_s: FloatArray
    ) -> tuple[NDArray[np.float32], FloatArray, FloatArray]:
        """Apply one model: features (n, n_features), logits and proximities (n, n_services)."""
        cells = make_windows(rows, horizon_s=window.length_s, begin_s=begin_s, columns=self._identifier.columns)
        X, _ = feature_matrix(cells, self._identifier.features)
        model = self._identifier.horizon_models[window.name]
        probability, proximity = model.predict(X, len(self._identifier.services))
        return X, to_logits(probability), proximity

    def _distance(self, window: ObservationWindow, X: NDArray[np.float32], service: NDArray[np.intp]) -> FloatArray:
        return self._identifier.horizon_models[window.name].neighbours.neg_log_distance(X, service)

    def _calibrate(
        self, chosen: BoolArray, logits: FloatArray, proximity: FloatArray, neg_log_distance: FloatArray,
        names: tuple[str, ...], *, mismatch: BoolArray,
    ) -> None:  # fmt: skip
        """Write the calibrated predictions of some containers; ``mismatch``: windows of the wrong kind were used."""
        self.proximity[chosen] = proximity
        measures = measure(logits, proximity, neg_log_distance, len(names))
        best = logits.argmax(axis=1)
        for condition, calibration in zip(Condition, self._identifier.calibrations[names], strict=True):
            here = self._condition[chosen] == condition
            if not here.any():
                continue
            temperature = calibration.temperature * np.where(mismatch[here], _MISMATCH_TEMPERATURE, 1.0)
            probability = softmax(logits[here], temperature[:, None])
            place = np.flatnonzero(chosen)[here]
            self.probability[place] = probability
            self.novelty[place] = calibration.ood_score.novelty(measures[here], best[here])
            self.prediction_set[place] = calibration.quantiles.prediction_sets(probability)
            if calibration.claim_score is not None:
                p_value = calibration.claim_score.p_values(softmax(logits[here], calibration.claim_temperature))
                self.p_value[place] = np.where(mismatch[here][:, None], np.nan, p_value)
            # Nothing held out was observed in such windows, so there is no guarantee.
            self.coverage[place] = np.where(mismatch[here], "none", calibration.quantiles.coverage)
