"""Which containers train and which are tested: no group, and so no deployment, stands on both sides.

Rows of one deployment are alike because they are one deployment. A split that puts some of them on either side tests
whether a container is recognised again, not whether a service is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import IntArray
from podlab.data.draws import KNOB_PREFIX, SHARED_DRAWS
from podlab.errors import InputError

TextArray = NDArray[np.object_]

#: Columns whose values are shared by services: each value is left out in turn.
SHARED = ("cluster", "node", "namespace", "site", "load", *SHARED_DRAWS)
#: Columns whose values mean something within one service only, where the same word need not be the same thing.
OF_ONE_SERVICE = ("version", "configuration", "profile", "variant")
#: Of these, the ones left out one by one, as the values of a knob are; others are split into folds.
_ONE_BY_ONE = ("version", "configuration")


@dataclass(frozen=True)
class Split:
    """One way to train and test."""

    #: Positions of containers, rising.
    train: IntArray
    test: IntArray
    iteration: int = 0  # which repetition it belongs to


@dataclass(frozen=True)
class Plan:
    """All splits of one evaluation."""

    splits: tuple[Split, ...]  # in order of iterations
    #: Each container's service, and the deployment (or group, where samples have no deployments) it is part of
    #: (n_containers,).
    services: TextArray
    units: TextArray
    #: Services that are only trained on: too few groups to stand on both sides.
    untested: tuple[str, ...]
    description: dict[str, Any]  # how it was split, for reports


def plan_splits(
    containers: pd.DataFrame,
    *,
    group: str = "deployment",
    folds: int = 5,
    iterations: int = 1,
    training_ratio: float | None = None,
    seed: int = 0,
) -> Plan:
    """Plan how to split labelled containers.

    Raises InputError if the column is missing or empty for a container, or nothing could be tested.

    Parameters
    ----------
    containers : DataFrame (n_containers,)
        With ``service`` and the group's column.
    group : str
        A column. With ``deployment`` and the like, groups are split into folds, each service's over all of them. Of
        ``version`` and ``configuration`` one of each service is left out at a time, of ``load`` (what a variant has
        before its slash), ``site``, ``cluster`` and the others in :data:`SHARED` one of all services. Of ``knob:NAME``
        one value of each service is left out at a time; services without the knob are trained on only.
    folds : int
        The most folds; fewer where no service has as many groups.
    iterations : int
        How often folds are drawn anew.
    training_ratio : float, optional
        Share of each service's groups to train on, at least one, tested on all others; instead of folds.
    seed : int
        The same arguments give the same splits.
    """
    services = containers["service"].to_numpy(object)
    _check_arguments(services, group, folds, iterations, training_ratio)
    groups = _groups(containers, group)
    has_value = containers[group].notna().to_numpy(bool)
    unit = unit_column(containers, group)
    units = groups if unit == group else containers[unit].to_numpy(object)
    seeds = np.random.SeedSequence(seed).spawn(iterations)
    splits: list[Split] = []
    for iteration, own in enumerate(seeds):
        rng = np.random.default_rng(own)
        if group in SHARED:
            tested = [groups == value for value in pd.unique(groups)]
        elif training_ratio is not None:
            tested = [_draw_tested(services, groups, training_ratio, rng) & has_value]
        else:
            most = _most_groups(services, groups) if _one_by_one(group) else folds
            tested = [fold & has_value for fold in _assign_folds(services, groups, most, rng)]
        splits += [split for mask in tested if (split := _split(mask, services, units, iteration)) is not None]
        if group in SHARED:
            break  # nothing is drawn, so that a repetition would say the same again
    if not splits:
        what = f"no service has two values of {group!r}, so that nothing can be trained and tested apart"
        raise InputError(what, hint="record more, or give more recordings")
    seen = set(services[np.concatenate([split.test for split in splits])])
    description = {
        "group": group,
        "kind": _kind(group, training_ratio, unit),
        "folds": sum(split.iteration == 0 for split in splits),
        "iterations": splits[-1].iteration + 1,
        "training_ratio": training_ratio,
        "seed": seed,
    }
    return Plan(tuple(splits), services, units, tuple(sorted(set(services) - seen)), description)


def unit_column(containers: pd.DataFrame, group: str) -> str:
    """Name the column of what is never split, whatever the group: the deployment, where all containers have one."""
    has_deployments = "deployment" in containers and containers["deployment"].notna().all()
    return "deployment" if has_deployments else group


def splits_elsewhere(plan: Plan, containers: pd.DataFrame) -> list[Split]:
    """Let the models of a plan predict containers of another data set, each deployment by one of them.

    The plan's training sides stay. ``containers`` (n_containers,) are those of the other data set, such as services
    that no model is trained on, with ``deployment``.
    """
    model = pd.factorize(containers["deployment"])[0] % len(plan.splits)
    return [
        Split(split.train, np.flatnonzero(model == number), split.iteration) for number, split in enumerate(plan.splits)
    ]


def without_services(
    containers: pd.DataFrame,
    *,
    groups: int | None = None,
    kinds: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[Split]:
    """Leave some services out of each training; test these, and held-out deployments of the others.

    Raises InputError if there are fewer than three services or than two groups.

    Parameters
    ----------
    containers : DataFrame (n_containers,)
        With ``service`` and ``deployment``.
    groups : int, optional
        Leave services out in so many groups, or in more where two services would not be left; by default each alone,
        which costs as many trainings as there are services.
    kinds : mapping of str to str, optional
        Services' kinds. Those of one kind are left out in different groups, as far as there are enough of them, so
        that a service's relatives stay known.
    """
    names = containers["service"].to_numpy(object)
    there = sorted(set(names), key=lambda name: ((kinds or {}).get(name, ""), name))
    number = len(there) if groups is None else min(groups, len(there))
    if len(there) < 3 or number < 2:
        what = f"{len(there)} services in {number} groups: too few to leave some out and still have two"
        raise InputError(what, hint="give at least three services and two groups")
    number = max(number, -(-len(there) // (len(there) - 2)))
    group = pd.Series({name: place % number for place, name in enumerate(there)}).reindex(names).to_numpy(np.int64)
    plan = plan_splits(containers, folds=number, seed=seed)
    splits = []
    for out in range(number):
        fold = out % len(plan.splits)
        split = plan.splits[fold]
        # With fewer folds than groups several models share a fold, and each container is tested by one of them.
        sharing = len(range(fold, number, len(plan.splits)))
        held = split.test[split.test % sharing == out // len(plan.splits)]
        test = np.union1d(held[group[held] != out], np.flatnonzero(group == out))
        splits.append(Split(split.train[group[split.train] != out], test))
    return splits


def _kind(group: str, training_ratio: float | None, unit: str) -> str:
    if group in SHARED or _one_by_one(group):
        return f"each {group} left out in turn"
    kind = f"{group}s split into folds" if training_ratio is None else f"share of {group}s trained on"
    return kind if unit == group else f"{kind}, no {unit} divided"


def _one_by_one(group: str) -> bool:
    return group in _ONE_BY_ONE or group.startswith(KNOB_PREFIX)


def _groups(containers: pd.DataFrame, group: str) -> TextArray:
    if group not in containers or containers[group].isna().all():
        names = ("deployment", "version", "profile", "site", "load", "cluster", "pod")
        usable = [name for name in names if name in containers and containers[name].notna().any()]
        usable += [str(name) for name in containers if str(name).startswith(KNOB_PREFIX)]
        what = f"the samples have no {group!r} to split by"
        raise InputError(what, hint=f"choose another column with --group: {', '.join(usable)}")
    missing = containers[group].isna()
    # Most services have no such knob: they are trained on.
    if missing.any() and not group.startswith(KNOB_PREFIX):
        first = containers.loc[missing].iloc[0]
        what = f"{int(missing.sum())} labelled containers have no {group!r}, the first is {first['pod']}"
        raise InputError(what, hint="label them, or take their service away")
    values = containers[group].astype("str")
    own = group in OF_ONE_SERVICE or group.startswith(KNOB_PREFIX)
    return (containers["service"] + " " + values.fillna("(none)") if own else values).to_numpy(object)


def _check_arguments(
    services: TextArray, group: str, folds: int, iterations: int, training_ratio: float | None
) -> None:
    if len(set(services)) < 2:
        what = f"only one service, {services[0]!r}: there is nothing to classify"
        raise InputError(what, hint="give samples of at least two")
    if folds < 2 or iterations < 1:
        raise InputError(f"{folds} folds and {iterations} iterations", hint="use at least 2 folds and 1 iteration")
    if training_ratio is not None and not 0 < training_ratio < 1:
        raise InputError(f"training ratio {training_ratio} is not between 0 and 1")
    if training_ratio is not None and group in SHARED:
        raise InputError(f"a training ratio needs groups of one service each, which {group!r} is not")


def _most_groups(services: TextArray, groups: TextArray) -> int:
    return max(2, int(pd.DataFrame({"s": services, "g": groups}).groupby("s")["g"].nunique().max()))


def _assign_folds(
    services: TextArray, groups: TextArray, folds: int, rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Assign groups to folds so that each service, and the whole, is spread as evenly as groups allow.

    Returns what is tested in each fold (n_containers,). A group none of whose services has another group is in none.
    """
    folds = min(folds, _most_groups(services, groups))
    members, names = pd.factorize(groups)
    kinds, service_names = pd.factorize(services)
    holds = np.zeros((len(names), len(service_names)), dtype=bool)
    holds[members, kinds] = True
    repeated = holds.sum(axis=0) > 1
    fold_of = np.full(len(names), -1)
    assigned = np.zeros((folds, len(service_names)), dtype=np.int64)
    size = np.zeros(folds, dtype=np.int64)
    for group in rng.permutation(np.flatnonzero(holds[:, repeated].any(axis=1))):
        of_its_services = assigned[:, holds[group]].sum(axis=1)
        fold = np.lexsort((rng.random(folds), size, of_its_services))[0]
        fold_of[group] = fold
        assigned[fold] += holds[group]
        size[fold] += 1
    return [fold_of[members] == fold for fold in range(folds)]


def _draw_tested(
    services: TextArray, groups: TextArray, training_ratio: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw what is tested when a share of each service's groups is trained on."""
    trained: set[object] = set()
    for service in sorted(set(services)):
        own = rng.permutation(sorted(set(groups[services == service])))
        trained.update(own[: max(1, min(round(training_ratio * own.size), own.size - 1))])
    return np.array([group not in trained for group in groups])


def _split(tested: NDArray[np.bool_], services: TextArray, units: TextArray, iteration: int) -> Split | None:
    """Make a split of what is tested; a deployment with any container tested does not train."""
    trains = ~np.isin(units.astype(str), units[tested].astype(str))
    known = np.isin(services.astype(str), services[trains].astype(str))
    test = np.flatnonzero(tested & known)
    train = np.flatnonzero(trains)
    if not test.size or len(set(services[train])) < 2:
        return None
    return Split(train, test, iteration)
