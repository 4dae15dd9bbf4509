"""Containers judged by models that had never seen their deployment, or not even their service.

One set of models gives all answers, about the first seconds and about mid-life, about known services and about others:
training is what costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from podlab import identify
from podlab.errors import InputError
from podlab.evaluation.dataset import Dataset, load_of, read_dataset
from podlab.evaluation.scenarios import Scenario, see
from podlab.evaluation.splits import IntArray, TextArray, plan_splits
from podlab.identify import Prediction
from podlab.parallel import side_by_side
from podlab.progress import Progress


@dataclass(frozen=True)
class Judged:
    """What was said of containers.

    Attributes
    ----------
    services : tuple of str
        Those that any model was trained on.
    names, units, load : array of str (n,)
        Each container's service, deployment, and whether it was idle or loaded.
    strange : array of bool (n,)
        Whether the model that judged it was not trained on its service.
    fold : array of int64 (n,)
        Which model judged it.
    answers : mapping of str to tuple of (Prediction or None)
        By the scenario's name, of all containers; None where a scenario shows nothing of one.
    """

    services: tuple[str, ...]
    names: TextArray
    units: TextArray
    load: TextArray
    strange: NDArray[np.bool_]
    fold: IntArray
    answers: Mapping[str, tuple[Prediction | None, ...]]

    def decisions(self, scenario: str) -> pd.DataFrame:
        """Put what one scenario gave into a table.

        Returns
        -------
        DataFrame
            One line for each container that it shows: ``service, unit, strange``; ``novelty``, ``known`` and
            ``confidence`` as in :class:`podlab.identify.Prediction`; ``best``, the most probable service (missing where
            nothing was seen), and ``similar``, as in the answer.
        """
        shown = [(row, answer) for row, answer in enumerate(self.answers[scenario]) if answer is not None]
        rows = [row for row, _ in shown]
        said = [answer for _, answer in shown]
        return pd.DataFrame(
            {
                "service": self.names[rows],
                "unit": self.units[rows],
                "strange": self.strange[rows],
                "novelty": np.array([answer.novelty for answer in said], dtype=np.float64),
                "known": np.array([answer.known for answer in said], dtype=bool),
                "confidence": np.array([answer.confidence for answer in said], dtype=np.float64),
                "best": pd.array([next(iter(answer.candidates), None) for answer in said], dtype="str"),
                "similar": [answer.similar for answer in said],
            }
        )


@dataclass(frozen=True)
class _Fold:
    """One training and the containers it is asked about, some of them strange to it."""

    train: IntArray
    test: IntArray
    strange: NDArray[np.bool_]


def judge(
    samples: pd.DataFrame,
    scenarios: Sequence[Scenario],
    *,
    services: Sequence[str] | None = None,
    unknown: Sequence[str] = (),
    horizons_s: Sequence[float] | None = None,
    until_s: float | None = None,
    folds: int = 5,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Train a model for each fold of deployments and ask it about the others.

    Parameters
    ----------
    samples, services, folds, columns, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    scenarios : sequence of Scenario
        How containers are shown; their names differ.
    unknown : sequence of str
        Services that no model is trained on; each of their deployments is judged by one fold's model.
    horizons_s : sequence of float, optional
        That models are trained for, as for :func:`podlab.identify.fit`.
    until_s : float, optional
        Keep only rows of a container's first seconds, and no container that has none.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`.
    """
    wanted = None if services is None else [*services, *unknown]
    dataset = read_dataset(samples, wanted, until_s=until_s)
    strange = dataset.containers["service"].isin(list(unknown)).to_numpy(bool)
    here = np.flatnonzero(~strange)
    plan = plan_splits(dataset.containers[~strange].reset_index(drop=True), folds=folds, seed=seed)
    units = dataset.containers["deployment"].to_numpy(object)
    dealt = pd.factorize(units)[0] % len(plan.splits)
    work = []
    for number, split in enumerate(plan.splits):
        test = np.sort(np.concatenate([here[split.test], np.flatnonzero(strange & (dealt == number))]))
        work.append(_Fold(here[split.train], test, strange[test]))
    learn = {"columns": columns, "horizons_s": horizons_s, "seed": seed, "jobs": 1}
    return _ask(dataset, work, scenarios, learn, jobs, progress)


def leave_services_out(
    samples: pd.DataFrame,
    scenarios: Sequence[Scenario],
    *,
    groups: int | None = None,
    kinds: Mapping[str, str] | None = None,
    services: Sequence[str] | None = None,
    horizons_s: Sequence[float] | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Train models without some services each, and ask them about those and about held-out deployments of the others.

    Parameters
    ----------
    samples, services, columns, seed, jobs, progress
        As for :func:`podlab.evaluation.evaluate`.
    scenarios, horizons_s
        As for :func:`judge`.
    groups : int, optional
        Leave services out in so many groups, or in more where two services would not be left; by default each alone,
        which costs as many trainings as there are services.
    kinds : mapping of str to str, optional
        Services' kinds. Those of one kind are left out in different groups, as far as there are enough of them, so
        that a service's relatives stay known.

    Raises
    ------
    InputError
        If there are fewer than three services or than two groups, or as :func:`podlab.evaluation.evaluate`.
    """
    dataset = read_dataset(samples, services)
    names = dataset.containers["service"].to_numpy(object)
    there = sorted(set(names), key=lambda name: ((kinds or {}).get(name, ""), name))
    number = len(there) if groups is None else min(groups, len(there))
    if len(there) >= 3 and number >= 2:
        number = max(number, -(-len(there) // (len(there) - 2)))
    else:
        raise InputError(
            f"{len(there)} services in {number} groups: too few to leave some out and still tell others apart",
            hint="give at least three services and two groups",
        )
    group = pd.Series({name: place % number for place, name in enumerate(there)}).reindex(names).to_numpy(np.int64)
    plan = plan_splits(dataset.containers, folds=number, seed=seed)
    work = []
    for out in range(number):
        fold = out % len(plan.splits)
        split = plan.splits[fold]
        # With fewer folds than groups several models share a fold, and each container is asked of one of them.
        sharing = len(range(fold, number, len(plan.splits)))
        held = split.test[split.test % sharing == out // len(plan.splits)]
        test = np.union1d(held[group[held] != out], np.flatnonzero(group == out))
        work.append(_Fold(split.train[group[split.train] != out], test, group[test] == out))
    learn = {"columns": columns, "horizons_s": horizons_s, "seed": seed, "jobs": 1}
    return _ask(dataset, work, scenarios, learn, jobs, progress)


def _ask(
    dataset: Dataset, folds: Sequence[_Fold], scenarios: Sequence[Scenario], learn: dict[str, Any], jobs: int | None,
    progress: Progress | None,
) -> Judged:  # fmt: skip
    work = (
        delayed(_train_and_ask)(
            dataset.take(fold.train), dataset.take(fold.test), tuple(scenarios), learn, [learn["seed"], n]
        )
        for n, fold in enumerate(folds)
    )
    whats = [f"model {n + 1}" for n in range(len(folds))]
    answers = side_by_side(work, whats, jobs=jobs, progress=progress)
    position = np.concatenate([fold.test for fold in folds])
    names = dataset.containers["service"].to_numpy(object)
    return Judged(
        services=tuple(sorted({str(name) for fold in folds for name in names[fold.train]})),
        names=names[position],
        units=dataset.containers["deployment"].to_numpy(object)[position],
        load=np.array(load_of(dataset.containers), dtype=object)[position],
        strange=np.concatenate([fold.strange for fold in folds]),
        fold=np.repeat(np.arange(len(folds)), [fold.test.size for fold in folds]),
        answers={each.name: tuple(one for own in answers for one in own[each.name]) for each in scenarios},
    )


def _train_and_ask(
    train: pd.DataFrame, test: pd.DataFrame, scenarios: Sequence[Scenario], learn: dict[str, Any], seeds: list[int]
) -> dict[str, list[Prediction | None]]:
    identifier = identify.fit(train, **learn)
    asked = read_dataset(test)
    found: dict[str, list[Prediction | None]] = {}
    for scenario in scenarios:
        seen = see(asked, scenario, np.random.default_rng(seeds))
        own: list[Prediction | None] = [None] * len(asked.containers)
        if len(seen):
            answers = identifier.identify(seen.reset_index(drop=True), horizon_s=scenario.horizon_s)
            for whose, answer in zip(pd.unique(asked.code[seen.index]), answers, strict=True):
                own[whose] = answer
        found[scenario.name] = own
    return found
