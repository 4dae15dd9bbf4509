"""Scoring recordings as a watcher would have: no score depends on its row's future."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.samples import INSTANCE_KEY
from podlab.data.store import Dataset
from podlab.data.store.containers import Share, over_shares, stream_containers
from podlab.detect.library import SAME_ALARM_S, DetectorLibrary
from podlab.detect.scoring import ContributingSignal, contributing_signals, score_rows, source_detectors
from podlab.features.rows import Rows, observation_spans, read_rows
from podlab.identify.dataset import shares_for
from podlab.identify.identifier import Identifier

#: Seconds observed after which a container is identified (again).
IDENTIFIED_AT_S = (10.0, 30.0, 60.0, 120.0)
#: The columns of a table of scores.
COLUMNS = ("time", "namespace", "pod", "pod_uid", "container", "service", "score", "anomaly")


@dataclass(frozen=True)
class Alarm:
    """A period in which a container was anomalous, short pauses included.

    Attributes
    ----------
    row : int
        The table's row with the highest score.
    since, until : Timestamp
        First and last anomalous row.
    score : float
        The highest.
    signals : tuple of ContributingSignal
        What contributed to the highest score.
    """

    row: int
    since: pd.Timestamp
    until: pd.Timestamp
    score: float
    signals: tuple[ContributingSignal, ...]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "score": round(self.score, 6),
            "drivers": [signal.to_json() for signal in self.signals],
        }


@dataclass(frozen=True)
class RecordingScores:
    """The scores of a recording.

    Attributes
    ----------
    table : DataFrame
        :data:`COLUMNS`, a row for each sample, by container and time.
    containers : DataFrame
        Identity of each container instance.
    first_row : array of int64 (n_containers,)
        Where each one's rows begin.
    alarms : tuple of tuple of Alarm (n_containers,)
        By container, in order of time.
    """

    table: pd.DataFrame
    containers: pd.DataFrame
    first_row: NDArray[np.int64]
    alarms: tuple[tuple[Alarm, ...], ...]


def score_recording(
    samples: pd.DataFrame, identifier: Identifier, library: DetectorLibrary, *, metrics: Collection[str] | None = None
) -> RecordingScores:
    """Identify all containers step by step, and score each sample by the source detectors known at its time.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with any columns and sampling interval.
    identifier : Identifier
        Chooses the source detectors; the pooled detector watches before the first identification.
    library : DetectorLibrary
    metrics : collection of str, optional
        Metric columns that have any value, if these samples are a part of more.

    Raises
    ------
    InputError
        If the samples have none of the model's columns.
    """
    ordered = samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    rows = read_rows(ordered)
    spans = observation_spans(rows)
    # Observed since the container's start, or since its first row if that was later.
    observed_s = rows.offset_s - np.where(spans.start_observed, 0.0, spans.first_s)[rows.code]
    is_first = np.diff(rows.code, prepend=-1) != 0
    answers = [
        identifier.identify(ordered[(observed_s < until_s) | is_first].reset_index(drop=True), metrics=metrics)
        for until_s in IDENTIFIED_AT_S
    ]
    step = np.searchsorted(IDENTIFIED_AT_S, observed_s, side="right")
    score, anomaly = np.zeros(len(rows.code)), np.zeros(len(rows.code), dtype=bool)
    signals: dict[int, tuple[ContributingSignal, ...]] = {}
    for which, found in score_rows(rows, library, lambda who, at: source_detectors(answers[at - 1][who]), step):
        score[which], anomaly[which] = found.score, found.anomaly
        signals |= {int(which[row]): contributing_signals(found, row) for row in np.flatnonzero(found.anomaly).tolist()}

    services = np.array(
        [[None] * len(rows.containers), *([answer.service for answer in each] for each in answers)], dtype=object
    )
    table = ordered.reindex(columns=[*COLUMNS[:5]])
    table["service"] = pd.Series(services[step, rows.code], index=table.index, dtype="str")
    table["score"], table["anomaly"] = score, anomaly
    first_row = np.searchsorted(rows.code, np.arange(len(rows.containers)))
    return RecordingScores(table, rows.containers, first_row, _alarms(rows, table, signals))


def _alarms(
    rows: Rows, table: pd.DataFrame, signals: dict[int, tuple[ContributingSignal, ...]]
) -> tuple[tuple[Alarm, ...], ...]:
    """Join anomalous rows of one container that are close together."""
    found: list[list[Alarm]] = [[] for _ in range(len(rows.containers))]
    time, score = table["time"], table["score"].to_numpy(np.float64)
    where = np.flatnonzero(table["anomaly"].to_numpy(bool))
    apart = (np.diff(rows.code[where]) != 0) | (np.diff(rows.offset_s[where]) > SAME_ALARM_S)
    for own in np.split(where, np.flatnonzero(apart) + 1) if where.size else []:
        peak = int(own[score[own].argmax()])
        alarm = Alarm(peak, time[own[0]], time[own[-1]], float(score[peak]), signals[peak])
        found[int(rows.code[peak])].append(alarm)
    return tuple(tuple(each) for each in found)


def score_dataset(dataset: Dataset, identifier: Identifier, library: DetectorLibrary) -> Iterator[RecordingScores]:
    """Score the containers of a data set share by share; it may be many times larger than memory.

    Parameters
    ----------
    dataset : Dataset
    identifier, library
        As for :func:`score_recording`, which gives the same scores of all rows at once.

    Yields
    ------
    RecordingScores
        Of some containers, in the order of :func:`podlab.identify.dataset.identify_dataset`.

    Raises
    ------
    InputError
        If a partition is not what its manifest says, or the data set has none of the model's columns.
    """
    shares, metrics = shares_for(identifier, dataset)
    work = partial(_score_share, identifier=identifier, library=library, metrics=metrics)
    yield from over_shares(dataset, shares, work)


def _score_share(
    dataset: Dataset,
    share: Share,
    *,
    identifier: Identifier,
    library: DetectorLibrary,
    metrics: frozenset[str],
) -> Iterator[RecordingScores]:
    """Score the containers of a share of a data set."""
    for batch in stream_containers(dataset, share):
        yield score_recording(batch.samples, identifier, library, metrics=metrics)
