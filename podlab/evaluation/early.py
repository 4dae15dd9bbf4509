"""Early classification: how soon each trigger policy decides, and how often it is wrong.

All policies see the same predictions of the same models, so they differ only in when they decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.evaluation.metrics import Estimate, draw_weights, interval, spread
from podlab.evaluation.replay import Replay
from podlab.evaluation.splits import IntArray
from podlab.identify.early import UNKNOWN, DecisionStates, TriggerPolicy, initial_states, update_states

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Policies that one is chosen from.
CONFIDENCES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
_LOOKS = (1, 2, 3)
_REVISE = ((0.5, 2), (0.7, 2), (0.7, 3), (0.9, 2), (0.9, 3), (0.97, 3))
#: Share of final answers that may be wrong, and of containers whose decision may be taken back.
TARGET_ERROR = 0.02
TARGET_REVISED = 0.01


@dataclass(frozen=True)
class Outcome:
    """What a rule made of a replay, each (n,).

    Attributes
    ----------
    first, final : array of int64
        Number of the service decided on first and at the end, :data:`UNKNOWN` where none was.
    decided_s : array of float64
        Seconds to the first decision; giving up counts as one.
    revised : array of bool
        Whether a decision was taken back.
    """

    first: IntArray
    final: IntArray
    decided_s: FloatArray
    revised: BoolArray


def decide(replay: Replay, policy: TriggerPolicy) -> Outcome:
    """Let a policy decide on every container of a replay; who still waits at the last look counts as unknown then."""
    state: DecisionStates = initial_states(replay.truth.size)
    first = np.full(replay.truth.size, UNKNOWN, dtype=np.int64)
    for at_s, looks in zip(replay.at_s, replay.looks, strict=True):
        waited = np.isnan(state.first_s)
        state = update_states(state, policy, float(at_s), looks)
        now = waited & ~np.isnan(state.first_s)
        first[now] = state.service[now]
    return Outcome(
        first,
        np.where(np.isnan(state.first_s), UNKNOWN, state.service),
        np.where(np.isnan(state.first_s), replay.at_s[-1], state.first_s),
        state.revisions > 0,
    )


def decide_at(replay: Replay, at_s: float) -> Outcome:
    """Decide on every container after the same time: the best guess, or unknown where it is like no known service."""
    looks = replay.looks[int(np.flatnonzero(replay.at_s == at_s)[0])]
    said = np.where(looks.known, looks.best, UNKNOWN)
    return Outcome(said, said, np.full(said.size, at_s), np.zeros(said.size, dtype=bool))


def policies(timeout_s: float) -> list[TriggerPolicy]:
    """List the policies that one is chosen from."""
    return [
        TriggerPolicy(confidence, looks, max(confidence, revise), revise_consecutive, timeout_s)
        for confidence, looks, (revise, revise_consecutive) in product(CONFIDENCES, _LOOKS, _REVISE)
        if revise >= confidence or (revise, revise_consecutive) == _REVISE[-1]
    ]


def choose(
    replay: Replay,
    candidates: Sequence[TriggerPolicy],
    *,
    target_error: float = TARGET_ERROR,
    target_revised: float = TARGET_REVISED,
) -> TriggerPolicy:
    """Choose the policy that decides soonest among those that are seldom wrong and seldom take anything back.

    Without the second limit it would pay to answer at once and to correct it later.

    Parameters
    ----------
    replay : Replay
        Containers to choose on, never those that the choice is then judged by.
    candidates : sequence of TriggerPolicy
    target_error : float
        Share of final answers that may be wrong.
    target_revised : float
        Share of containers whose decision may be taken back. Where no candidate keeps to both limits, the one that
        breaks them by the least is taken.
    """

    def merit(policy: TriggerPolicy) -> tuple[float, float]:
        outcome = decide(replay, policy)
        excess = max(_error(replay, outcome) - target_error, 0.0)
        excess += max(float(outcome.revised.mean()) - target_revised, 0.0)
        # Mean seconds, not the median: containers given up count with the whole timeout.
        return excess, float(outcome.decided_s.mean())

    return min(candidates, key=merit)


def choose_by_fold(
    replay: Replay,
    candidates: Sequence[TriggerPolicy],
    *,
    target_error: float = TARGET_ERROR,
    target_revised: float = TARGET_REVISED,
) -> tuple[list[TriggerPolicy], Outcome]:
    """Judge the choice itself: each fold's containers by the policy chosen on the other folds' deployments.

    Services that no model was trained on take no part in the choice.

    Returns
    -------
    list of TriggerPolicy
        One for each fold.
    Outcome
        Of all containers.
    """
    count = replay.truth.size
    first, final = np.full((2, count), UNKNOWN, dtype=np.int64)
    decided_s, revised = np.zeros(count), np.zeros(count, dtype=bool)
    chosen = []
    for fold in np.unique(replay.fold):
        own = replay.fold == fold
        others = replay.take(~own & (replay.truth != UNKNOWN))
        policy = choose(others, candidates, target_error=target_error, target_revised=target_revised)
        outcome = decide(replay.take(own), policy)
        first[own], final[own] = outcome.first, outcome.final
        decided_s[own], revised[own] = outcome.decided_s, outcome.revised
        chosen.append(policy)
    return chosen, Outcome(first, final, decided_s, revised)


def _error(replay: Replay, outcome: Outcome) -> float:
    answered = outcome.final != UNKNOWN
    return float(np.mean(outcome.final[answered] != replay.truth[answered])) if answered.any() else 0.0


def describe(replay: Replay, outcome: Outcome, *, seed: int = 0) -> dict[str, Estimate]:
    """Say how soon and how well a rule decided, with 95 % intervals over deployments.

    Parameters
    ----------
    replay : Replay (n,)
    outcome : Outcome (n,)
        Of the same containers.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        ``mean_s``, ``median_s`` and ``p90_s`` to the first decision (giving up counts); ``error`` and ``first_error``,
        the share of wrong among final and among first answers; ``right``, the share of all containers whose final
        answer is right (for services that no model knows, unknown is right); ``revised`` and ``abstained``, of all.
    """
    return _describe(replay, outcome, _draws(replay, seed))


def _draws(replay: Replay, seed: int) -> FloatArray:
    """Draw each container's weight, the same for all of one deployment (resamples, n)."""
    _, first_of = np.unique(replay.units.astype(str), return_inverse=True)
    strata = pd.Series(replay.names).groupby(first_of).first().to_list()
    return draw_weights(strata, seed=seed)[:, first_of]


def _describe(replay: Replay, outcome: Outcome, weights: FloatArray) -> dict[str, Estimate]:
    units, first_of = np.unique(replay.units.astype(str), return_inverse=True)
    plain = np.ones((1, replay.truth.size))
    everyone = np.ones(replay.truth.size, dtype=bool)

    def share(hit: BoolArray, among: BoolArray) -> Estimate:
        def ratio(w: FloatArray) -> FloatArray:
            with np.errstate(invalid="ignore"):
                return np.asarray(w @ (hit & among) / (w @ among))

        return interval(float(ratio(plain)[0]), ratio(weights), len(set(first_of[among])))

    def quantile(part: float) -> Estimate:
        return interval(
            float(_quantile(outcome.decided_s, plain, part)[0]), _quantile(outcome.decided_s, weights, part), len(units)
        )

    def mean(w: FloatArray) -> FloatArray:
        return np.asarray(w @ outcome.decided_s / w.sum(axis=1))

    return {
        "mean_s": interval(float(mean(plain)[0]), mean(weights), len(units)),
        "median_s": quantile(0.5),
        "p90_s": quantile(0.9),
        "error": share(outcome.final != replay.truth, outcome.final != UNKNOWN),
        "first_error": share(outcome.first != replay.truth, outcome.first != UNKNOWN),
        "right": share(outcome.final == replay.truth, everyone),
        "revised": share(outcome.revised, everyone),
        "abstained": share(outcome.final == UNKNOWN, everyone),
    }


def _quantile(values: FloatArray, weights: FloatArray, part: float) -> FloatArray:
    """Find the lowest value that so much of the weight does not exceed, weights (n_draws, n) -> (n_draws,)."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    return np.asarray(values[order][(reached >= part * reached[:, -1:]).argmax(axis=1)])


def curve(replay: Replay, policy: TriggerPolicy, *, seed: int = 0) -> pd.DataFrame:
    """Compare rules over their whole range: how soon they decide, and how often that is wrong.

    Parameters
    ----------
    replay : Replay
        Containers of known services.
    policy : TriggerPolicy
        Whose looks, revising and timeout the revocable rule has while its confidence goes through its range. The
        plain threshold decides for good with the first look that is probable enough.
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
        found.append(("revocable", confidence, decide(replay, revocable)))
        found.append(("plain threshold", confidence, decide(replay, replace(plain, confidence=confidence))))
    found += [("fixed time", float(at_s), decide_at(replay, float(at_s))) for at_s in replay.at_s]
    weights = _draws(replay, seed)
    table = pd.DataFrame(
        [
            {"rule": rule, "setting": setting, **_spreads(_describe(replay, own, weights))}
            for rule, setting, own in found
        ]
    )
    numbers = {"n_containers": replay.truth.size, "n_deployments": len(set(replay.units))}
    return table.assign(**numbers).sort_values(["rule", "setting"], ignore_index=True)


#: Of :func:`describe`, what a rule is judged by.
JUDGED_BY = ("median_s", "mean_s", "error", "first_error", "right", "revised", "abstained")


def compare_rules(replay: Replay, *, horizons_s: Sequence[float] = (), seed: int = 0) -> pd.DataFrame:
    """Judge rules by how soon they decide, how often that is wrong, and how often they take it back.

    The default policy is the same for all folds, whatever it was set by. The others are chosen for each fold on the
    other folds' deployments, so that none is judged by what it was chosen on.

    Parameters
    ----------
    replay : Replay
        Its last look is when all rules stop waiting.
    horizons_s : sequence of float
        Looks at which to decide on every container at once.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``rule``; for each of :data:`JUDGED_BY` its value over containers of known services, ``_low`` and ``_high``;
        ``unknown_refused`` with both, the share of strangers that is called unknown in the end (NaN without any);
        ``n_deployments``, ``n_unknown``.
    """
    known, until_s = replay.truth != UNKNOWN, float(replay.at_s[-1])
    plain = [TriggerPolicy(confidence, 1, confidence, None, until_s) for confidence in CONFIDENCES]
    outcomes = {
        "podlab's default": decide(replay, TriggerPolicy(timeout_s=until_s)),
        "revocable, chosen": choose_by_fold(replay, policies(until_s))[1],
        "plain threshold, chosen": choose_by_fold(replay, plain)[1],
        **{f"fixed: {at_s:g} s": decide_at(replay, at_s) for at_s in horizons_s},
    }
    return pd.DataFrame([{"rule": rule, **_row(replay, own, known, seed)} for rule, own in outcomes.items()])


def _row(replay: Replay, outcome: Outcome, known: BoolArray, seed: int) -> dict[str, float]:
    here = replay.take(known)
    scores = describe(here, _take(outcome, known), seed=seed)
    told = {name: scores[name] for name in JUDGED_BY}
    refused = Estimate(np.nan, np.nan, np.nan)
    if not known.all():
        refused = describe(replay.take(~known), _take(outcome, ~known), seed=seed)["right"]
    rows = _spreads({**told, "unknown_refused": refused})
    return {**rows, "n_deployments": len(set(here.units)), "n_unknown": len(set(replay.units[~known]))}


def _take(outcome: Outcome, chosen: BoolArray) -> Outcome:
    return Outcome(**{field.name: getattr(outcome, field.name)[chosen] for field in fields(outcome)})


def _spreads(scores: dict[str, Estimate]) -> dict[str, float]:
    return {column: value for name, own in scores.items() for column, value in spread(name, own).items()}
