"""The explorer: a recording as one page to look through, with series, answers over time, their evidence and scores."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, describe_metric
from podlab.data.samples import INSTANCE_KEY
from podlab.detect import DetectorLibrary
from podlab.detect.recording import RecordingScores, score_recording
from podlab.errors import InputError
from podlab.features.rows import Rows, levels_or_rates, metrics_to_read, observation_spans, read_rows
from podlab.features.windows import ALL_SERIES
from podlab.identify.explain import Explanation, explain
from podlab.identify.identifier import Identifier
from podlab.identify.label import container_leaves
from podlab.identify.prediction import Prediction
from podlab.inventory import fill_page
from podlab.progress import Progress

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Seconds observed after which each container is identified, and after which the answer is explained.
ANSWERS_AT_S: Final = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600)
EVIDENCE_AT_S: Final = (10, 30, 60, 120)
#: A page shows so many containers at most, drawn at random, and is 6 MB large then.
MOST_CONTAINERS: Final = 1_000
#: Of all series together a page has about so many values, of each one at least and at most so many.
_MOST_VALUES, _FEWEST_POINTS, _MOST_POINTS = 1_000_000, 24, 240
#: Orders of metrics for explanations: half a second for 100 containers, instead of two for more exact shares.
_ORDERS: Final = 2
_MOST_NEAR, _MOST_EVIDENCE, _MOST_SPANS = 5, 8, 40
_MISSING: Final = 65_535


def explore(
    samples: pd.DataFrame, identifier: Identifier, library: DetectorLibrary | None = None, *,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Collect what the explorer shows of a recording, as JSON values.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    identifier : Identifier
        Identifies each container after :data:`ANSWERS_AT_S` and explains that after :data:`EVIDENCE_AT_S`.
    library : DetectorLibrary, optional
        Scores each sample; without it there are no scores.
    progress : callable, optional
        Called before each step.

    Returns
    -------
    dict
        ``services`` (of the model), ``metrics`` and ``containers``, each with its series, answers, evidence, nearest
        containers, faults, scores and alarms; ``all``, how many containers the recording has. Series have at most 240
        points, fewer where there are many; each second point is then the lowest, the others the highest value nearby.

    Raises
    ------
    InputError
        If there are no samples, or they have none of the model's columns.
    """
    if samples.empty:
        raise InputError("there are no samples", hint="choose a recording with rows")
    ordered, count = _draw(samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True))
    rows = read_rows(ordered, metrics=MEASURED_METRICS)
    longest_s = float(np.nan_to_num(observation_spans(rows).observed_s).max())
    at_s = [each for each in ANSWERS_AT_S if each <= longest_s * 1.05] or [ANSWERS_AT_S[0]]
    steps = len(at_s) + sum(each in EVIDENCE_AT_S for each in at_s) + 2
    done = 0

    def report(what: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, steps, what)
        done += 1

    report("series")
    series, containers = _series(rows)
    places = {name: place for place, name in enumerate(series)}
    number_of = {name: number for number, name in enumerate(identifier.services)}
    known = read_rows(ordered, metrics=metrics_to_read(identifier.columns))
    metrics = [name for name in known.metrics if known.valid[name].any()]
    before = np.zeros(len(containers), dtype=np.int64)
    for until_s in at_s:
        report(f"answers after {until_s} s")
        part = observed_until(known, until_s)
        answers = identifier.identify(part, metrics=metrics)
        told: Sequence[Explanation | None] = [None] * len(answers)
        if until_s in EVIDENCE_AT_S:
            report(f"evidence after {until_s} s")
            told = explain(identifier, part, answers, metrics=metrics, orders=_ORDERS)
        seen = np.bincount(part.code, minlength=len(containers))
        for number in np.flatnonzero(seen > before).tolist():
            containers[number]["answers"].append(_answer(until_s, answers[number], number_of))
            if (own := told[number]) is not None:
                containers[number]["evidence"].append(_evidence(until_s, own, number_of, places))
        before = seen
    for container, near in zip(containers, nearest_containers(identifier, known), strict=True):
        container["near"] = near
    report("scores")
    _mark_faults(containers, ordered, rows)
    if library is not None:
        _add_scores(containers, score_recording(ordered, identifier, library), rows)
    return {
        "services": list(identifier.services),
        "metrics": [{"name": name, "words": describe_metric(name), "unit": _unit(name)} for name in series],
        "containers": containers,
        "all": count,
        "detectors": library is not None,
    }


def write_page(data: dict[str, Any], path: Path, *, model: str, source: str) -> None:
    """Write the explorer's page: one file, with nothing from elsewhere.

    Parameters
    ----------
    data : dict
        From :func:`explore`.
    path : Path
        The file, which is written as a whole.
    model, source : str
        ``name@digest``, and the names of the recordings.
    """
    about = {"made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "model": model[:40], "source": source}
    page = fill_page(Path(__file__).with_suffix(".html"), about | data)
    path.write_text(page, encoding="utf-8", newline="\n")


def observed_until(rows: Rows, until_s: float) -> Rows:
    """Keep what was seen of each container until so long after its start, or after its first row if that came later.

    The first row always stays.
    """
    spans = observation_spans(rows)
    observed_s = rows.offset_s - np.where(spans.start_observed, 0.0, spans.first_s)[rows.code]
    return rows.take((observed_s < until_s) | (np.diff(rows.code, prepend=-1) != 0))


def nearest_containers(identifier: Identifier, rows: Rows, *, most: int = _MOST_NEAR) -> list[list[tuple[int, float]]]:
    """Find for each container the others that are nearest to it: their numbers, and the share of trees they share.

    A model of another classifier than a forest has no trees, and gives none.
    """
    leaves = container_leaves(identifier, rows)
    found = []
    for number, own in enumerate(leaves):
        near = (leaves == own).mean(axis=1)
        near[number] = 0.0
        first = np.argsort(-near, kind="stable")[:most]
        found.append([(int(each), round(float(near[each]), 3)) for each in first if near[each] > 0])
    return found


def _draw(ordered: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Keep so many containers as a page has room for; also count all."""
    number = ordered.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup().to_numpy()
    count = int(number.max()) + 1
    if count <= MOST_CONTAINERS:
        return ordered, count
    drawn = np.random.default_rng(0).permutation(count)[:MOST_CONTAINERS]
    return ordered[np.isin(number, drawn)].reset_index(drop=True), count


def _series(rows: Rows) -> tuple[list[str], list[dict[str, Any]]]:
    """Begin what is shown of each container: who it is, its times, and its series, thinned out and packed."""
    series = [
        name
        for name, sources in ALL_SERIES.items()
        if any(rows.valid[each].any() for each in sources if each in rows.valid)
    ]
    points = int(np.clip(_MOST_VALUES // max(1, len(series) * len(rows.containers)), _FEWEST_POINTS, _MOST_POINTS))
    thin = _Thinning(rows, points)
    identity = rows.containers.astype(object).where(rows.containers.notna(), None).to_dict("records")
    containers: list[dict[str, Any]] = [
        {
            "name": "/".join(str(each[key]) for key in ("namespace", "pod", "container") if each[key]),
            "service": each.get("service"),
            "deployment": each.get("deployment"),
            "times": pack(times),
            "series": [],
            "answers": [],
            "evidence": [],
            "alarms": [],
        }
        for each, times in zip(identity, thin.times(), strict=True)
    ]
    for name in series:
        sources = [levels_or_rates(rows, source) for source in ALL_SERIES[name] if source in rows.valid]
        for number, values in enumerate(zip(*(thin.thin(each) for each in sources), strict=True)):
            shown = next((each for each in values if not np.isnan(each).all()), values[0])
            containers[number]["series"].append(pack(shown))
    return series, containers


class _Thinning:
    """Brings each container's series to a number of points: all samples, or the extremes of equal spans of time.

    Of each span the lowest and the highest value are kept, one after the other, so that no peak is lost.
    """

    def __init__(self, rows: Rows, points: int) -> None:
        count = np.bincount(rows.code, minlength=len(rows.containers))
        spans = observation_spans(rows)
        span_s = np.fmax(np.nan_to_num(spans.last_s - spans.first_s), 1e-9)
        place = (rows.offset_s - spans.first_s[rows.code]) / span_s[rows.code] * (points // 2)
        row = np.arange(len(rows.code)) - (np.cumsum(count) - count)[rows.code]
        self._many = count > points
        span = np.where(self._many[rows.code], np.minimum(place.astype(np.int64), points // 2 - 1), row)
        new = (np.diff(rows.code, prepend=-1) != 0) | (np.diff(span, prepend=-1) != 0)
        self._first = np.flatnonzero(new)
        self._ends = np.searchsorted(rows.code[self._first], np.arange(len(rows.containers) + 1)).tolist()
        self._mean_s = np.add.reduceat(rows.offset_s, self._first) / np.diff(np.append(self._first, len(rows.code)))
        self._quarter_s = span_s / (points // 2) / 4

    def thin(self, values: FloatArray) -> list[FloatArray]:
        """Thin out a series of all containers (n_rows,): its points by container."""
        low, high = np.fmin.reduceat(values, self._first), np.fmax.reduceat(values, self._first)
        return [self._pairs(number, low, high) for number in range(len(self._many))]

    def times(self) -> list[FloatArray]:
        """Give the points' times in seconds since the start, by container."""
        found = []
        for number, quarter_s in enumerate(self._quarter_s.tolist()):
            own = self._mean_s[self._ends[number] : self._ends[number + 1]]
            found.append((own[:, None] + [-quarter_s, quarter_s]).reshape(-1) if self._many[number] else own)
        return found

    def _pairs(self, number: int, low: FloatArray, high: FloatArray) -> FloatArray:
        own = slice(self._ends[number], self._ends[number + 1])
        if not self._many[number]:
            return low[own]
        pairs = np.stack([low[own], high[own]], axis=1)
        # Down and up in turns, so that a line does not jump more often than it must.
        pairs[1::2] = pairs[1::2, ::-1]
        return pairs.reshape(-1)


def pack(values: FloatArray) -> list[Any] | None:
    """Pack numbers (n,) as ``[lowest, highest, base64]`` of 16 bits each; None if all are missing.

    0 stands for the lowest, 65,534 for the highest, 65,535 for a missing one.

    Examples
    --------
    >>> pack(np.array([1.0, 3.0]))
    [1.0, 3.0, 'AAD+/w==']
    >>> pack(np.array([np.nan]))
    """
    there = np.isfinite(values)
    if not there.any():
        return None
    low, high = float(values[there].min()), float(values[there].max())
    scaled = np.full(values.size, _MISSING, dtype="<u2")
    scaled[there] = np.round((values[there] - low) / ((high - low) or 1.0) * (_MISSING - 1))
    return [float(f"{low:.6g}"), float(f"{high:.6g}"), base64.b64encode(scaled.tobytes()).decode()]


def _unit(series: str) -> str:
    """Name what a page formats a series' values as: cores, bytes or 1; a counter's per second."""
    if series == "cpu_usage_nanocores":
        return "cores"
    unit = CATALOGUE[series].unit
    return ("bytes" if unit == "bytes" else "seconds" if unit == "ns" else "1") + (
        "/s" if CATALOGUE[series].kind == "counter" else ""
    )


def _answer(until_s: float, answer: Prediction, number_of: dict[str, int]) -> list[Any]:
    likely = [(number_of[name], round(share, 3)) for name, share in list(answer.candidates.items())[:4]]
    similar = [(number_of[name], round(share, 3)) for name, share in answer.similar[:3]]
    return [
        round(min(until_s, answer.seconds_observed), 1),
        int(answer.known),
        round(answer.novelty, 4),
        likely,
        similar,
    ]


def _evidence(until_s: float, own: Explanation, number_of: dict[str, int], places: dict[str, int]) -> list[Any]:
    metrics = [
        (places[each.metric], round(each.share, 3), float(f"{each.amount:.4g}"))
        for each in own.evidence[:_MOST_EVIDENCE]
        if each.metric in places
    ]
    supports = sum(each.share for each in own.evidence if each.share > 0)
    seen_s = round(min(until_s, own.seconds_observed), 1)
    return [seen_s, number_of[own.service], number_of[own.runner_up], round(supports, 3), metrics]


def _mark_faults(containers: list[dict[str, Any]], ordered: pd.DataFrame, rows: Rows) -> None:
    """Add to each container when the recording has faults, and which."""
    for container in containers:
        container["faults"] = []
    if "anomaly" not in ordered:
        return
    anomalous = ordered["anomaly"].fillna(False).to_numpy(bool)
    kinds = (
        ordered["anomaly_kind"].fillna("").to_numpy(object) if "anomaly_kind" in ordered else np.full(len(ordered), "")
    )
    where = np.flatnonzero(anomalous)
    ends = np.flatnonzero(
        (np.diff(where) != 1) | (np.diff(rows.code[where]) != 0) | (kinds[where][1:] != kinds[where][:-1])
    )
    for own in np.split(where, ends + 1) if where.size else []:
        faults = containers[int(rows.code[own[0]])]["faults"]
        if len(faults) < _MOST_SPANS:
            faults.append([*np.round(rows.offset_s[own[[0, -1]]], 1).tolist(), kinds[own[0]] or "fault"])


def _add_scores(containers: list[dict[str, Any]], scores: RecordingScores, rows: Rows) -> None:
    """Add to each container its scores, and when and why it was anomalous."""
    thin = _Thinning(rows, _MOST_POINTS if len(containers) <= MOST_CONTAINERS // 2 else _FEWEST_POINTS)
    values = scores.table["score"].to_numpy(np.float64)
    start = scores.table["time"]
    for number, (times, own) in enumerate(zip(thin.times(), thin.thin(values), strict=True)):
        first = int(scores.first_row[number])
        origin = start.iloc[first] - pd.Timedelta(seconds=float(rows.offset_s[first]))
        containers[number]["score"] = [pack(times), pack(own)]
        containers[number]["alarms"] = [
            [
                *(round((each - origin).total_seconds(), 1) for each in (alarm.since, alarm.until)),
                "; ".join(signal.text for signal in alarm.signals),
            ]
            for alarm in scores.alarms[number][:_MOST_SPANS]
        ]
