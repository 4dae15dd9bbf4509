"""Scores of predictions, with 95 % bootstrap intervals over deployments.

An unknown prediction (None) counts as wrong. Rows and containers of one deployment are alike, so intervals are over
deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score

FloatArray = NDArray[np.float64]

#: How often deployments are drawn again, and the share of the draws inside an interval.
RESAMPLES = 2000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval.

    Attributes
    ----------
    value, low, high : float
        NaN where there was nothing to compute it from.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Give ``{"value", "low", "high"}`` with null for what is undefined."""
        return {name: number_or_none(getattr(self, name)) for name in ("value", "low", "high")}

    def __str__(self) -> str:
        """Write it as ``0.93 [0.88, 0.97]``."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def number_or_none(value: float) -> float | None:
    """Turn NaN, which is no JSON, into None."""
    return float(value) if np.isfinite(value) else None


def to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table as plain values, undefined numbers as None."""
    return [
        {str(name): number_or_none(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def draw_weights(strata: Sequence[object], *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """Draw how much each deployment counts in each resample.

    Deployments are drawn with replacement within their stratum (their service), so that every service stays in. Of n
    deployments n - 1 are drawn and weigh n / (n - 1) each: drawing n of n would make intervals of services with few
    deployments too narrow, by the factor sqrt((n - 1) / n) (Rao and Wu 1988, "Resampling inference with complex survey
    data", JASA 83:231-241). A lone deployment counts once in each resample, since its variance is unknown.

    Parameters
    ----------
    strata : sequence (n_units,)
        Each deployment's stratum.
    seed : int
        The same arguments give the same weights.
    resamples : int
        How many draws.

    Returns
    -------
    array of float64 (resamples, n_units)
        Sums to the number of units in each row.
    """
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(np.asarray(strata, dtype=object))
    weights = np.ones((resamples, codes.size))
    for code in range(len(names)):
        own = np.flatnonzero(codes == code)
        if own.size > 1:
            drawn = rng.multinomial(own.size - 1, np.full(own.size, 1 / own.size), size=resamples)
            weights[:, own] = drawn * (own.size / (own.size - 1))
    return weights


def wilson(share: float, number: int) -> Estimate:
    """Interval of a share seen in some independent cases (Wilson 1927, JASA 22:209-212).

    Unlike the bootstrap's it has a width where all cases agree: 8 of 8 is compatible with a true share of 0.7.

    Parameters
    ----------
    share : float
        Part of the cases, 0 to 1; NaN without any.
    number : int
        How many cases.

    Examples
    --------
    >>> str(wilson(1.0, 8))
    '1.00 [0.68, 1.00]'
    """
    if not number or not np.isfinite(share):
        return Estimate(share, np.nan, np.nan)
    z = 1.959964  # of the normal distribution, for 95 %
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * float(np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def interval(value: float, draws: FloatArray, number: int) -> Estimate:
    """Take the interval from the quantiles of resampled values (resamples,); NaN among them are left out.

    Where all of ``number`` deployments are right, or all wrong, resampling has nothing to vary, and the interval is
    Wilson's: a perfect score is no proof of perfection.
    """
    draws = draws[np.isfinite(draws)]
    if not draws.size or not np.isfinite(value):
        return Estimate(float(value), np.nan, np.nan)
    if value in (0.0, 1.0) and np.ptp(draws) == 0:
        return wilson(float(value), number)
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    # The quantiles of a biased score may both lie on one side of it.
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))


def mean_interval(
    values: FloatArray, units: Sequence[object], strata: Sequence[object], *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """Take the mean of values and its interval over deployments.

    Parameters
    ----------
    values : array of float64 (n,)
    units, strata : sequence (n,)
        Each value's deployment and its stratum.
    seed, resamples : int
        Of the bootstrap.
    """
    unit, names = pd.factorize(np.asarray(units, dtype=object))
    first = np.unique(unit, return_index=True)[1]
    weights = draw_weights(np.asarray(strata, dtype=object)[first].tolist(), seed=seed, resamples=resamples)
    total, number = np.bincount(unit, weights=values), np.bincount(unit).astype(np.float64)
    return interval(float(np.mean(values)), (weights @ total) / (weights @ number), len(names))


#: Equal-width bins of confidence for the calibration error.
CONFIDENCE_BINS = 10


@dataclass(frozen=True)
class Scores:
    """What a set of answers is worth.

    Attributes
    ----------
    services : tuple of str
        The services of the confusion matrix.
    confusion : array of int64 (n_services, n_services + 1)
        Decisions by true service (rows) and answered service (columns); the last column is unknown.
    accuracy, macro_f1, macro_precision, balanced_accuracy : Estimate
        Macro means the mean over the services that were tested. Balanced accuracy is the mean recall.
    calibration_error : Estimate
        Expected calibration error of the answers that named a service; NaN without confidences.
    share_answered : Estimate
        Share of decisions that named a service.
    per_service : DataFrame
        ``service, precision, recall, recall_low, recall_high, f1, support`` (decisions), one line per tested service;
        precision is NaN for a service that was never answered, the recall's interval is Wilson's for as many cases as
        the service has deployments.
    reliability : DataFrame
        ``confidence`` (mean), ``accuracy``, ``decisions`` of each bin of confidence that has any.
    n_deployments, n_containers, n_decisions : int
        Decisions are containers times repetitions.
    """

    services: tuple[str, ...]
    confusion: NDArray[np.int64]
    accuracy: Estimate
    macro_f1: Estimate
    macro_precision: Estimate
    balanced_accuracy: Estimate
    calibration_error: Estimate
    share_answered: Estimate
    per_service: pd.DataFrame
    reliability: pd.DataFrame
    n_deployments: int
    n_containers: int
    n_decisions: int

    def to_row(self) -> dict[str, Any]:
        """Give the scores with their intervals, and the counts, as columns of a table."""
        headlines = [spread(name, getattr(self, name)) for name in HEADLINES]
        counts = {name: getattr(self, name) for name in ("n_deployments", "n_containers", "n_decisions")}
        return {name: value for each in headlines for name, value in each.items()} | counts

    def to_json(self) -> dict[str, Any]:
        """Give all of it as plain values, undefined ones as null."""
        headlines = {name: getattr(self, name).to_json() for name in HEADLINES}
        rows = to_records(self.per_service)
        return {
            **headlines,
            "n_deployments": self.n_deployments,
            "n_containers": self.n_containers,
            "n_decisions": self.n_decisions,
            "confusion": {"services": [*self.services, None], "counts": self.confusion.tolist()},
            "per_service": {row.pop("service"): row for row in rows},
        }


#: The scores that have an interval, by attribute.
HEADLINES = ("macro_f1", "balanced_accuracy", "accuracy", "macro_precision", "share_answered", "calibration_error")


def score_answers(
    truth: Sequence[str],
    answers: Sequence[str | None],
    units: Sequence[object],
    *,
    containers: Sequence[object] | None = None,
    confidence: Sequence[float] | None = None,
    services: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scores:
    """Score answers against the truth.

    Parameters
    ----------
    truth : sequence of str (n_decisions,)
        The service that runs.
    answers : sequence of str or None (n_decisions,)
        The service that was answered, None when unknown.
    units : sequence (n_decisions,)
        The deployment of each decision; intervals are over these.
    containers : sequence (n_decisions,), optional
        The container of each decision, where one was decided on more than once.
    confidence : sequence of float (n_decisions,), optional
        Probability that the answer claims to be right with.
    services : sequence of str, optional
        Order of the confusion matrix; by default all services that occur, sorted.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there are no decisions.
    """
    if not len(truth):
        raise ValueError("nothing to score")
    answered = np.array([answer is not None for answer in answers])
    names = list(services) if services is not None else sorted({str(a) for a in (*truth, *answers) if a is not None})
    counts = _count(truth, answers, units, names)
    true, given, right = counts.true, counts.given, counts.true == counts.given
    support = counts.support
    weights = counts.draw_weights(seed, resamples)
    draws = counts.ratios(weights)
    ratios = {name: values[0] for name, values in draws.items()}
    bins, gap = _calibration(right, confidence, answered, counts.per_unit, weights)
    headlines = {**{name: draws[name] for name in _MACRO}, "calibration_error": gap}
    recall = [wilson(*pair) for pair in zip(ratios["recall"], (support > 0).sum(axis=0), strict=True)]
    tested = support.sum(axis=0) > 0
    per_service = pd.DataFrame(
        {
            "service": names,
            "precision": ratios["precision"],
            "recall": [estimate.value for estimate in recall],
            "recall_low": [estimate.low for estimate in recall],
            "recall_high": [estimate.high for estimate in recall],
            "f1": ratios["f1"],
            "support": support.sum(axis=0).astype(np.int64),
        }
    )
    confusion = np.bincount(true * (len(names) + 1) + given, minlength=len(names) * (len(names) + 1))
    return Scores(
        services=tuple(names),
        confusion=confusion.reshape(len(names), len(names) + 1),
        **{name: interval(values[0], values[1:], counts.n_units) for name, values in headlines.items()},
        per_service=per_service[tested].reset_index(drop=True),
        reliability=bins,
        n_deployments=counts.n_units,
        n_containers=true.size if containers is None else len(set(containers)),
        n_decisions=true.size,
    )


def score_predictions(
    predictions: pd.DataFrame, answer: str = "predicted", *, services: Sequence[str] | None = None, seed: int = 0
) -> Scores:
    """Score rows of the table that :func:`podlab.evaluation.cross_validate` returns.

    Parameters
    ----------
    predictions : DataFrame
        With ``service``, ``unit``, ``position``, ``confidence`` and the answers.
    answer : str
        Column to score: ``predicted``, in which "unknown" counts as wrong, or ``best_guess``.
    services, seed
        As for :func:`score_answers`.
    """
    return score_answers(
        predictions["service"].to_list(),
        texts(predictions[answer]),
        predictions["unit"].to_list(),
        containers=predictions["position"].to_list(),
        confidence=predictions["confidence"].to_list(),
        services=services,
        seed=seed,
    )


def score(
    predictions: pd.DataFrame, by: str | Sequence[str] = "scenario", answer: str = "predicted", *, seed: int = 0
) -> pd.DataFrame:
    """Score the table that :func:`podlab.evaluation.cross_validate` returns, group by group.

    Parameters
    ----------
    predictions : DataFrame
    by : str or sequence of str
        Columns whose values are scored apart, such as ``["model", "horizon_s"]``.
    answer, seed
        As for :func:`score_predictions`.

    Returns
    -------
    DataFrame
        One row for each group, in order of appearance: the columns of ``by``; each score of :data:`HEADLINES`, with
        ``_low`` and ``_high`` for its 95 % interval over deployments; ``n_deployments, n_containers, n_decisions``.
    """
    names = [by] if isinstance(by, str) else list(by)
    rows = []
    for key, own in predictions.groupby(names, sort=False, dropna=False):
        found = score_predictions(own, answer, seed=seed)
        rows.append(dict(zip(names, key, strict=True)) | found.to_row())
    return pd.DataFrame(rows)


def macro_f1(predictions: pd.DataFrame, answer: str = "predicted") -> float:
    """Mean F1 of the services that were tested; NaN without predictions."""
    truth = predictions["service"].to_list()
    if not truth:
        return float("nan")
    answers = predictions[answer].fillna("").to_list()
    return float(f1_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0))


def resample_predictions(
    predictions: pd.DataFrame, answer: str = "predicted", *, seed: int = 0, resamples: int = RESAMPLES
) -> FloatArray:
    """Give macro-F1, and what it might have been with other deployments of the same services.

    Predictions under two conditions of the same containers, in the same order and with the same seed, are resampled
    alike: the difference of both results is that of paired predictions.

    Parameters
    ----------
    predictions, answer
        As for :func:`score_predictions`.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    array of float64 (1 + resamples,)
        The score itself first.
    """
    truth, answers = predictions["service"].to_list(), texts(predictions[answer])
    names = sorted({each for each in (*truth, *answers) if each is not None})
    counts = _count(truth, answers, predictions["unit"].to_list(), names)
    weights = counts.draw_weights(seed, resamples)
    return counts.ratios(weights)["macro_f1"]


def spread(name: str, estimate: Estimate) -> dict[str, float]:
    """Give an estimate as the columns ``name``, ``name_low`` and ``name_high``."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def texts(answers: pd.Series) -> list[str | None]:
    """Give answers as texts, None where they are missing."""
    return [None if pd.isna(answer) else str(answer) for answer in answers]


_MACRO = ("accuracy", "macro_f1", "macro_precision", "balanced_accuracy", "share_answered")


@dataclass(frozen=True)
class _Counts:
    """Decisions by number of their service, answer (the last is unknown) and deployment, each (n_decisions,)."""

    true: NDArray[np.int64]
    given: NDArray[np.int64]
    unit: NDArray[np.int64]
    n_units: int
    n_services: int

    def per_unit(self, column: NDArray[np.int64], values: FloatArray | NDArray[np.bool_], width: int) -> FloatArray:
        """Sum ``values`` by unit and column: (n_units, width)."""
        flat = np.bincount(self.unit * width + column, weights=values, minlength=self.n_units * width)
        return flat.reshape(self.n_units, width).astype(np.float64)

    @property
    def support(self) -> FloatArray:
        """Decisions by unit and service."""
        return self.per_unit(self.true, np.ones(self.true.size), self.n_services)

    def draw_weights(self, seed: int, resamples: int) -> FloatArray:
        """Draw deployments anew within their service; first a row of ones (1 + resamples, n_units)."""
        drawn = draw_weights(self.support.argmax(axis=1).tolist(), seed=seed, resamples=resamples)
        return np.vstack([np.ones(self.n_units), drawn])

    def ratios(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Give the scores of each resample."""
        hits = self.per_unit(self.true, self.true == self.given, self.n_services)
        claims = self.per_unit(self.given, np.ones(self.true.size), self.n_services + 1)
        return _ratios(weights @ hits, weights @ self.support, weights @ claims)


def _count(
    truth: Sequence[str], answers: Sequence[str | None], units: Sequence[object], names: Sequence[str]
) -> _Counts:
    position = {name: number for number, name in enumerate(names)}
    unit, unit_names = pd.factorize(np.asarray(units, dtype=object))
    return _Counts(
        true=np.array([position[name] for name in truth]),
        given=np.array([len(names) if answer is None else position[answer] for answer in answers]),
        unit=unit,
        n_units=len(unit_names),
        n_services=len(names),
    )


def _ratios(hits: FloatArray, support: FloatArray, claims: FloatArray) -> dict[str, FloatArray]:
    """Scores of each resample from its counts by service; the last column of ``claims`` is unknown.

    A service that is tested but never answered has no precision; it counts as 0 in the macro mean, as its F1 is 0.
    """
    named = claims[:, :-1]
    tested = support > 0
    count = tested.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = hits / named
        recall = hits / support
        f1 = np.where(tested, 2 * hits / (named + support), np.nan)
        return {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "accuracy": hits.sum(axis=1) / support.sum(axis=1),
            "macro_f1": np.nansum(f1, axis=1) / count,
            "macro_precision": np.nansum(np.where(tested, precision, 0), axis=1) / count,
            "balanced_accuracy": np.nansum(recall, axis=1) / count,
            "share_answered": named.sum(axis=1) / support.sum(axis=1),
        }


def _calibration(
    right: NDArray[np.bool_],
    confidence: Sequence[float] | None,
    answered: NDArray[np.bool_],
    per_unit: Any,
    weights: FloatArray,
) -> tuple[pd.DataFrame, FloatArray]:
    """Bins of confidence, and the expected calibration error of each resample.

    The error is the mean over answers of |accuracy - mean confidence| of their bin (Guo et al. 2017, "On calibration of
    modern neural networks", equation 3).
    """
    claimed = np.full(right.size, np.nan) if confidence is None else np.asarray(confidence, dtype=np.float64)
    counts = answered & np.isfinite(claimed)
    bin_of = np.clip((np.nan_to_num(claimed) * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
    number = weights @ per_unit(bin_of, counts, CONFIDENCE_BINS)
    correct = weights @ per_unit(bin_of, counts & right, CONFIDENCE_BINS)
    total = weights @ per_unit(bin_of, np.where(counts, claimed, 0.0), CONFIDENCE_BINS)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(correct - total).sum(axis=1) / number.sum(axis=1)
        bins = pd.DataFrame(
            {
                "confidence": total[0] / number[0],
                "accuracy": correct[0] / number[0],
                "decisions": number[0].astype(np.int64),
            }
        )
    return bins[bins["decisions"] > 0].reset_index(drop=True), error
