"""Rules for deciding in time, side by side on the same containers, known and unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from podlab.evaluation.anytime import CONFIDENCES, Outcome, choose_by_fold, decide, decide_at, describe, policies
from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.replay import BoolArray, Replay
from podlab.identify.early import UNKNOWN, TriggerPolicy

#: Of :func:`podlab.evaluation.anytime.describe`, what a rule is judged by.
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
    return pd.DataFrame([{"rule": rule, **_judge(replay, own, known, seed)} for rule, own in outcomes.items()])


def _judge(replay: Replay, outcome: Outcome, known: BoolArray, seed: int) -> dict[str, float]:
    here = replay.take(known)
    scores = describe(here, _take(outcome, known), seed=seed)
    told = {name: scores[name] for name in JUDGED_BY}
    refused = Estimate(np.nan, np.nan, np.nan)
    if not known.all():
        refused = describe(replay.take(~known), _take(outcome, ~known), seed=seed)["right"]
    flat: dict[str, float] = {}
    for name, own in {**told, "unknown_refused": refused}.items():
        flat |= {name: own.value, f"{name}_low": own.low, f"{name}_high": own.high}
    return {**flat, "n_deployments": len(set(here.units)), "n_unknown": len(set(replay.units[~known]))}


def _take(outcome: Outcome, chosen: BoolArray) -> Outcome:
    return Outcome(**{field.name: getattr(outcome, field.name)[chosen] for field in fields(outcome)})
