"""Anomaly detection on recordings of faults: event recall, VUS-PR, AUROC, delay and false alarms, with intervals.

Nothing is point-adjusted. A *series* is what one deployment did, over its restarts, in order of time. A *fault* is an
unbroken run of marked rows. All scores are arrays with one value per row of a :class:`FaultRecording`; they rise for
anomalies and are divided by their threshold, so that a row above 1 is anomalous.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.draws import draws_file, read_draws
from podlab.data.samples import INSTANCE_KEY
from podlab.detect.library import SAME_ALARM_S, START_S, DetectorLibrary, count_alarms, fit_library
from podlab.detect.scoring import score_rows
from podlab.detect.signals import ObservedSignals
from podlab.evaluation.metrics import Estimate, interval, mean_interval, wilson
from podlab.evaluation.splits import plan_splits
from podlab.features.rows import Rows, read_rows

#: Widths in seconds of the slopes that VUS-PR puts on both sides of a fault: a score may rise a little early or late.
WIDTHS_S = (0.0, 5.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True)
class FaultSpans:
    """Where the faults of a series are."""

    #: Their first and last rows (n_faults,).
    first: IntArray
    last: IntArray


def find_faults(is_fault: BoolArray, kind: NDArray[np.object_] | None = None) -> FaultSpans:
    """Find the unbroken runs of marked rows (n,), each of one kind where kinds are given (n,)."""
    if not is_fault.size:
        none = np.zeros(0, dtype=np.int64)
        return FaultSpans(none, none)
    new = np.ones(is_fault.size, dtype=bool)
    new[1:] = is_fault[1:] != is_fault[:-1]
    if kind is not None:
        new[1:] |= is_fault[1:] & (kind[1:] != kind[:-1])
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], is_fault.size) - 1
    marked = is_fault[begin]
    return FaultSpans(begin[marked], end[marked])


def vus_pr(score: FloatArray, time_s: FloatArray, faults: FaultSpans) -> float:
    """Volume under the surface of precision and recall, over thresholds and slope widths.

    Parameters
    ----------
    score : array of float64 (n,)
        Rises for anomalies. Rows of equal score pass a threshold together.
    time_s : array of float64 (n,)
        Does not fall.
    faults : FaultSpans
        At least one.

    Notes
    -----
    Paparrizos et al. 2022, *Volume Under the Surface*, PVLDB 15(11): a fault of slope width l counts 1 inside and
    ``sqrt(1 - d / l)`` at a distance d up to l / 2 outside; recall is multiplied by the share of faults hit at all.
    The area is summed as average precision is; the volume is the mean over :data:`WIDTHS_S`.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order]) != 0), score.size - 1)
    return float(np.mean([_area(order, ends, time_s, faults, width_s) for width_s in WIDTHS_S]))


def _area(order: IntArray, ends: IntArray, time_s: FloatArray, faults: FaultSpans, width_s: float) -> float:
    inside = np.zeros(order.size, dtype=bool)
    weight = np.zeros(order.size)
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    hit = np.empty(faults.first.size)
    for number, (first, last) in enumerate(zip(faults.first.tolist(), faults.last.tolist(), strict=True)):
        inside[first : last + 1] = True
        distance_s = np.maximum(time_s[first] - time_s, time_s - time_s[last]).clip(0.0)
        near = (distance_s == 0) | (distance_s <= width_s / 2)
        slope = np.sqrt(np.maximum(1.0 - distance_s[near] / max(width_s, 1e-9), 0.0)) if width_s else 1.0
        weight[near] = np.maximum(weight[near], slope)
        hit[number] = place[near].min()
    weight[inside] = 1.0
    found = np.cumsum(weight[order])[ends]
    outside = np.cumsum(np.where(inside, 0.0, weight)[order])[ends]
    recall = np.minimum(found / (inside.sum() + outside / 2), 1.0)
    recall *= np.searchsorted(np.sort(hit), ends, side="right") / hit.size
    precision = found / (ends + 1)
    return float(np.sum(np.diff(recall, prepend=0.0).clip(0.0) * precision))


def auroc(score: FloatArray, is_fault: BoolArray) -> float:
    """Probability that a marked row's score is above an unmarked one's, ties counting half; NaN without both."""
    return float(roc_auc_score(is_fault, score)) if 0 < is_fault.sum() < is_fault.size else float("nan")


@dataclass(frozen=True)
class FaultRecording:
    """A recording with faults, as one series for each deployment."""

    samples: pd.DataFrame  # the samples table, by container and time
    rows: Rows  # the same, as arrays
    time_s: FloatArray  # on one clock (n_rows,)
    is_fault: BoolArray  # (n_rows,)
    kind: NDArray[np.object_]  # of the fault, None without one (n_rows,)
    service: NDArray[np.object_]  # (n_rows,)
    series: tuple[IntArray, ...]  # rows of each deployment, in order of time
    faults: tuple[FaultSpans, ...]  # of each series
    #: Of each series.
    deployments: tuple[str, ...]
    services: tuple[str, ...]

    @property
    def before_faults(self) -> BoolArray:
        """Rows before the first fault of their deployment (n_rows,)."""
        out = np.zeros(self.is_fault.size, dtype=bool)
        for own, faults in zip(self.series, self.faults, strict=True):
            out[own[: faults.first.min()]] = True
        return out

    @property
    def minute(self) -> IntArray:
        """Full minutes since the first row of the deployment (n_rows,)."""
        out = np.zeros(len(self.time_s), dtype=np.int64)
        for own in self.series:
            out[own] = (self.time_s[own] - self.time_s[own[0]]) // 60.0
        return out


def read_fault_recording(samples: pd.DataFrame) -> FaultRecording:
    """Take the deployments with faults out of a checked samples table with labels."""
    ordered = samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    ordered = ordered.drop_duplicates([*INSTANCE_KEY, "time"], ignore_index=True)
    marked = ordered["anomaly"].fillna(False).astype(bool)
    ordered = ordered[marked.groupby(ordered["deployment"]).transform("any")].reset_index(drop=True)
    is_fault = ordered["anomaly"].fillna(False).to_numpy(bool)
    kind = ordered["anomaly_kind"].to_numpy(object) if "anomaly_kind" in ordered else np.full(is_fault.size, None)
    service = ordered["service"].astype(str).to_numpy(object)
    time_s = (ordered["time"] - ordered["time"].min()).dt.total_seconds().to_numpy()
    indices = {str(name): np.asarray(own) for name, own in ordered.groupby("deployment").indices.items()}
    series = tuple(own[np.argsort(time_s[own], kind="stable")].astype(np.int64) for own in indices.values())
    return FaultRecording(
        samples=ordered,
        rows=read_rows(ordered),
        time_s=time_s,
        is_fault=is_fault,
        kind=kind,
        service=service,
        series=series,
        faults=tuple(find_faults(is_fault[own], kind[own]) for own in series),
        deployments=tuple(indices),
        services=tuple(str(service[own[0]]) for own in series),
    )


def score_known_services(recording: FaultRecording, library: DetectorLibrary) -> tuple[FloatArray, ObservedSignals]:
    """Score all rows with the detector of the true service (n_rows,), and give the signals that it saw."""
    services = recording.rows.containers["service"].astype(str).tolist()
    observed = ObservedSignals.empty(len(recording.rows.code), library.pooled.scaler.location.shape[1] // 2)
    rarity = np.zeros(len(recording.rows.code))
    for which, found in score_rows(recording.rows, library, lambda container, _: ((services[container], 1.0),)):
        rarity[which] = found.rarity
        observed.put(which, found.observed)
    return rarity, observed


def score_faults(
    recording: FaultRecording, score: FloatArray, *, threshold: float = 1.0, seed: int = 0
) -> dict[str, Any]:
    """Evaluate scores of all rows.

    Parameters
    ----------
    score : array of float64 (n_rows,)
        Rises for anomalies.
    threshold : float
        Anomalous above this.
    seed : int
        Of the intervals over deployments.

    Returns
    -------
    dict
        ``vus_pr``, ``auroc`` (over all rows), ``recall`` of faults (each an Estimate), ``delay_s`` (median of the
        faults found), ``false_alarms`` (per deployment, before its first fault), ``faults``, ``deployments``.
    """
    volumes = [
        vus_pr(score[own], recording.time_s[own], each)
        for own, each in zip(recording.series, recording.faults, strict=True)
    ]
    events = fault_events(recording, score, threshold)
    anomalous = (score > threshold) & recording.before_faults
    alarms = sum(count_alarms(anomalous[own], recording.time_s[own], np.zeros_like(own)) for own in recording.series)
    units, strata = events["deployment"].tolist(), events["service"].tolist()
    return {
        "vus_pr": mean_interval(np.array(volumes), recording.deployments, recording.services, seed=seed),
        "auroc": _auroc_interval(recording, score, seed),
        "recall": mean_interval(events["found"].to_numpy(np.float64), units, strata, seed=seed),
        "delay_s": float(events["delay_s"].median()),
        "false_alarms": alarms / len(recording.series),
        "faults": len(events),
        "deployments": len(recording.series),
    }


def score_detectors(recording: FaultRecording, scores: Mapping[str, FloatArray], *, seed: int = 0) -> pd.DataFrame:
    """Evaluate several ways to score: a line for each, by ``detector``, with the values of :func:`score_faults`."""
    return pd.DataFrame(
        [{"detector": name} | score_faults(recording, score, seed=seed) for name, score in scores.items()]
    )


def _auroc_interval(recording: FaultRecording, score: FloatArray, seed: int, draws: int = 200) -> Estimate:
    rng, number, drawn = np.random.default_rng(seed), len(recording.series), np.empty(draws)
    for draw in range(draws):
        chosen = np.concatenate([recording.series[place] for place in rng.integers(0, number, number)])
        drawn[draw] = auroc(score[chosen], recording.is_fault[chosen])
    return interval(auroc(score, recording.is_fault), drawn, len(recording.series))


def fault_events(recording: FaultRecording, score: FloatArray, threshold: float = 1.0) -> pd.DataFrame:
    """List all faults: ``deployment``, ``service``, ``kind``, ``found``, ``delay_s`` (NaN if it is not found)."""
    lines = []
    for own, faults, deployment, service in zip(
        recording.series, recording.faults, recording.deployments, recording.services, strict=True
    ):
        for first, last in zip(faults.first.tolist(), faults.last.tolist(), strict=True):
            inside = own[first : last + 1]
            hit = inside[score[inside] > threshold]
            delay_s = recording.time_s[hit[0]] - recording.time_s[inside[0]] if hit.size else np.nan
            lines.append((deployment, service, str(recording.kind[inside[0]]), bool(hit.size), delay_s))
    return pd.DataFrame(lines, columns=["deployment", "service", "kind", "found", "delay_s"])


def score_fault_kinds(recording: FaultRecording, score: FloatArray, threshold: float = 1.0) -> pd.DataFrame:
    """Evaluate each kind of fault: ``kind``, ``faults``, ``recall, low, high`` (Wilson's), ``delay_s``, ``auroc``.

    AUROC is that of the kind's rows against all unmarked ones.
    """
    lines = []
    for kind, own in fault_events(recording, score, threshold).groupby("kind"):
        rows = ~recording.is_fault | (recording.kind == kind)
        recall = wilson(float(own["found"].mean()), len(own))
        area = auroc(score[rows], recording.is_fault[rows])
        lines.append((kind, len(own), *vars(recall).values(), own["delay_s"].median(), area))
    return pd.DataFrame(lines, columns=["kind", "faults", "recall", "low", "high", "delay_s", "auroc"])


def effects_of(recording: FaultRecording, files: Sequence[str | Path]) -> NDArray[np.object_]:
    """Say whether users noticed each row's fault (n_rows,), by the tables of draws beside the recording's files.

    Returns
    -------
    array of str or None
        ``noticed`` or ``not noticed``, by the load client's latency and errors; None in a row without a fault, and
        where there were no requests or no table says it.
    """
    out = np.full(recording.is_fault.size, None, dtype=object)
    own_rows = dict(zip(recording.deployments, zip(recording.series, recording.faults, strict=True), strict=True))
    time = recording.samples["time"].to_numpy("datetime64[ns]")
    for path in {draws_file(Path(each)) for each in files}:
        draws = read_draws(path) if path.exists() else pd.DataFrame()
        told = draws.reindex(columns=["deployment", "faults"]).dropna().set_index("deployment")["faults"]
        for deployment in told.index.intersection(list(own_rows)):
            own, spans = own_rows[deployment]
            for fault in json.loads(told[deployment]):
                felt = fault.get("effect", {}).get("felt")
                if felt is None:
                    continue
                begin, end = (pd.Timestamp(fault[name]).tz_convert(None).to_datetime64() for name in ("begin", "end"))
                same = recording.kind[own[spans.first]] == fault["kind"]
                meets = (time[own[spans.last]] >= begin) & (time[own[spans.first]] <= end)
                for first, last in zip(spans.first[same & meets], spans.last[same & meets], strict=True):
                    out[own[first : last + 1]] = "noticed" if felt else "not noticed"
    return out


def count_false_alarms(
    samples: pd.DataFrame, *, folds: int = 2, seed: int = 0, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Count alarms in normal deployments that the detectors were not trained on.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with labels and without faults.
    folds, seed
        Of the split by deployment, as for :func:`podlab.evaluation.splits.plan_splits`.
    columns : sequence of str, optional
        Metric columns, as for :func:`podlab.detect.fit_library`.

    Returns
    -------
    DataFrame
        One line per container: ``service``, ``load`` (its load pattern), ``at_start`` (alarms in its first minute),
        ``later``, and ``later_s``, for how long it was watched then. Empty where too little was recorded.
    """
    deployments = samples.drop_duplicates("deployment")[["service", "deployment"]].reset_index(drop=True)
    lines = []
    for split in plan_splits(deployments, folds=folds, seed=seed).splits:
        tested = set(deployments["deployment"].iloc[split.test].astype(str))
        held_out = samples["deployment"].astype(str).isin(tested).to_numpy()
        library = fit_library(samples[~held_out].reset_index(drop=True), seed=seed, columns=columns)
        if library is None:
            return pd.DataFrame()
        rows = read_rows(samples[held_out].reset_index(drop=True))
        sources = [((service, 1.0),) for service in rows.containers["service"].astype(str)]
        anomalous = np.zeros(len(rows.code), dtype=bool)
        for which, found in score_rows(rows, library, lambda container, _, sources=sources: sources[container]):  # type: ignore[misc]
            anomalous[which] = found.anomaly
        at_start = rows.offset_s < START_S
        for number, container in enumerate(rows.containers.to_dict("records")):
            own = rows.code == number
            early, late = (
                count_alarms((anomalous & when)[own], rows.offset_s[own], rows.code[own])
                for when in (at_start, ~at_start)
            )
            later_s = float(np.minimum(np.diff(rows.offset_s[own & ~at_start]), SAME_ALARM_S).sum())
            load = str(container.get("variant", "(unknown)")).split("/")[0]
            lines.append((container["service"], load, early, late, later_s))
    return pd.DataFrame(lines, columns=["service", "load", "at_start", "later", "later_s"])


def poisson_rate(number: int, exposure: float) -> Estimate:
    """Give a rate with Poisson's exact 95 % limits (Garwood 1936)."""
    if not exposure:
        return Estimate(np.nan, np.nan, np.nan)
    low = float(chi2.ppf(0.025, 2 * number)) / 2 if number else 0.0
    return Estimate(number / exposure, low / exposure, float(chi2.ppf(0.975, 2 * number + 2)) / 2 / exposure)
