"""Early classification: how soon each trigger policy decides, and how often it is wrong.

All policies see the same predictions of the same models, so they differ only in when they decide. The outcome of a
policy is a table of containers (n,) with ``first`` and ``final``, the numbers of the services decided on first and at
the end (:data:`podlab.identify.early.UNKNOWN` is no service), ``decided_s``, the seconds to the first decision (giving
up counts as one), and ``revised``, whether a decision was revised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from podlab.arrays import BoolArray, FloatArray
from podlab.errors import InputError
from podlab.evaluation.cross_validation import probabilities
from podlab.evaluation.metrics import Estimate, draw_row_weights, interval, spread
from podlab.identify.early import UNKNOWN, PredictionArrays, TriggerPolicy, initial_states, update_states

#: Policies that one is chosen from.
CONFIDENCES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
_CONSECUTIVE = (1, 2, 3)
_REVISE = ((0.5, 2), (0.7, 2), (0.7, 3), (0.9, 2), (0.9, 3), (0.97, 3))
#: Limits of the share of wrong final decisions, and of containers whose decision is revised.
TARGET_ERROR = 0.02
TARGET_REVISED = 0.01


@dataclass(frozen=True)
class PredictionTimeline:
    """Predictions of containers at several times since their start, by models that had not seen their deployment."""

    at_s: FloatArray  # seconds since the start (n_times,)
    predictions: tuple[PredictionArrays, ...]  # (n_times,), each of all containers (n,)
    #: ``truth`` (number of the service, :data:`podlab.identify.early.UNKNOWN` where no model was trained on it),
    #: ``service``, ``unit`` (the deployment) and ``fold`` (which model predicted it) (n,).
    containers: pd.DataFrame

    @property
    def is_known(self) -> BoolArray:
        """Whether models were trained on each container's service (n,)."""
        return (self.containers["truth"] != UNKNOWN).to_numpy()

    def take(self, chosen: BoolArray) -> PredictionTimeline:
        """Keep some containers (n,)."""
        predictions = tuple(
            PredictionArrays(**{name: own[chosen] for name, own in vars(each).items()}) for each in self.predictions
        )
        return PredictionTimeline(self.at_s, predictions, self.containers[chosen].reset_index(drop=True))

    def known(self) -> PredictionTimeline:
        """Keep the containers of services that models were trained on."""
        return self.take(self.is_known)


def timeline(predictions: pd.DataFrame, at_s: Sequence[float]) -> PredictionTimeline:
    """Order the rows of a predictions table by time.

    Raises InputError if there is no time, or the table has no predictions at one. The table has these times, in seconds
    since the start, among its scenarios' horizons.
    """
    number = {service: n for n, service in enumerate(probabilities(predictions))}
    times = sorted({float(each) for each in at_s})
    # From the start every container has a row, even if nothing was observed yet.
    tables = [predictions[predictions["scenario"] == f"{each:g} s"].reset_index(drop=True) for each in times]
    missing = [f"{each:g} s" for each, own in zip(times, tables, strict=True) if own.empty]
    if missing or not tables:
        what = f"no predictions after {', '.join(missing) or 'any time'}"
        raise InputError(what, hint="cross-validate with these horizons")
    arrays = tuple(
        PredictionArrays(
            best=np.asarray(own["best_guess"].map(number).fillna(0), dtype=np.int64),
            confidence=own["confidence"].to_numpy(np.float64),
            novelty=own["novelty"].to_numpy(np.float64),
            observed_s=own["seconds_observed"].where(own["best_guess"].notna()).to_numpy(np.float64),
        )
        for own in tables
    )
    containers = tables[0][["service", "unit", "fold"]]
    truth = containers["service"].map(number).where(~tables[0]["unknown"].astype(bool)).fillna(UNKNOWN)
    return PredictionTimeline(np.array(times), arrays, containers.assign(truth=truth.astype(np.int64)))


def decide(predicted: PredictionTimeline, policy: TriggerPolicy) -> pd.DataFrame:
    """Apply a policy to every container (n,); one without a decision at the last time is unknown."""
    count = len(predicted.containers)
    state, first = initial_states(count), np.full(count, UNKNOWN, dtype=np.int64)
    for at_s, predictions in zip(predicted.at_s, predicted.predictions, strict=True):
        waited = np.isnan(state.first_s)
        state = update_states(state, policy, float(at_s), predictions)
        now = waited & ~np.isnan(state.first_s)
        first[now] = state.service[now]
    waiting = np.isnan(state.first_s)
    return pd.DataFrame(
        {
            "first": first,
            "final": np.where(waiting, UNKNOWN, state.service),
            "decided_s": np.where(waiting, predicted.at_s[-1], state.first_s),
            "revised": state.revisions > 0,
        }
    )


def decide_at(predicted: PredictionTimeline, at_s: float) -> pd.DataFrame:
    """Decide on every container at the same time: the best guess, or unknown if it is too novel."""
    own = predicted.predictions[int(np.flatnonzero(predicted.at_s == at_s)[0])]
    decided = np.where(own.known, own.best, UNKNOWN)
    return pd.DataFrame({"first": decided, "final": decided, "decided_s": at_s, "revised": False})


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
    target_error : float
        Limit of the share of wrong final decisions.
    target_revised : float
        Limit of the share of containers whose decision is revised. Where no candidate keeps both limits, the one that
        exceeds them least is taken.
    """

    def merit(policy: TriggerPolicy) -> tuple[float, float]:
        outcome = decide(predicted, policy)
        answered = outcome["final"] != UNKNOWN
        wrong = (outcome["final"] != predicted.containers["truth"])[answered]
        excess = max(wrong.mean() - target_error if len(wrong) else 0.0, 0.0)
        excess += max(outcome["revised"].mean() - target_revised, 0.0)
        # Mean seconds, not the median: containers given up count with the whole timeout.
        return excess, outcome["decided_s"].mean()

    return min(candidates, key=merit)


def choose_by_fold(
    predicted: PredictionTimeline, candidates: Sequence[TriggerPolicy]
) -> tuple[list[TriggerPolicy], pd.DataFrame]:
    """Evaluate the choice itself: apply to each fold the policy chosen on the other folds' deployments.

    Unknown services take no part in the choice.

    Returns
    -------
    list of TriggerPolicy
        One for each fold.
    DataFrame
        What they decided on all containers.
    """
    chosen, outcomes = [], []
    for fold in np.unique(predicted.containers["fold"]):
        own = (predicted.containers["fold"] == fold).to_numpy()
        chosen.append(choose(predicted.take(~own & predicted.is_known), candidates))
        outcomes.append(decide(predicted.take(own), chosen[-1]).set_index(np.flatnonzero(own)))
    return chosen, pd.concat(outcomes).sort_index()


def describe(predicted: PredictionTimeline, outcome: pd.DataFrame, weights: FloatArray) -> dict[str, Estimate]:
    """Score how soon and how well a policy decided, with 95 % intervals over deployments.

    Parameters
    ----------
    predicted : PredictionTimeline (n,)
    outcome : DataFrame (n,)
        Of the same containers.
    weights : array of float64 (1 + resamples, n)
        How often each container counts in each resample, from :func:`podlab.evaluation.metrics.draw_row_weights`.

    Returns
    -------
    dict of str to Estimate
        ``mean_s``, ``median_s`` and ``p90_s`` to the first decision (giving up counts); ``error`` and ``first_error``,
        the share of wrong among final and among first answers; ``right``, the share of all containers whose final
        answer is right (for services that no model knows, unknown is right); ``revised`` and ``abstained``, of all.
    """
    truth, units = predicted.containers["truth"].to_numpy(), predicted.containers["unit"].to_numpy(object)
    first, final, decided_s = (outcome[name].to_numpy() for name in ("first", "final", "decided_s"))
    everyone = np.ones(truth.size, dtype=bool)

    def share(hit: BoolArray, among: BoolArray = everyone) -> Estimate:
        with np.errstate(invalid="ignore"):
            draws = (weights @ (hit & among)) / (weights @ among)
        return interval(float(draws[0]), draws[1:], len(set(units[among])))

    def seconds(draws: FloatArray) -> Estimate:
        return interval(float(draws[0]), draws[1:], len(set(units)))

    return {
        "mean_s": seconds(weights @ decided_s / weights.sum(axis=1)),
        "median_s": seconds(_quantile(decided_s, weights, 0.5)),
        "p90_s": seconds(_quantile(decided_s, weights, 0.9)),
        "error": share(final != truth, final != UNKNOWN),
        "first_error": share(first != truth, first != UNKNOWN),
        "right": share(final == truth),
        "revised": share(outcome["revised"].to_numpy()),
        "abstained": share(final == UNKNOWN),
    }


def _quantile(values: FloatArray, weights: FloatArray, part: float) -> FloatArray:
    """Find the lowest value that so much of the weight does not exceed, weights (n_draws, n) -> (n_draws,)."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    return np.asarray(values[order][(reached >= part * reached[:, -1:]).argmax(axis=1)])


def tabulate(predicted: PredictionTimeline, outcomes: Mapping[Any, pd.DataFrame], *, seed: int = 0) -> pd.DataFrame:
    """Score outcomes of several policies on the same draws of deployments.

    Parameters
    ----------
    predicted : PredictionTimeline (n,)
    outcomes : mapping to DataFrame (n,)
        Of the same containers, by the policy's name.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Indexed by the names: for each score of :func:`describe` its value, ``_low`` and ``_high``; ``n_deployments``.
    """
    containers = predicted.containers
    weights = draw_row_weights(containers["unit"], containers["service"], seed=seed)
    lines: list[dict[str, Any]] = []
    for outcome in outcomes.values():
        lines.append({"n_deployments": len(containers["unit"].unique())})
        for name, estimate in describe(predicted, outcome, weights).items():
            lines[-1] |= spread(name, estimate)
    return pd.DataFrame(lines, index=pd.Index(list(outcomes)))
