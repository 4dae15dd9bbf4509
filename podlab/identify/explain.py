"""Explanations: which metrics led to the prediction, and which would have led to the runner-up.

The contribution of a metric is its Shapley value in a game whose gain is the log-odds of the predicted service against
the runner-up, and in which a metric that does not take part was not measured (Strumbelj and Kononenko 2014, "Explaining
prediction models and individual predictions with feature contributions", Knowledge and Information Systems 41:647-665).
The model itself is asked for its prediction without those metrics, whatever is inside it. So contributions add up to
the log-odds, and two metrics with the same information share the credit. People are told shares: how much of all
evidence, for and against, a metric is. Without one of several metrics that say the same, a probability hardly changes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import BoolArray, FloatArray
from podlab.data.catalogue import describe_metric, format_amount
from podlab.features.features import feature_matrix
from podlab.features.rows import Rows, metrics_to_read, read_rows
from podlab.features.windows import make_windows
from podlab.identify.calibration import to_logits
from podlab.identify.classifier import ForestModel
from podlab.identify.identifier import EnsemblePrediction, Identifier
from podlab.identify.observation import ObservationWindow
from podlab.identify.prediction import Prediction

#: Orders in which metrics join, each also backwards, which lowers the variance (Mitchell et al. 2022, "Sampling
#: permutations for Shapley value estimation", JMLR 23:43).
ORDERS = 8
#: A probability of 0 has no logarithm.
_FLOOR = float(np.finfo(np.float64).tiny)
#: Copies of containers with so many rows together are predicted at once; one has the cells of a window at least.
_BLOCK_ROWS, _LEAST_ROWS = 400_000, 60
#: Metrics with less than this part of all contributions get no sentence.
_WORTH_SAYING = 0.05
_MOST_FOR, _MOST_AGAINST = 3, 2


@dataclass(frozen=True)
class MetricContribution:
    """What one metric contributed to a prediction.

    Attributes
    ----------
    metric : str
        A series of :data:`podlab.features.windows.SERIES`.
    amount : float
        Its mean over the window, in the metric's unit; a counter's per second.
    log_odds : float
        Its part of the log-odds; above 0 it supports the prediction, below the runner-up.
    share : float
        The same as a part of all evidence, -1 to 1: the absolute values of all metrics' shares add up to 1, unless no
        metric says anything.
    """

    metric: str
    amount: float
    log_odds: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """Why a container got its prediction.

    Attributes
    ----------
    service, runner_up : str
        The most probable service and the next one.
    known : bool
        Whether the container looks like a known service; if not, ``service`` was not predicted.
    most_similar : str
        The service with the nearest training container: the first of :attr:`podlab.identify.Prediction.similar`.
    novelty : float
        As in :class:`podlab.identify.Prediction`.
    seconds_observed : float
        How long the container was observed.
    probability, runner_up_probability : float
        Of both services.
    log_odds : float
        Difference of their logarithms, the sum of all contributions.
    evidence : tuple of MetricContribution
        The largest one, positive or negative, first.
    """

    service: str
    runner_up: str
    known: bool
    most_similar: str
    novelty: float
    seconds_observed: float
    probability: float
    runner_up_probability: float
    log_odds: float
    evidence: tuple[MetricContribution, ...]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object of the key ``explanation``."""
        return {
            "for": self.service,
            "against": self.runner_up,
            "log_odds": round(self.log_odds, 4),
            "metrics": [
                {
                    "metric": own.metric,
                    "amount": float(f"{own.amount:.6g}"),
                    "log_odds": round(own.log_odds, 4),
                    "share": round(own.share, 4),
                }
                for own in self.evidence
            ],
            "words": self.words(),
        }

    def to_frame(self) -> pd.DataFrame:
        """Give a row for each metric (n_metrics,): ``metric``, ``mean`` in words, ``speaks for``, ``share`` in %."""
        rows = [
            (own.metric, format_amount(own.metric, own.amount),
             self.service if own.log_odds > 0 else self.runner_up, 100 * abs(own.share))
            for own in self.evidence
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["metric", "mean", "speaks for", "share of the evidence, %"])

    def words(self) -> list[str]:
        """Explain it in sentences, the most important first."""
        sentences = []
        if not self.known:
            sentences.append(
                f"It differs from every known service: {self.novelty:.1%} of known containers differ less. It is most "
                f"similar to {self.most_similar}; if it ran a known service, {self.service} would be the most probable."
            )
        supports = sum(own.share for own in self.evidence if own.share > 0)
        if not any(own.share for own in self.evidence):
            return [*sentences, f"No metric distinguishes {self.service} from {self.runner_up}."]
        others = max(0.0, 1 - supports)
        sentences.append(
            f"{supports:.0%} of the evidence speaks for {self.service}, {others:.0%} for {self.runner_up}."
        )
        telling = [own for own in self.evidence if abs(own.share) >= _WORTH_SAYING]
        for name, some in (
            (self.service, [own for own in telling if own.share > 0][:_MOST_FOR]),
            (self.runner_up, [own for own in telling if own.share < 0][:_MOST_AGAINST]),
        ):
            sentences += [f"{abs(own.share):.0%} for {name}: {self._subject(own)}." for own in some]
        return sentences

    def _subject(self, own: MetricContribution) -> str:
        amount = format_amount(own.metric, own.amount)
        return f"{describe_metric(own.metric)} ({own.metric}, {amount} on average over {self.seconds_observed:.0f} s)"


def explain(
    identifier: Identifier,
    samples: pd.DataFrame | Rows,
    predictions: Sequence[Prediction],
    *,
    horizon_s: float | None = None,
    metrics: Collection[str] | None = None,
    orders: int = ORDERS,
) -> list[Explanation | None]:
    """Explain predictions.

    Parameters
    ----------
    identifier : Identifier
        That made them.
    samples : DataFrame or Rows
        The checked samples table that they were made from, or its arrays.
    predictions : sequence of Prediction
        All of them, as :meth:`podlab.identify.Identifier.identify` returned them.
    horizon_s, metrics
        As for the predictions.
    orders : int
        In how many orders metrics join, each also backwards: the time that it takes, and how exact shares are.

    Returns
    -------
    list of Explanation or None
        One for each prediction; None for a container without a value.
    """
    rows = samples if isinstance(samples, Rows) else read_rows(samples, metrics=metrics_to_read(identifier.columns))
    if horizon_s is not None:
        rows = rows.take((rows.offset_s >= 0) & (rows.offset_s < horizon_s))
    # What is measured at all is judged by the whole table, as it was for the predictions.
    metrics = [name for name in rows.metrics if rows.valid[name].any()] if metrics is None else metrics
    windows = make_windows(rows, horizon_s=horizon_s, columns=identifier.columns)
    amounts = windows.cells.mean(axis=2, dtype=np.float64)
    # Containers that show the same metrics play the same games.
    alike: dict[bytes, list[int]] = {}
    for number, (amount, prediction) in enumerate(zip(amounts, predictions, strict=True)):
        if prediction.candidates and np.isfinite(amount).any():
            alike.setdefault(np.isfinite(amount).tobytes(), []).append(number)
    explanations: list[Explanation | None] = [None] * len(predictions)
    number_of = {service: number for number, service in enumerate(identifier.services)}
    most_rows = max(_LEAST_ROWS, int(np.bincount(rows.code, minlength=1).max()))
    for members in alike.values():
        measured = np.flatnonzero(np.isfinite(amounts[members[0]]))
        game = _Game(measured.size, orders)
        at_once = max(1, _BLOCK_ROWS // (most_rows * len(game.played)))
        for some in (members[begin : begin + at_once] for begin in range(0, len(members), at_once)):
            series, chosen = [windows.series[place] for place in measured], np.zeros(len(amounts), dtype=bool)
            chosen[some] = True
            used = (windows.cells[some][:, measured] != 0).any(axis=2)
            probability = _play(identifier, rows.only(chosen), game.played, series, used, metrics)
            for place, number in enumerate(some):
                both = [number_of[name] for name in list(predictions[number].candidates)[:2]]
                logs = np.log(np.maximum(probability[:, place, both], _FLOOR))
                shares = game.shapley_values(logs[:, 0] - logs[:, 1])
                explanations[number] = _explanation(predictions[number], series, amounts[number, measured], shares)
    return explanations


class _Game:
    """Orders in which so many metrics join, and all sets of metrics that this makes.

    Attributes
    ----------
    played : array of bool (n_games, n_metrics)
        Which metrics take part.
    """

    def __init__(self, count: int, orders: int) -> None:
        self._orders = _orders(count, orders)
        # Row k of an order's games has its first k metrics.
        joined = np.zeros((len(self._orders), count + 1, count), dtype=bool)
        for number, order in enumerate(self._orders):
            for size in range(1, count + 1):
                joined[number, size, order[:size]] = True
        self.played, where = np.unique(joined.reshape(-1, count), axis=0, return_inverse=True)
        self._where = where.reshape(joined.shape[:2])

    def shapley_values(self, gain: FloatArray) -> FloatArray:
        """Share out the gain of each game (n_games,) among the metrics (n_metrics,)."""
        values = np.zeros(self.played.shape[1])
        for order, steps in zip(self._orders, np.diff(gain[self._where], axis=1), strict=True):
            values[order] += steps / len(self._orders)
        return values


def _play(
    identifier: Identifier, part: Rows, played: BoolArray, series: Sequence[str], used: BoolArray,
    metrics: Collection[str],
) -> FloatArray:  # fmt: skip
    """Probabilities of all services as if only some metrics had been measured (n_games, n_containers, n_services).

    Where no metric takes part, or none of those that do is ``used`` (n_containers, n_series), all are the same.
    """
    answering = identifier.for_columns(metrics)
    found = _MaskedEnsemble(answering, part, played, series, metrics).probability
    shown = np.asarray((played[:, None, :] & used[None]).any(axis=2))[:, :, None]
    return np.where(shown, found.reshape(len(played), len(part.containers), -1), 1 / len(identifier.services))


class _MaskedEnsemble(EnsemblePrediction):
    """The probabilities of copies of containers, one for each game, which show the game's metrics only.

    Copies differ in nothing but missing series. So windows are laid over each container once.
    """

    def __init__(
        self, identifier: Identifier, part: Rows, played: BoolArray, series: Sequence[str], metrics: Collection[str]
    ) -> None:
        games, count = len(played), len(part.containers)
        self._part, self._played, self._series = part, played, list(series)
        copies = Rows(
            pd.DataFrame({"game": np.repeat(np.arange(games), count), "member": np.tile(np.arange(count), games)}),
            (np.arange(games)[:, None] * count + part.code).reshape(-1),
            np.tile(part.offset_s, games),
            {},
            {},
        )
        super().__init__(identifier, copies, metrics=metrics)

    def _apply(
        self, window: ObservationWindow, rows: Rows, begin_s: FloatArray
    ) -> tuple[NDArray[np.float32], FloatArray, FloatArray]:
        game, member = rows.containers["game"].to_numpy(), rows.containers["member"].to_numpy()
        there, first, place = np.unique(member, return_index=True, return_inverse=True)
        chosen = np.zeros(len(self._part.containers), dtype=bool)
        chosen[there] = True
        windows = make_windows(
            self._part.only(chosen), horizon_s=window.length_s, begin_s=begin_s[first], columns=self._identifier.columns
        )
        cells = windows.cells[place]
        for number, name in enumerate(windows.series):
            plays = self._played[game, self._series.index(name)] if name in self._series else np.zeros(len(game), bool)
            cells[~plays, number] = np.nan
        X, _ = feature_matrix(replace(windows, cells=cells), self._identifier.features)
        model, services = self._identifier.horizon_models[window.name], len(self._identifier.services)
        # Nothing but probabilities is asked for.
        nowhere = np.zeros((len(X), services))
        if isinstance(model, ForestModel):
            return X, to_logits(model.forest.predict(X)), nowhere
        return X, to_logits(model.predict(X, services)[0]), nowhere

    def _distance(self, window: ObservationWindow, X: NDArray[np.float32], service: NDArray[np.intp]) -> FloatArray:
        return np.zeros(len(X))


def _explanation(
    prediction: Prediction, series: Sequence[str], amounts: FloatArray, log_odds: FloatArray
) -> Explanation:
    total = float(np.abs(log_odds).sum())
    shares = log_odds / total if total > 0 else np.zeros(log_odds.size)
    evidence = [
        MetricContribution(*own)
        for own in zip(series, amounts.tolist(), log_odds.tolist(), shares.tolist(), strict=True)
    ]
    (service, probability), (runner_up, runner_up_probability) = list(prediction.candidates.items())[:2]
    return Explanation(
        service=service,
        runner_up=runner_up,
        known=prediction.known,
        most_similar=prediction.similar[0][0] if prediction.similar else service,
        novelty=prediction.novelty,
        seconds_observed=prediction.seconds_observed,
        probability=probability,
        runner_up_probability=runner_up_probability,
        log_odds=float(log_odds.sum()),
        evidence=tuple(sorted(evidence, key=lambda own: -abs(own.log_odds))),
    )


def _orders(count: int, number: int) -> list[NDArray[np.intp]]:
    """Draw a number of orders of so many metrics, each also backwards; the same ones for every container."""
    rng = np.random.default_rng(count)
    forwards = [rng.permutation(count) for _ in range(number)]
    return [order for pair in ((order, order[::-1]) for order in forwards) for order in pair]
