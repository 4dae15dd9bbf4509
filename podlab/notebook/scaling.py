"""What podlab's work costs by its size: the same work on less and more of a recording's copies, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from podlab.data.catalogue import LABELS
from podlab.data.samples import INSTANCE_KEY
from podlab.data.store import append, open_dataset
from podlab.detect import DetectorLibrary
from podlab.detect.scoring import score_rows
from podlab.evaluation.growth import Growth, fit_growth
from podlab.features.rows import read_rows
from podlab.identify import fit
from podlab.identify.dataset import identify_dataset
from podlab.identify.identifier import Identifier
from podlab.notebook.copies import beginnings, first_containers, many_containers

#: What is measured, and what its size counts.
DATASET, DECIDE, TICK, TRAIN = "identify a data set", "decide at once", "score one tick", "train a model"
COUNTED = {DATASET: "rows", DECIDE: "containers", TICK: "containers", TRAIN: "services"}
#: Of each container that is decided at once.
DECIDE_S = 60.0
#: A tick is over too soon to be measured alone.
_TICKS = 10
#: Deployments of each service that models are trained on: to see how cost grows, and long enough to be worth dividing.
_FEW, _MANY = 4, 6


#: Work, size, CPU seconds.
Cost = tuple[str, float, float]


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes
    ----------
    costs : DataFrame
        ``work`` (of :data:`COUNTED`), ``size`` and ``cpu_s``, a row for each measurement.
    bytes_per_row : float
        Of a data set on disk.
    """

    costs: pd.DataFrame
    bytes_per_row: float

    def growth(self) -> dict[str, Growth]:
        """Fit how each work's cost grows."""
        works = self.costs.groupby("work", sort=False)
        return {str(work): fit_growth(own["size"], own["cpu_s"]) for work, own in works}


def sizes_up_to(most: int, *, steps: int = 5, least: int = 2) -> list[int]:
    """Give sizes in even ratios, from a thirtieth of the most.

    Examples
    --------
    >>> sizes_up_to(3000, steps=3)
    [100, 548, 3000]
    """
    return [int(size) for size in np.unique(np.geomspace(max(least, most / 30), most, steps).round())]


def measure(
    recording: pd.DataFrame,
    identifier: Identifier,
    library: DetectorLibrary,
    folder: Path,
    *,
    most_rows: int,
    most_containers: int,
    repeats: int = 2,
    seed: int = 0,
) -> Measured:
    """Measure each work at several sizes, in this process alone.

    Parameters
    ----------
    recording : DataFrame
        A labelled samples table.
    identifier, library
        Of the model that does the work.
    folder : Path
        Takes data sets for a while.
    most_rows : int
        The largest size of a data set, about.
    most_containers : int
        The largest number of containers in memory at once.
    repeats : int
        How often each is measured.
    seed : int
        Of the models trained.
    """
    bare = recording.drop(columns=[name for name in LABELS if name in recording])
    datasets, bytes_per_row = _measure_datasets(bare, identifier, folder, most_rows, repeats)
    costs = [
        *datasets,
        *_measure_in_memory(bare, identifier, library, most_containers, repeats),
        *_measure_training(recording, repeats, seed),
    ]
    return Measured(pd.DataFrame(costs, columns=["work", "size", "cpu_s"]), bytes_per_row)


def _measure_datasets(
    bare: pd.DataFrame, identifier: Identifier, folder: Path, most_rows: int, repeats: int
) -> tuple[list[Cost], float]:
    containers = bare.groupby(list(INSTANCE_KEY), dropna=False).ngroups
    most = max(2, round(most_rows * containers / len(bare)))
    table = many_containers(bare, most)
    costs: list[Cost] = []
    for number in sizes_up_to(most):
        where = folder / str(number)
        append(first_containers(table, number), where)
        dataset = open_dataset(where)
        for _ in range(repeats):
            cpu_s = _cpu_s(lambda: [len(part.answers) for part in identify_dataset(identifier, dataset)])  # noqa: B023
            costs.append((DATASET, dataset.rows, cpu_s))
    return costs, dataset.bytes / dataset.rows


def _measure_in_memory(
    bare: pd.DataFrame, identifier: Identifier, library: DetectorLibrary, most_containers: int, repeats: int
) -> list[Cost]:
    table = many_containers(beginnings(bare, DECIDE_S), most_containers)
    costs: list[Cost] = []
    for number in sizes_up_to(most_containers):
        samples = first_containers(table, number)
        for _ in range(repeats):
            costs.append((DECIDE, number, _cpu_s(lambda: identifier.identify(samples, horizon_s=DECIDE_S))))  # noqa: B023
            costs.append((TICK, number, _tick_cpu_s(samples, library)))
    return costs


def _measure_training(recording: pd.DataFrame, repeats: int, seed: int) -> list[Cost]:
    labelled = _few_deployments(recording, _FEW)
    names = sorted(labelled["service"].unique())
    costs: list[Cost] = []
    for number in sizes_up_to(len(names), steps=3, least=min(3, len(names) - 1)):
        some = labelled[labelled["service"].isin(names[:number])].reset_index(drop=True)
        for _ in range(repeats):
            costs.append((TRAIN, number, _cpu_s(lambda: fit(some, horizons_s=(DECIDE_S,), seed=seed, jobs=1))))  # noqa: B023
    return costs


def measure_workers(recording: pd.DataFrame, workers: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """Train the same model by one worker and by several, which grow trees side by side in this process.

    Returns
    -------
    DataFrame
        ``workers``, ``seconds`` on the clock and ``speed``, how many times that of the first.
    """
    labelled = _few_deployments(recording, _MANY)
    seconds = []
    for number in workers:
        begun_s = time.monotonic()
        fit(labelled, horizons_s=(DECIDE_S,), seed=seed, jobs=number)
        seconds.append(time.monotonic() - begun_s)
    table = pd.DataFrame({"workers": list(workers), "seconds": seconds})
    return table.assign(speed=table["seconds"].iloc[0] / table["seconds"])


def _cpu_s(work: Callable[[], object]) -> float:
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


def _tick_cpu_s(samples: pd.DataFrame, library: DetectorLibrary) -> float:
    """Score some samples of each container by its service's detector, all containers at once; mean of the ticks."""
    names = list(library.detectors)
    scored = score_rows(read_rows(samples), library, lambda container, _: [(names[container % len(names)], 1.0)])
    next(scored)  # makes room, and chooses the detectors
    before_s = time.process_time()
    ticks = sum(1 for _ in islice(scored, _TICKS))
    return (time.process_time() - before_s) / max(ticks, 1)


def _few_deployments(recording: pd.DataFrame, number: int) -> pd.DataFrame:
    labelled = recording[recording["service"].notna()]
    turn = labelled.groupby("service")["deployment"].transform(lambda names: names.factorize()[0])
    return labelled[turn < number].reset_index(drop=True)
