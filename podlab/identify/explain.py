"""Explanations: which metrics led to the prediction, and which would have led to the runner-up.

The contribution of a metric is its Shapley value in a game whose gain is the log-odds of the predicted service against
the runner-up, and in which a metric that does not take part was not measured (Strumbelj and Kononenko 2014, "Explaining
prediction models and individual predictions with feature contributions", Knowledge and Information Systems 41:647-665).
The model itself is asked for its prediction without those metrics, whatever is inside it. So contributions add up to
the log-odds, and two metrics with the same information share the credit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, IDENTITY
from podlab.data.samples import INSTANCE_KEY
from podlab.features.windows import make_windows, series_of
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Orders in which metrics join, each also backwards, which lowers the variance (Mitchell et al. 2022, "Sampling
#: permutations for Shapley value estimation", JMLR 23:43).
_ORDERS = 8
#: A probability of 0 has no logarithm.
_FLOOR = float(np.finfo(np.float64).tiny)
#: Copies of a container with so many rows together are predicted at once.
_BLOCK_ROWS = 100_000
#: Metrics with less than this part of all contributions get no sentence.
_WORTH_SAYING = 0.05
_MOST_FOR, _MOST_AGAINST = 3, 2

_WORDS = {
    "cpu_usage_nanocores": "CPU use",
    "memory_usage_bytes": "memory including all caches",
    "memory_working_set_bytes": "memory in use",
    "memory_rss_bytes": "the processes' own memory",
    "memory_page_faults": "page faults",
    "memory_major_page_faults": "page faults that read from disk",
    "rootfs_used_bytes": "data written to the container's file system",
    "logsfs_used_bytes": "the size of the log",
    "volume_used_bytes": "data on its volumes",
    "rx_bytes": "network traffic received",
    "tx_bytes": "network traffic sent",
    "io_read_bytes": "data read from disk",
    "io_write_bytes": "data written to disk",
}


@dataclass(frozen=True)
class MetricContribution:
    """What one metric contributed to a prediction.

    Attributes
    ----------
    metric : str
        A series of :data:`podlab.features.windows.SERIES`.
    amount : float
        Its mean over the window, in the metric's unit; a counter's per second.
    share : float
        Its part of the log-odds; above 0 it supports the prediction, below the runner-up.
    probability_without : float
        Probability of the predicted service if this metric alone had not been measured.
    """

    metric: str
    amount: float
    share: float
    probability_without: float


@dataclass(frozen=True)
class Explanation:
    """Why a container got its prediction.

    Attributes
    ----------
    service, runner_up : str
        The most probable service and the next one.
    known : bool
        Whether the container looks like a known service; if not, ``service`` was not predicted.
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
                    "share": round(own.share, 4),
                    "probability_without": round(own.probability_without, 4),
                }
                for own in self.evidence
            ],
            "words": self.words(),
        }

    def words(self) -> list[str]:
        """Explain it in sentences, the most important first."""
        sentences = []
        if not self.known:
            sentences.append(
                f"It differs from every known service: {self.novelty:.1%} of known containers differ less. "
                f"The most similar one is {self.service}."
            )
        total = sum(abs(own.share) for own in self.evidence)
        telling = [own for own in self.evidence if abs(own.share) >= _WORTH_SAYING * total > 0]
        for own in [own for own in telling if own.share > 0][:_MOST_FOR]:
            sentences.append(
                f"{self._subject(own)} is typical of {self.service}, not of {self.runner_up}: "
                f"without it {self.probability:.2f} would be {own.probability_without:.2f}."
            )
        for own in [own for own in telling if own.share < 0][:_MOST_AGAINST]:
            sentences.append(f"{self._subject(own)} points to {self.runner_up} instead.")
        return sentences or [f"No metric distinguishes {self.service} from {self.runner_up}."]

    def _subject(self, own: MetricContribution) -> str:
        words = _WORDS.get(own.metric, own.metric.replace("_", " "))
        amount = format_amount(own.metric, own.amount)
        return f"{words[0].upper()}{words[1:]} ({own.metric}, {amount} on average over {self.seconds_observed:.0f} s)"


def format_amount(metric: str, amount: float) -> str:
    """Write a series' value with its unit.

    Examples
    --------
    >>> format_amount("memory_rss_bytes", 12_345_678)
    '12.3 MB'
    >>> format_amount("cpu_usage_nanocores", 2_500_000)
    '2.5 millicores'
    """
    if metric == "cpu_usage_nanocores":
        return f"{_three_digits(amount / 1e6)} millicores" if amount < 1e9 else f"{_three_digits(amount / 1e9)} cores"
    if CATALOGUE[metric].unit != "bytes":
        return f"{_three_digits(amount)} a second"
    power = int(np.clip(np.log10(max(amount, 1.0)) // 3, 0, 4))
    number = f"{_three_digits(amount / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
    return f"{number} a second" if CATALOGUE[metric].kind == "counter" else number


def _three_digits(value: float) -> str:
    """Round to three digits, written without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


def explain(
    identifier: Identifier,
    samples: pd.DataFrame,
    predictions: Sequence[Prediction],
    *,
    horizon_s: float | None = None,
    metrics: Collection[str] | None = None,
) -> list[Explanation | None]:
    """Explain predictions.

    Parameters
    ----------
    identifier : Identifier
        That made them.
    samples : DataFrame
        The checked samples table that they were made from.
    predictions : sequence of Prediction
        All of them, as :meth:`podlab.identify.Identifier.identify` returned them.
    horizon_s, metrics
        As for the predictions.

    Returns
    -------
    list of Explanation or None
        One for each prediction; None for a container without a value.
    """
    kept = [name for name in (*IDENTITY, *identifier.columns) if name in samples]
    table = samples[kept]
    windows = make_windows(table, horizon_s=horizon_s, columns=identifier.columns)
    amounts = windows.cells.mean(axis=2, dtype=np.float64)
    instance = table.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup().to_numpy()
    explanations: list[Explanation | None] = []
    for number, (amount, prediction) in enumerate(zip(amounts, predictions, strict=True)):
        measured = [name for name, value in zip(windows.series, amount, strict=True) if np.isfinite(value)]
        if not prediction.candidates or not measured:
            explanations.append(None)
            continue
        rows = table[instance == number]
        game = _Game(identifier, rows, _company(table, rows), measured, prediction, horizon_s, metrics)
        own = dict(zip(windows.series, amount.tolist(), strict=True))
        explanations.append(_explain(game, prediction, own))
    return explanations


def _company(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Find rows with the metrics that a container lacks: the whole table says what is measured at all."""
    lacking = [name for name in table if name in CATALOGUE and rows[name].isna().all()]
    there = [table[name].notna().to_numpy(bool) for name in lacking]
    return table.iloc[sorted({int(shown.argmax()) for shown in there if shown.any()})]


class _Game:
    """Predictions of one container as if only some metrics had been measured."""

    def __init__(
        self, identifier: Identifier, rows: pd.DataFrame, company: pd.DataFrame, measured: Sequence[str],
        prediction: Prediction, horizon_s: float | None, metrics: Collection[str] | None,
    ) -> None:  # fmt: skip
        self.measured = tuple(measured)
        self.service, self.runner_up = list(prediction.candidates)[:2]
        self._identifier = identifier
        self._rows, self._company = rows, company
        self._horizon_s, self._metrics = horizon_s, metrics

    def play(self, played: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Probabilities of the predicted service and the runner-up with some metrics only (n_games,) each.

        Where no metric takes part both are the same.
        """
        step = max(1, _BLOCK_ROWS // len(self._rows))
        found = [self._ask(played[begin : begin + step]) for begin in range(0, len(played), step)]
        both = np.concatenate(found)
        return both[:, 0], both[:, 1]

    def _ask(self, played: BoolArray) -> FloatArray:
        # The first copy is whole, so that what is measured at all is the same for every block.
        games = np.concatenate([np.ones((1, played.shape[1]), dtype=bool), played])
        count, length = len(games), len(self._rows)
        copies = self._rows.iloc[np.tile(np.arange(length), count)].reset_index(drop=True)
        copies["pod_uid"] = pd.array(np.repeat(np.arange(count).astype(str), length), dtype="str")
        for column in self._rows.columns.intersection(list(CATALOGUE)):
            used = series_of([column])
            plays = games[:, self.measured.index(used[0])] if used and used[0] in self.measured else games[:, 0]
            copies[column] = copies[column].where(np.repeat(plays, length))
        company = self._company.assign(pod_uid="company")
        table = pd.concat([copies, company], ignore_index=True) if len(company) else copies
        answers = self._identifier.identify(table, horizon_s=self._horizon_s, metrics=self._metrics)[1:count]
        nothing = 1 / len(self._identifier.services)
        return np.array(
            [[own.candidates.get(name, nothing) for name in (self.service, self.runner_up)] for own in answers]
        )


def _explain(game: _Game, prediction: Prediction, amount: dict[str, float]) -> Explanation:
    count = len(game.measured)
    orders = _orders(count)
    # Row k of an order's games has its first k metrics.
    joined = np.zeros((len(orders), count + 1, count), dtype=bool)
    for number, order in enumerate(orders):
        for size in range(1, count + 1):
            joined[number, size, order[:size]] = True
    games, where = np.unique(joined.reshape(-1, count), axis=0, return_inverse=True)
    own, runner_up = game.play(np.concatenate([games, ~np.eye(count, dtype=bool)]))
    log_odds = np.log(np.maximum(own, _FLOOR)) - np.log(np.maximum(runner_up, _FLOOR))
    gains = np.diff(log_odds[where.reshape(len(orders), count + 1)], axis=1)
    shares = np.zeros(count)
    for order, gain in zip(orders, gains, strict=True):
        shares[order] += gain / len(orders)
    evidence = [
        MetricContribution(metric, amount[metric], float(share), float(without))
        for metric, share, without in zip(game.measured, shares, own[len(games) :], strict=True)
    ]
    return Explanation(
        service=game.service,
        runner_up=game.runner_up,
        known=prediction.known,
        novelty=prediction.novelty,
        seconds_observed=prediction.seconds_observed,
        probability=prediction.confidence,
        runner_up_probability=prediction.candidates[game.runner_up],
        log_odds=float(shares.sum()),
        evidence=tuple(sorted(evidence, key=lambda said: -abs(said.share))),
    )


def _orders(count: int) -> list[NDArray[np.intp]]:
    """Draw orders of so many metrics, each also backwards; the same ones for every container."""
    rng = np.random.default_rng(count)
    forwards = [rng.permutation(count) for _ in range(_ORDERS)]
    return [order for pair in ((order, order[::-1]) for order in forwards) for order in pair]
