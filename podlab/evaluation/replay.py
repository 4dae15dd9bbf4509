"""Containers of held-out deployments, replayed look by look.

One set of models, one for each fold, gives all looks: training is what costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.cross_validation import probabilities
from podlab.evaluation.scenarios import BIRTH, Scenario
from podlab.evaluation.splits import IntArray, TextArray
from podlab.identify.early import UNKNOWN, PredictionArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Replay:
    """What models that had never seen a container's deployment said of it as seconds went on.

    Attributes
    ----------
    services : tuple of str
        Those that models were trained on.
    at_s : array of float64 (n_looks,)
        Seconds observed.
    looks : tuple of PredictionArrays (n_looks,)
        Each of all containers (n,).
    truth : array of int64 (n,)
        Number of the service, :data:`UNKNOWN` where no model was trained on it.
    names, units, load : array of str (n,)
        Each container's service, deployment, and whether it was idle or loaded.
    fold : array of int64 (n,)
        Whose models judged it.
    """

    services: tuple[str, ...]
    at_s: FloatArray
    looks: tuple[PredictionArrays, ...]
    truth: IntArray
    names: TextArray
    units: TextArray
    load: TextArray
    fold: IntArray

    def take(self, chosen: BoolArray) -> Replay:
        """Keep some containers (n,)."""
        looks = tuple(
            PredictionArrays(look.best[chosen], look.confidence[chosen], look.novelty[chosen], look.observed_s[chosen])
            for look in self.looks
        )
        own = {name: getattr(self, name)[chosen] for name in ("truth", "names", "units", "load", "fold")}
        return replace(self, looks=looks, **own)

    def known(self) -> Replay:
        """Keep the containers of services that models were trained on."""
        return self.take(self.truth != UNKNOWN)


def look_by_look(looks_s: Sequence[float]) -> list[Scenario]:
    """List what to ask :func:`podlab.evaluation.cross_validate` for a replay.

    Raises
    ------
    InputError
        If there is no look, or one before the start.
    """
    at_s = sorted({float(look_s) for look_s in looks_s})
    if not at_s or at_s[0] <= 0:
        raise InputError("no look, or one before the start", hint="give seconds above 0")
    return [Scenario(BIRTH, f"{each:g} s", each) for each in at_s]


def as_replay(predictions: pd.DataFrame, looks_s: Sequence[float]) -> Replay:
    """Put what was predicted of containers at so many seconds in order.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`podlab.evaluation.cross_validate`, asked at least what :func:`look_by_look` lists.
    looks_s : sequence of float
    """
    services = tuple(probabilities(predictions).columns)
    number = {service: n for n, service in enumerate(services)}
    asked = look_by_look(looks_s)
    # Since the start every container is shown, be it with nothing yet.
    tables = [predictions[predictions["scenario"] == each.name].reset_index(drop=True) for each in asked]
    one = tables[0]
    return Replay(
        services=services,
        at_s=np.array([each.horizon_s for each in asked]),
        looks=tuple(
            PredictionArrays(
                own["best_guess"].map(number).fillna(0).to_numpy(np.int64), own["confidence"].to_numpy(np.float64),
                own["novelty"].to_numpy(np.float64),
                own["seconds_observed"].where(own["best_guess"].notna()).to_numpy(np.float64),
            )
            for own in tables
        ),
        truth=one["service"].map(number).where(~one["unknown"]).fillna(UNKNOWN).to_numpy(np.int64),
        names=one["service"].to_numpy(object),
        units=one["unit"].to_numpy(object),
        load=one["activity"].to_numpy(object),
        fold=one["fold"].to_numpy(np.int64),
    )  # fmt: skip
