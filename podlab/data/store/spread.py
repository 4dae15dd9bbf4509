"""Work on all containers of a data set: cluster after cluster, or section by section on a scheduler's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from podlab.data.store.dataset import Dataset
from podlab.data.store.index import Index
from podlab.data.store.stream import Section, sections_of
from podlab.parallel import in_turn, is_spread

T = TypeVar("T")

#: A worker gets the containers that end within about so many rows at once: if it dies, no more is done again.
SECTION_ROWS = 2_000_000


def over_containers(
    dataset: Dataset, indexes: Sequence[Index], work: Callable[[Dataset, Section], Iterable[T]]
) -> Iterator[T]:
    """Give what some work gives of each section of a data set, in order; where it is done changes nothing.

    Parameters
    ----------
    dataset : Dataset
        The data set; a scheduler's workers must find it under the same path or URL.
    indexes : sequence of Index
        Of its clusters.
    work : callable
        Takes the data set and a section of it; can be pickled.
    """
    if not is_spread():
        for index in indexes:
            yield from work(dataset, Section(index, 0, len(index.partitions)))
        return
    from joblib import delayed

    sections = [section for index in indexes for section in sections_of(index, SECTION_ROWS)]
    bare = replace(dataset, partitions=())  # a section brings its own
    for found in in_turn((delayed(_listed)(work, bare, section) for section in sections), len(sections)):
        yield from found


def _listed(work: Callable[[Dataset, Section], Iterable[T]], dataset: Dataset, section: Section) -> list[T]:
    return list(work(dataset, section))
