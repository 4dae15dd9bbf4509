"""Scoring all samples of a data set, many times larger than memory or not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from podlab.data.store import Dataset
from podlab.data.store.index import read_index
from podlab.data.store.spread import over_containers
from podlab.data.store.stream import Section, stream
from podlab.detect.library import Library
from podlab.detect.recording import Scoring, score_recording
from podlab.identify.dataset import metrics_in
from podlab.identify.identifier import Identifier


def score_dataset(dataset: Dataset, identifier: Identifier, library: Library) -> Iterator[Scoring]:
    """Score the containers of a data set, each when its last row has been read.

    Until then all of its rows are kept: in memory are those of the containers alive at one time.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    identifier, library
        As for :func:`podlab.detect.recording.score_recording`, which gives the same scores of all rows at once.

    Yields
    ------
    Scoring
        Of some containers; clusters one after another, and in each in the order of their ends.

    Raises
    ------
    InputError
        If a partition is not what its manifest says, or the data set has none of the model's columns.
    """
    indexes = [read_index(dataset, cluster) for cluster in dataset.clusters]
    metrics = metrics_in(identifier, indexes)
    work = partial(_score, identifier=identifier, library=library, metrics=metrics)
    yield from over_containers(dataset, indexes, work)


def _score(
    dataset: Dataset, section: Section, *, identifier: Identifier, library: Library, metrics: frozenset[str]
) -> Iterator[Scoring]:
    """Score the containers of a section."""
    for batch in stream(dataset, section):
        yield score_recording(batch.samples, identifier, library, metrics=metrics)
