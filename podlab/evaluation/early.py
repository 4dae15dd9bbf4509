"""Early classification: how soon each trigger policy decides, and how often it is wrong.

All policies see the same predictions of the same models, so they differ only in when they decide. Decisions are arrays
over containers, of numbers of services; :data:`podlab.identify.early.UNKNOWN` is no service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.cross_validation import probabilities
from podlab.evaluation.metrics import Estimate, draw_weights, interval, spread
from podlab.evaluation.splits import IntArray, TextArray
from podlab.identify.early import (
    UNKNOWN,
    DecisionStates,
    PredictionArrays,
    TriggerPolicy,
    initial_states,
    update_states,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Policies that one is chosen from.
CONFIDENCES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
_CONSECUTIVE = (1, 2, 3)
_REVISE = ((0.5, 2), (0.7, 2), (0.7, 3), (0.9, 2), (0.9, 3), (0.97, 3))
#: Limits of the share of wrong final decisions, and of containers whose decision is revised.
TARGET_ERROR = 0.02
TARGET_REVISED = 0.01


@dataclass(frozen=True)
class PredictionTimeline:
    """Predictions of containers at several times since their start, by models that had not seen their deployment.

    Attributes
    ----------
    services : tuple of str
        Those that models were trained on.
    at_s : array of float64 (n_times,)
        Seconds since the start.
    predictions : tuple of PredictionArrays (n_times,)
        Each of all containers (n,).
    truth : array of int64 (n,)
        Number of the service, :data:`podlab.identify.early.UNKNOWN` where no model was trained on it.
    names, units : array of str (n,)
        Each container's service and deployment.
    fold : array of int64 (n,)
        Which model predicted it.
    """

    services: tuple[str, ...]
    at_s: FloatArray
    predictions: tuple[PredictionArrays, ...]
    truth: IntArray
    names: TextArray
    units: TextArray
    fold: IntArray

    def take(self, chosen: BoolArray) -> PredictionTimeline:
        """Keep some containers (n,)."""
        predictions = tuple(
            PredictionArrays(each.best[chosen], each.confidence[chosen], each.novelty[chosen], each.observed_s[chosen])
            for each in self.predictions
        )
        own = {name: getattr(self, name)[chosen] for name in ("truth", "names", "units", "fold")}
        return replace(self, predictions=predictions, **own)

    def known(self) -> PredictionTimeline:
        """Keep the containers of services that models were trained on."""
        return self.take(self.truth != UNKNOWN)


def timeline(predictions: pd.DataFrame, at_s: Sequence[float]) -> PredictionTimeline:
    """Order the rows of a predictions table by time.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`podlab.evaluation.cross_validate`, with these horizons among its scenarios.
    at_s : sequence of float
        Seconds since the start.

    Raises
    ------
    InputError
        If there is no time, or the table has no predictions at one.
    """
    services = tuple(probabilities(predictions).columns)
    number = {service: n for n, service in enumerate(services)}
    times = sorted({float(each) for each in at_s})
    # From the start every container has a row, even if nothing was observed yet.
    tables = [predictions[predictions["scenario"] == f"{each:g} s"].reset_index(drop=True) for each in times]
    missing = [f"{each:g} s" for each, own in zip(times, tables, strict=True) if own.empty]
    if missing or not tables:
        raise InputError(
            f"no predictions after {', '.join(missing) or 'any time'}", hint="cross-validate with these horizons"
        )
    first = tables[0]
    return PredictionTimeline(
        services=services,
        at_s=np.array(times),
        predictions=tuple(
            PredictionArrays(
                np.asarray(own["best_guess"].map(number).fillna(0), dtype=np.int64),
                own["confidence"].to_numpy(np.float64),
                own["novelty"].to_numpy(np.float64),
                own["seconds_observed"].where(own["best_guess"].notna()).to_numpy(np.float64),
            )
            for own in tables
        ),
        truth=np.asarray(first["service"].map(number).where(~first["unknown"]).fillna(UNKNOWN), dtype=np.int64),
        names=first["service"].to_numpy(object),
        units=first["unit"].to_numpy(object),
        fold=first["fold"].to_numpy(np.int64),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Decisions of a policy, each (n,).

    Attributes
    ----------
    first, final : array of int64
        Number of the service decided on first and at the end.
    decided_s : array of float64
        Seconds to the first decision; giving up counts as one.
    revised : array of bool
        Whether a decision was revised.
    """

    first: IntArray
    final: IntArray
    decided_s: FloatArray
    revised: BoolArray


def decide(predicted: PredictionTimeline, policy: TriggerPolicy) -> Outcome:
    """Apply a policy to every container; one without a decision at the last time is unknown."""
    state: DecisionStates = initial_states(predicted.truth.size)
    first = np.full(predicted.truth.size, UNKNOWN, dtype=np.int64)
    for at_s, predictions in zip(predicted.at_s, predicted.predictions, strict=True):
        waited = np.isnan(state.first_s)
        state = update_states(state, policy, float(at_s), predictions)
        now = waited & ~np.isnan(state.first_s)
        first[now] = state.service[now]
    return Outcome(
        first,
        np.where(np.isnan(state.first_s), UNKNOWN, state.service),
        np.where(np.isnan(state.first_s), predicted.at_s[-1], state.first_s),
        state.revisions > 0,
    )


def decide_at(predicted: PredictionTimeline, at_s: float) -> Outcome:
    """Decide on every container at the same time: the best guess, or unknown if it is too novel."""
    own = predicted.predictions[int(np.flatnonzero(predicted.at_s == at_s)[0])]
    decided = np.where(own.known, own.best, UNKNOWN)
    return Outcome(decided, decided, np.full(decided.size, at_s), np.zeros(decided.size, dtype=bool))


def policies(timeout_s: float) -> list[TriggerPolicy]:
    """List the policies that one is chosen from."""
    return [
        TriggerPolicy(confidence, consecutive, max(confidence, revise), revise_consecutive, timeout_s)
        for confidence, consecutive, (revise, revise_consecutive) in product(CONFIDENCES, _CONSECUTIVE, _REVISE)
        if revise >= confidence or (revise, revise_consecutive) == _REVISE[-1]
    ]


def choose(
    predicted: PredictionTimeline,
    candidates: Sequence[TriggerPolicy],
    *,
    target_error: float = TARGET_ERROR,
    target_revised: float = TARGET_REVISED,
) -> TriggerPolicy:
    """Choose the policy that decides soonest within limits of wrong and of revised decisions.

    Without the second limit it would pay to decide at once and to revise later.

    Parameters
    ----------
    predicted : PredictionTimeline
        Containers to choose on, never those that the choice is evaluated on.
    candidates : sequence of TriggerPolicy
    target_error : float
        Limit of the share of wrong final decisions.
    target_revised : float
        Limit of the share of containers whose decision is revised. Where no candidate keeps both limits, the one that
        exceeds them least is taken.
    """

    def merit(policy: TriggerPolicy) -> tuple[float, float]:
        outcome = decide(predicted, policy)
        excess = max(_error(predicted, outcome) - target_error, 0.0)
        excess += max(float(outcome.revised.mean()) - target_revised, 0.0)
        # Mean seconds, not the median: containers given up count with the whole timeout.
        return excess, float(outcome.decided_s.mean())

    return min(candidates, key=merit)


def choose_by_fold(
    predicted: PredictionTimeline,
    candidates: Sequence[TriggerPolicy],
    *,
    target_error: float = TARGET_ERROR,
    target_revised: float = TARGET_REVISED,
) -> tuple[list[TriggerPolicy], Outcome]:
    """Evaluate the choice itself: apply to each fold the policy chosen on the other folds' deployments.

    Unknown services take no part in the choice.

    Returns
    -------
    list of TriggerPolicy
        One for each fold.
    Outcome
        Of all containers.
    """
    count = predicted.truth.size
    first, final = np.full((2, count), UNKNOWN, dtype=np.int64)
    decided_s, revised = np.zeros(count), np.zeros(count, dtype=bool)
    chosen = []
    for fold in np.unique(predicted.fold):
        own = predicted.fold == fold
        others = predicted.take(~own & (predicted.truth != UNKNOWN))
        policy = choose(others, candidates, target_error=target_error, target_revised=target_revised)
        outcome = decide(predicted.take(own), policy)
        first[own], final[own] = outcome.first, outcome.final
        decided_s[own], revised[own] = outcome.decided_s, outcome.revised
        chosen.append(policy)
    return chosen, Outcome(first, final, decided_s, revised)


def _error(predicted: PredictionTimeline, outcome: Outcome) -> float:
    answered = outcome.final != UNKNOWN
    return float(np.mean(outcome.final[answered] != predicted.truth[answered])) if answered.any() else 0.0


def describe(
    predicted: PredictionTimeline, outcome: Outcome, *, seed: int = 0, weights: FloatArray | None = None
) -> dict[str, Estimate]:
    """Score how soon and how well a policy decided, with 95 % intervals over deployments.

    Parameters
    ----------
    predicted : PredictionTimeline (n,)
    outcome : Outcome (n,)
        Of the same containers.
    seed : int
        Of the bootstrap.
    weights : array of float64 (1 + resamples, n), optional
        How often each container counts, where several outcomes are scored on the same draws.

    Returns
    -------
    dict of str to Estimate
        ``mean_s``, ``median_s`` and ``p90_s`` to the first decision (giving up counts); ``error`` and ``first_error``,
        the share of wrong among final and among first answers; ``right``, the share of all containers whose final
        answer is right (for services that no model knows, unknown is right); ``revised`` and ``abstained``, of all.
    """
    drawn = _draw_weights(predicted, seed) if weights is None else weights
    everyone = np.ones(predicted.truth.size, dtype=bool)

    def estimate(values: FloatArray, among: BoolArray = everyone) -> Estimate:
        return interval(float(values[0]), values[1:], len(set(predicted.units[among])))

    def share(hit: BoolArray, among: BoolArray = everyone) -> Estimate:
        with np.errstate(invalid="ignore"):
            return estimate(np.asarray(drawn @ (hit & among) / (drawn @ among)), among)

    return {
        "mean_s": estimate(np.asarray(drawn @ outcome.decided_s / drawn.sum(axis=1))),
        "median_s": estimate(_quantile(outcome.decided_s, drawn, 0.5)),
        "p90_s": estimate(_quantile(outcome.decided_s, drawn, 0.9)),
        "error": share(outcome.final != predicted.truth, outcome.final != UNKNOWN),
        "first_error": share(outcome.first != predicted.truth, outcome.first != UNKNOWN),
        "right": share(outcome.final == predicted.truth),
        "revised": share(outcome.revised),
        "abstained": share(outcome.final == UNKNOWN),
    }


def _draw_weights(predicted: PredictionTimeline, seed: int) -> FloatArray:
    """Draw how often each container counts, as often as its deployment; first a row of ones (1 + resamples, n)."""
    _, unit = np.unique(predicted.units.astype(str), return_inverse=True)
    strata = pd.Series(predicted.names).groupby(unit).first().to_list()
    return np.vstack([np.ones(unit.size), draw_weights(strata, seed=seed)[:, unit]])


def _quantile(values: FloatArray, weights: FloatArray, part: float) -> FloatArray:
    """Find the lowest value that so much of the weight does not exceed, weights (n_draws, n) -> (n_draws,)."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    return np.asarray(values[order][(reached >= part * reached[:, -1:]).argmax(axis=1)])


def curve(predicted: PredictionTimeline, policy: TriggerPolicy, *, seed: int = 0) -> pd.DataFrame:
    """Compare rules over their whole range: how soon they decide, and how often that is wrong.

    Parameters
    ----------
    predicted : PredictionTimeline
        Containers of known services.
    policy : TriggerPolicy
        Gives the revocable rule's other parameters while its confidence varies. The plain threshold decides for good
        on the first prediction that is confident enough.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``rule`` (``revocable``, ``plain threshold`` or ``fixed time``), ``setting`` (the confidence, or the seconds);
        for each score of :func:`describe` its value, ``_low`` and ``_high``; ``n_containers``, ``n_deployments``.
    """
    plain = replace(policy, consecutive=1, revise_consecutive=None)
    found: list[tuple[str, float, Outcome]] = []
    for confidence in CONFIDENCES:
        revise = max(confidence, policy.revise_confidence)
        revocable = replace(policy, confidence=confidence, revise_confidence=revise)
        found.append(("revocable", confidence, decide(predicted, revocable)))
        found.append(("plain threshold", confidence, decide(predicted, replace(plain, confidence=confidence))))
    found += [("fixed time", float(at_s), decide_at(predicted, float(at_s))) for at_s in predicted.at_s]
    weights = _draw_weights(predicted, seed)
    table = pd.DataFrame(
        [
            {"rule": rule, "setting": setting, **_spreads(describe(predicted, own, weights=weights))}
            for rule, setting, own in found
        ]
    )
    numbers = {"n_containers": predicted.truth.size, "n_deployments": len(set(predicted.units))}
    return table.assign(**numbers).sort_values(["rule", "setting"], ignore_index=True)


#: Scores of :func:`describe` that rules are compared by.
COMPARED_BY = ("median_s", "mean_s", "error", "first_error", "right", "revised", "abstained")


def compare_rules(predicted: PredictionTimeline, *, horizons_s: Sequence[float] = (), seed: int = 0) -> pd.DataFrame:
    """Compare rules by how soon they decide, how often that is wrong, and how often they revise.

    The default policy is the same for all folds, whatever it was set by. The others are chosen for each fold on the
    other folds' deployments, so that none is evaluated on what it was chosen on.

    Parameters
    ----------
    predicted : PredictionTimeline
        Its last time is when all rules stop waiting.
    horizons_s : sequence of float
        Times at which to decide on every container at once.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``rule``; for each of :data:`COMPARED_BY` its value over containers of known services, ``_low`` and ``_high``;
        ``unknown_refused`` with both, the share of unknown containers that end as unknown (NaN without any);
        ``n_deployments``, ``n_unknown``.
    """
    known, until_s = predicted.truth != UNKNOWN, float(predicted.at_s[-1])
    plain = [TriggerPolicy(confidence, 1, confidence, None, until_s) for confidence in CONFIDENCES]
    outcomes = {
        "podlab's default": decide(predicted, TriggerPolicy(timeout_s=until_s)),
        "revocable, chosen": choose_by_fold(predicted, policies(until_s))[1],
        "plain threshold, chosen": choose_by_fold(predicted, plain)[1],
        **{f"fixed: {at_s:g} s": decide_at(predicted, at_s) for at_s in horizons_s},
    }
    return pd.DataFrame([{"rule": rule, **_row(predicted, own, known, seed)} for rule, own in outcomes.items()])


def _row(predicted: PredictionTimeline, outcome: Outcome, known: BoolArray, seed: int) -> dict[str, float]:
    here = predicted.take(known)
    scores = describe(here, _take(outcome, known), seed=seed)
    refused = Estimate(np.nan, np.nan, np.nan)
    if not known.all():
        refused = describe(predicted.take(~known), _take(outcome, ~known), seed=seed)["right"]
    rows = _spreads({**{name: scores[name] for name in COMPARED_BY}, "unknown_refused": refused})
    return {**rows, "n_deployments": len(set(here.units)), "n_unknown": len(set(predicted.units[~known]))}


def _take(outcome: Outcome, chosen: BoolArray) -> Outcome:
    return Outcome(**{field.name: getattr(outcome, field.name)[chosen] for field in fields(outcome)})


def _spreads(scores: dict[str, Estimate]) -> dict[str, float]:
    return {column: value for name, own in scores.items() for column, value in spread(name, own).items()}
