"""Scoring a recording as a watcher would have seen it: nothing of a row's future is used for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.samples import INSTANCE_KEY
from podlab.detect.donors import donors_of
from podlab.detect.drivers import Driver, drivers_of
from podlab.detect.library import SAME_ALARM_S, Library
from podlab.detect.replay import replay
from podlab.features.rows import Rows, observation_spans, read_rows
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction

#: Seconds seen of a container after which it is identified (again).
IDENTIFIED_AT_S = (10.0, 30.0, 60.0, 120.0)
#: The columns of a table of scores.
COLUMNS = ("time", "namespace", "pod", "pod_uid", "container", "service", "score", "anomaly")


@dataclass(frozen=True)
class Alarm:
    """A stretch in which a container was anomalous, short pauses included.

    Attributes
    ----------
    row : int
        The table's row at which the score was highest.
    since, until : Timestamp
        Its first and last anomalous row.
    score : float
        The highest.
    drivers : tuple of Driver
        What drove the score then.
    """

    row: int
    since: pd.Timestamp
    until: pd.Timestamp
    score: float
    drivers: tuple[Driver, ...]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "score": round(self.score, 6),
            "drivers": [driver.to_json() for driver in self.drivers],
        }


@dataclass(frozen=True)
class Scoring:
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
    samples: pd.DataFrame, identifier: Identifier, library: Library, *, metrics: Collection[str] | None = None
) -> Scoring:
    """Identify all containers step by step, and score every sample by the detectors of what was known by then.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with whatever columns and sampling interval.
    identifier : Identifier
        Tells the donors; before the first identification the pooled detector watches.
    library : Library
        The detectors.
    metrics : collection of str, optional
        The metric columns of which there is any value, where these samples are a part of more.

    Raises
    ------
    InputError
        If the samples have none of the model's columns.
    """
    ordered = samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    rows = read_rows(ordered)
    seen_s = _seen_s(rows)
    answers = [_identify(ordered, rows, seen_s, until_s, identifier, metrics) for until_s in IDENTIFIED_AT_S]
    step = np.searchsorted(IDENTIFIED_AT_S, seen_s, side="right")
    score, anomaly = np.zeros(len(rows.code)), np.zeros(len(rows.code), dtype=bool)
    far: dict[int, NDArray[np.float64]] = {}
    for which, said in replay(rows, library, lambda who, at: donors_of(answers[at - 1][who]), step):
        score[which], anomaly[which] = said.score, said.anomaly
        far |= dict(zip(which[said.anomaly].tolist(), said.far[said.anomaly].astype(np.float32), strict=True))

    services = np.array(
        [[None] * len(rows.containers), *([answer.service for answer in each] for each in answers)], dtype=object
    )
    table = ordered.reindex(columns=[*COLUMNS[:5]])
    table["service"] = pd.Series(services[step, rows.code], index=table.index, dtype="str")
    table["score"], table["anomaly"] = score, anomaly
    first_row = np.searchsorted(rows.code, np.arange(len(rows.containers)))
    alarms = _alarms(rows, ordered["time"], score, anomaly, far)
    return Scoring(table, rows.containers, first_row, alarms)


def _seen_s(rows: Rows) -> NDArray[np.float64]:
    """For how long a container was seen at each row (n_rows,): since its start, or its first row if that was later."""
    spans = observation_spans(rows)
    begin_s = np.where(spans.start_observed, 0.0, spans.first_s)
    return np.asarray(rows.offset_s - begin_s[rows.code])


def _identify(
    ordered: pd.DataFrame,
    rows: Rows,
    seen_s: NDArray[np.float64],
    until_s: float,
    identifier: Identifier,
    metrics: Collection[str] | None,
) -> Sequence[Prediction]:
    """Identify each container by what was seen of it until then, and by its first row at least."""
    early = (seen_s < until_s) | (np.diff(rows.code, prepend=-1) != 0)
    return identifier.identify(ordered[early].reset_index(drop=True), metrics=metrics)


def _alarms(
    rows: Rows,
    time: pd.Series,
    score: NDArray[np.float64],
    anomaly: NDArray[np.bool_],
    far: dict[int, NDArray[np.float64]],
) -> tuple[tuple[Alarm, ...], ...]:
    """Put anomalous rows of one container that are near each other together."""
    found: list[list[Alarm]] = [[] for _ in range(len(rows.containers))]
    where = np.flatnonzero(anomaly)
    apart = (np.diff(rows.code[where]) != 0) | (np.diff(rows.offset_s[where]) > SAME_ALARM_S)
    for own in np.split(where, np.flatnonzero(apart) + 1) if where.size else []:
        peak = int(own[score[own].argmax()])
        alarm = Alarm(peak, time[own[0]], time[own[-1]], float(score[peak]), drivers_of(far[peak]))
        found[int(rows.code[peak])].append(alarm)
    return tuple(tuple(each) for each in found)
