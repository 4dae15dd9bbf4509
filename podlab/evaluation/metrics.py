"""Scores of predictions, with 95 % bootstrap intervals over deployments.

An unknown prediction (missing) counts as wrong. Rows and containers of one deployment are alike, so intervals are over
deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score

from podlab.arrays import FloatArray, IntArray
from podlab.data.units import format_estimate

#: How often deployments are drawn again, and the share of the draws inside an interval.
RESAMPLES = 2000
COVERAGE = 0.95
#: Equal-width bins of confidence for the calibration error.
CONFIDENCE_BINS = 10
#: The scores of :class:`Scores` that have an interval.
HEADLINES = ("macro_f1", "balanced_accuracy", "accuracy", "macro_precision", "share_answered", "calibration_error")


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval; NaN where there was nothing to compute it from."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Give ``{"value", "low", "high"}`` with null for what is undefined."""
        return {name: _number_or_none(value) for name, value in vars(self).items()}

    def __str__(self) -> str:
        """Write it as ``0.93 (0.88 to 0.97)``."""
        return format_estimate(self.value, self.low, self.high)


def _number_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table as plain values, undefined numbers as None."""
    return [
        {str(name): _number_or_none(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def spread(name: str, estimate: Estimate) -> dict[str, float]:
    """Give an estimate as the columns ``name``, ``name_low`` and ``name_high``."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


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


def draw_row_weights(units: ArrayLike, strata: ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """Draw how much each row counts in each resample: as much as its deployment, by :func:`draw_weights`.

    Parameters
    ----------
    units, strata : array-like (n,)
        Each row's deployment and its stratum.
    seed, resamples : int

    Returns
    -------
    array of float64 (1 + resamples, n)
        First a row of ones.
    """
    unit = pd.factorize(np.asarray(units, dtype=object))[0]
    first = np.unique(unit, return_index=True)[1]
    drawn = draw_weights(np.asarray(strata, dtype=object)[first].tolist(), seed=seed, resamples=resamples)
    return np.vstack([np.ones(unit.size), drawn[:, unit]])


def wilson(share: float, number: int) -> Estimate:
    """Interval of a share seen in some independent cases (Wilson 1927, JASA 22:209-212).

    Unlike the bootstrap's it has a width where all cases agree: 8 of 8 is compatible with a true share of 0.7.

    Examples
    --------
    >>> str(wilson(1.0, 8))
    '1.00 (0.68 to 1.00)'
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
    if value in (0.0, 1.0) and np.ptp(draws) < 1e-9:  # not 0: weights are rounded
        return wilson(float(value), number)
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    # The quantiles of a biased score may both lie on one side of it.
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))


def mean_interval(
    values: FloatArray, units: Sequence[object], strata: Sequence[object], *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """Take the mean of values (n,) and its interval over deployments; units and strata as :func:`draw_row_weights`."""
    unit, names = pd.factorize(np.asarray(units, dtype=object))
    first = np.unique(unit, return_index=True)[1]
    weights = draw_weights(np.asarray(strata, dtype=object)[first].tolist(), seed=seed, resamples=resamples)
    total, number = np.bincount(unit, weights=values), np.bincount(unit).astype(np.float64)
    return interval(float(np.mean(values)), (weights @ total) / (weights @ number), len(names))


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth."""

    services: tuple[str, ...]  # the services of the confusion matrix
    #: Decisions by true service (rows) and predicted service (columns), of which the last is unknown
    #: (n_services, n_services + 1).
    confusion: IntArray
    #: Macro means the mean over the services that were tested. Balanced accuracy is the mean recall.
    macro_f1: Estimate
    balanced_accuracy: Estimate
    accuracy: Estimate
    macro_precision: Estimate
    share_answered: Estimate  # share of decisions that named a service
    #: Expected calibration error of the predictions that named a service; NaN without confidences.
    calibration_error: Estimate
    #: ``service, precision, recall, recall_low, recall_high, f1, support`` (decisions), one line per tested service;
    #: precision is NaN for a service that was never predicted, the recall's interval is Wilson's for as many cases as
    #: the service has deployments.
    per_service: pd.DataFrame
    #: ``confidence`` (mean), ``accuracy``, ``decisions`` of each bin of confidence that has any.
    reliability: pd.DataFrame
    #: Decisions are containers times repetitions.
    n_deployments: int
    n_containers: int
    n_decisions: int

    @property
    def counts(self) -> dict[str, int]:
        """How many deployments, containers and decisions were scored, by attribute."""
        return {name: getattr(self, name) for name in ("n_deployments", "n_containers", "n_decisions")}

    def to_row(self) -> dict[str, Any]:
        """Give the scores with their intervals, and the counts, as columns of a table."""
        row: dict[str, Any] = {}
        for name in HEADLINES:
            row |= spread(name, getattr(self, name))
        return row | self.counts

    def to_json(self) -> dict[str, Any]:
        """Give all of it as plain values, undefined ones as null."""
        return {
            **{name: getattr(self, name).to_json() for name in HEADLINES},
            **self.counts,
            "confusion": {"services": [*self.services, None], "counts": self.confusion.tolist()},
            "per_service": {row.pop("service"): row for row in to_records(self.per_service)},
        }


def score_predictions(
    predictions: pd.DataFrame,
    answer: str = "predicted",
    *,
    services: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scores:
    """Score rows of the table that :func:`podlab.evaluation.cross_validate` returns, or of one like it.

    Raises ValueError if there are no predictions.

    Parameters
    ----------
    predictions : DataFrame (n_decisions,)
        With ``service`` (the truth), ``unit`` (the deployment: intervals are over these) and the predictions; where
        known with ``position`` (the container, where one was decided on more than once) and ``confidence``.
    answer : str
        Column to score: ``predicted``, in which "unknown" (missing) counts as wrong, or ``best_guess``.
    services : sequence of str, optional
        Order of the confusion matrix; by default all services that occur, sorted.
    seed, resamples : int
        Of the bootstrap.
    """
    if predictions.empty:
        raise ValueError("nothing to score")
    decisions = _Decisions.of(predictions, answer, services)
    weights = decisions.draw_weights(seed, resamples)
    draws = decisions.ratios(weights)
    confidence = np.asarray(predictions.get("confidence", np.full(len(predictions), np.nan)), dtype=np.float64)
    reliability, draws["calibration_error"] = decisions.calibration(confidence, weights)
    count = len(decisions.names)
    cases = (decisions.support > 0).sum(axis=0)
    recall = pd.DataFrame([spread("recall", wilson(*pair)) for pair in zip(draws["recall"][0], cases, strict=True)])
    per_service = pd.DataFrame(
        {
            "service": decisions.names,
            "precision": draws["precision"][0],
            **recall.to_dict("series"),
            "f1": draws["f1"][0],
            "support": decisions.support.sum(axis=0).astype(np.int64),
        }
    )
    confusion = np.bincount(decisions.true * (count + 1) + decisions.given, minlength=count * (count + 1))
    n_units = len(decisions.support)
    return Scores(
        services=tuple(decisions.names),
        confusion=confusion.reshape(count, count + 1),
        **{name: interval(draws[name][0], draws[name][1:], n_units) for name in HEADLINES},
        per_service=per_service[cases > 0].reset_index(drop=True),
        reliability=reliability,
        n_deployments=n_units,
        n_containers=predictions["position"].nunique() if "position" in predictions else len(predictions),
        n_decisions=len(predictions),
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
    return pd.DataFrame(
        [
            dict(zip(names, key, strict=True)) | score_predictions(own, answer, seed=seed).to_row()
            for key, own in predictions.groupby(names, sort=False, dropna=False)
        ]
    )


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
    predictions, answer, seed, resamples
        As for :func:`score_predictions`.

    Returns
    -------
    array of float64 (1 + resamples,)
        The score itself first.
    """
    decisions = _Decisions.of(predictions, answer)
    return decisions.ratios(decisions.draw_weights(seed, resamples))["macro_f1"]


@dataclass(frozen=True)
class _Decisions:
    """Decisions by number of their service, prediction (the last is unknown) and deployment, each (n_decisions,)."""

    names: list[str]
    true: IntArray
    given: IntArray
    unit: IntArray

    @classmethod
    def of(cls, predictions: pd.DataFrame, answer: str, services: Sequence[str] | None = None) -> _Decisions:
        truth, answers = predictions["service"], predictions[answer]
        names = list(services) if services is not None else sorted({*truth, *answers.dropna()})
        true, given = (pd.Index(names).get_indexer(pd.Index(each)) for each in (truth, answers))
        if (true < 0).any() or ((given < 0) & answers.notna()).any():
            raise ValueError(f"a service is none of {', '.join(names)}")
        return cls(names, true, np.where(given < 0, len(names), given), pd.factorize(predictions["unit"])[0])

    def per_unit(self, column: IntArray, values: FloatArray | NDArray[np.bool_], width: int) -> FloatArray:
        """Sum values by deployment and column (n_units, width)."""
        n_units = self.unit.max() + 1
        flat = np.bincount(self.unit * width + column, weights=values, minlength=n_units * width)
        return flat.reshape(n_units, width).astype(np.float64)

    @property
    def support(self) -> FloatArray:
        """Decisions by deployment and service (n_units, n_services)."""
        return self.per_unit(self.true, np.ones(self.true.size), len(self.names))

    def draw_weights(self, seed: int, resamples: int) -> FloatArray:
        """Draw deployments anew within their service; first a row of ones (1 + resamples, n_units)."""
        drawn = draw_weights(self.support.argmax(axis=1).tolist(), seed=seed, resamples=resamples)
        return np.vstack([np.ones(drawn.shape[1]), drawn])

    def ratios(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Give the scores of each resample.

        A service that is tested but never predicted has no precision; it counts as 0 in the macro mean, as its F1 is 0.
        """
        hits = weights @ self.per_unit(self.true, self.true == self.given, len(self.names))
        named = weights @ self.per_unit(self.given, np.ones(self.true.size), len(self.names) + 1)[:, :-1]
        support = weights @ self.support
        tested = support > 0
        count = tested.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = hits / named, hits / support
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

    def calibration(self, confidence: FloatArray, weights: FloatArray) -> tuple[pd.DataFrame, FloatArray]:
        """Give bins of confidence, and the expected calibration error of each resample.

        The error is the mean over predictions of |accuracy - mean confidence| of their bin (Guo et al. 2017, "On
        calibration of modern neural networks", equation 3).
        """
        counts = (self.given < len(self.names)) & np.isfinite(confidence)
        claimed = np.where(counts, confidence, 0.0)
        bin_of = np.clip((claimed * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
        number, correct, total = (
            weights @ self.per_unit(bin_of, values, CONFIDENCE_BINS)
            for values in (counts, counts & (self.true == self.given), claimed)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(correct - total).sum(axis=1) / number.sum(axis=1)
            mean, accuracy = total[0] / number[0], correct[0] / number[0]
        bins = pd.DataFrame({"confidence": mean, "accuracy": accuracy, "decisions": number[0].astype(np.int64)})
        return bins[bins["decisions"] > 0].reset_index(drop=True), error
