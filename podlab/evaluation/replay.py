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
from podlab.evaluation.dataset import load_of, read_dataset
from podlab.evaluation.folds import Fold, answer_folds
from podlab.evaluation.splits import IntArray, TextArray, plan_splits
from podlab.identify.decide import UNKNOWN, Looks, looks_of
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
    looks : tuple of Looks (n_looks,)
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
    looks: tuple[Looks, ...]
    truth: IntArray
    names: TextArray
    units: TextArray
    load: TextArray
    fold: IntArray

    def take(self, chosen: BoolArray) -> Replay:
        """Keep some containers (n,)."""
        looks = tuple(
            Looks(look.best[chosen], look.confidence[chosen], look.known[chosen], look.observed_s[chosen])
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
    if not at_s or at_s[0] <= 0:
        raise InputError("no look, or one before the start", todo="give seconds above 0")
    wanted = None if services is None else [*services, *unknown]
    dataset = read_dataset(samples, wanted, until_s=max(at_s[-1], *horizons_s))
    strange = dataset.containers["service"].isin(list(unknown)).to_numpy(bool)
    here = np.flatnonzero(~strange)
    plan = plan_splits(dataset.containers[~strange].reset_index(drop=True), folds=folds, seed=seed)
    units = dataset.containers["deployment"].to_numpy(object)
    dealt = pd.factorize(units)[0] % len(plan.splits)
    tests = [
        np.sort(np.concatenate([here[split.test], np.flatnonzero(strange & (dealt == number))]))
        for number, split in enumerate(plan.splits)
    ]
    answers = answer_folds(
        [Fold(dataset, here[split.train], test, "fold") for split, test in zip(plan.splits, tests, strict=True)],
        group="deployment", horizons_s=horizons_s, looks_s=at_s, columns=columns, seed=seed, jobs=jobs,
        progress=progress,
    )  # fmt: skip
    position = np.concatenate(tests)
    trained = tuple(sorted(set(plan.services)))
    names = dataset.containers["service"].to_numpy(object)[position]
    number = {service: n for n, service in enumerate(trained)}
    return Replay(
        services=trained,
        at_s=np.array(at_s),
        looks=tuple(
            looks_of([answer for by_look in answers for answer in by_look[look_s]], trained) for look_s in at_s
        ),
        truth=np.array([number.get(name, UNKNOWN) for name in names], dtype=np.int64),
        names=names,
        units=units[position],
        load=np.array(load_of(dataset.containers), dtype=object)[position],
        fold=np.repeat(np.arange(len(tests)), [test.size for test in tests]),
    )
