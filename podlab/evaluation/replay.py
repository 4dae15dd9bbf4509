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
from podlab.evaluation.judged import Judged, judge
from podlab.evaluation.scenarios import BIRTH, Scenario
from podlab.evaluation.splits import IntArray, TextArray
from podlab.identify.early import UNKNOWN, PredictionArrays, prediction_arrays
from podlab.progress import Progress

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Seconds observed at which models are trained to answer, and at which a replay asks them.
HORIZONS_S = (10.0, 30.0, 60.0, 120.0)
LOOKS_S = tuple(float(seconds) for seconds in range(5, 125, 5))


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


def replay(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    unknown: Sequence[str] = (),
    looks_s: Sequence[float] = LOOKS_S,
    horizons_s: Sequence[float] = HORIZONS_S,
    folds: int = 5,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Ask models about containers of deployments that they were not trained on, look by look.

    Parameters
    ----------
    samples, services, horizons_s, folds, columns, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    unknown : sequence of str
        Services that no model is trained on; each of their deployments is judged by one fold's model.
    looks_s : sequence of float
        Seconds observed at which to ask. Between two horizons the model for the last one reached answers.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if there is no look.
    """
    at_s = sorted({float(look_s) for look_s in looks_s})
    judged = judge(
        samples, look_by_look(at_s), services=services, unknown=unknown, horizons_s=horizons_s,
        until_s=max((*at_s, *horizons_s)), folds=folds, columns=columns, seed=seed, jobs=jobs, progress=progress,
    )  # fmt: skip
    return as_replay(judged, at_s)


def look_by_look(looks_s: Sequence[float]) -> list[Scenario]:
    """List what to ask :func:`podlab.evaluation.judged.judge` for a replay.

    Raises
    ------
    InputError
        If there is no look, or one before the start.
    """
    at_s = sorted({float(look_s) for look_s in looks_s})
    if not at_s or at_s[0] <= 0:
        raise InputError("no look, or one before the start", hint="give seconds above 0")
    return [Scenario(BIRTH, f"{each:g} s", each) for each in at_s]


def as_replay(judged: Judged, looks_s: Sequence[float]) -> Replay:
    """Put what was said of containers at so many seconds in order.

    Parameters
    ----------
    judged : Judged
        Asked at least what :func:`look_by_look` lists.
    looks_s : sequence of float
    """
    number = {service: n for n, service in enumerate(judged.services)}
    truth = [UNKNOWN if strange else number[name] for name, strange in zip(judged.names, judged.strange, strict=True)]
    asked = look_by_look(looks_s)
    return Replay(
        services=judged.services,
        at_s=np.array([each.horizon_s for each in asked]),
        # From birth every container is shown, be it with nothing yet.
        looks=tuple(
            prediction_arrays([answer for answer in judged.answers[each.name] if answer is not None], judged.services)
            for each in asked
        ),
        truth=np.array(truth, dtype=np.int64),
        names=judged.names,
        units=judged.units,
        load=judged.load,
        fold=judged.fold,
    )
