"""Training on one side of each split and answering for the other, several splits at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from joblib import delayed

from podlab import identify
from podlab.evaluation.dataset import Dataset
from podlab.evaluation.splits import IntArray, unit_column
from podlab.identify import Prediction
from podlab.parallel import side_by_side
from podlab.progress import Progress


@dataclass(frozen=True)
class Fold:
    """One training and what it answers for.

    Attributes
    ----------
    dataset : Dataset
        Whose containers.
    train, test : array of int64
        Positions in it, rising.
    what : str
        What progress calls it.
    """

    dataset: Dataset
    train: IntArray
    test: IntArray
    what: str


def answer_folds(
    folds: Sequence[Fold],
    *,
    group: str,
    horizons_s: Sequence[float],
    columns: Sequence[str] | None,
    seed: int,
    jobs: int | None,
    progress: Progress | None,
    looks_s: Sequence[float] | None = None,
) -> list[dict[float, list[Prediction]]]:
    """Train an identifier for each fold and let it answer.

    Each fold is a process of its own: threads inside one training hardly help, since its trees are small.

    Parameters
    ----------
    folds : sequence of Fold
        Done in this order.
    group : str
        Column of what training must not split; the deployment, where containers have one.
    horizons_s, columns, seed
        As for :func:`podlab.identify.fit`.
    jobs : int, optional
        How many folds at once; by default as many as there are cores. The answers do not depend on it.
    progress : callable, optional
        Called after each fold.
    looks_s : sequence of float, optional
        Seconds observed at which to answer; by default the horizons that were trained for.

    Returns
    -------
    list of dict of float to list of Prediction
        For each fold, by seconds observed, an answer for each container tested.

    Raises
    ------
    PodlabError
        If a process is killed.
    """
    work = (
        delayed(_answer)(
            fold.dataset.take(fold.train),
            fold.dataset.take(fold.test),
            unit_column(fold.dataset.containers, group),
            tuple(horizons_s),
            columns,
            seed,
            tuple(horizons_s if looks_s is None else looks_s),
        )
        for fold in folds
    )
    return side_by_side(work, [fold.what for fold in folds], jobs=jobs, progress=progress)


def _answer(
    train: pd.DataFrame,
    test: pd.DataFrame,
    group: str,
    horizons_s: tuple[float, ...],
    columns: Sequence[str] | None,
    seed: int,
    looks_s: tuple[float, ...],
) -> dict[float, list[Prediction]]:
    identifier = identify.fit(train, group=group, horizons_s=horizons_s, columns=columns, seed=seed, jobs=1)
    return {look_s: identifier.identify(test, horizon_s=look_s) for look_s in looks_s}
