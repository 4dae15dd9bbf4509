"""What a reused detector is compared with: detectors learned from scratch, single components, other services' ones.

All of them score the signals that the reused detector saw, with baselines that learned under it, so they share its care
not to learn from faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from podlab.arrays import BoolArray, FloatArray
from podlab.detect.components import outlier_scores
from podlab.detect.detector import Detector, TrainingRows, fit_detector, smooth
from podlab.detect.library import AnyDetector, DetectorLibrary, choose_threshold
from podlab.detect.signals import ORIGINAL_SIGNALS, ObservedSignals
from podlab.evaluation.anomalies import FaultRecording, find_faults, vus_pr
from podlab.evaluation.metrics import mean_interval

#: A container's own rows are held out by blocks of time.
_BLOCKS = 4
_MIN_ROWS = 30


def score_with(
    recording: FaultRecording, observed: ObservedSignals, detector: AnyDetector, threshold: float
) -> FloatArray:
    """Score all rows with one detector (n_rows,), whatever their service."""
    rows = recording.rows
    return np.asarray(detector.rarity(observed, rows.offset_s, rows.code) / threshold)


def score_from_scratch(recording: FaultRecording, observed: ObservedSignals, *, seed: int = 0) -> FloatArray:
    """Score each full minute with detectors fitted on the deployment's own rows before it (n_rows,).

    In the first minute, and while there are too few rows, the score is 0.
    """
    out, minute, normal = np.zeros(len(recording.time_s)), recording.minute, recording.before_faults
    used, fitted = 0, out
    for begin in range(1, int(minute.max()) + 1):
        training = normal & (minute < begin)
        if training.sum() > used:  # a later minute without another normal row changes nothing
            used, fitted = int(training.sum()), score_own_history(recording, observed, training, seed=seed)
        out[minute == begin] = fitted[minute == begin]
    return out


def score_own_history(
    recording: FaultRecording, observed: ObservedSignals, training: BoolArray, *, seed: int = 0
) -> FloatArray:
    """Score all rows with detectors fitted on some of their own deployment's rows (n_rows,)."""
    rows, out = recording.rows, np.zeros(len(recording.rows.code))
    rarities, fitted = [], []
    for own in recording.series:
        used = np.sort(own[training[own]])
        if used.size < _MIN_ROWS:
            continue
        blocks = np.arange(used.size) * _BLOCKS // used.size
        history = TrainingRows(observed.take(used), rows.offset_s[used], rows.code[used], blocks)
        detector, rarity = fit_detector(history, seed=seed, deployments=1, by_age=False)
        rarities.append((rarity, history))
        fitted.append((np.sort(own), detector))
    threshold = choose_threshold(rarities) if rarities else 1.0
    for own, detector in fitted:
        out[own] = detector.rarity(observed.take(own), rows.offset_s[own], rows.code[own]) / threshold
    return out


def score_components(
    recording: FaultRecording, observed: ObservedSignals, library: DetectorLibrary, names: Sequence[str]
) -> dict[str, FloatArray]:
    """Score all rows with each component alone of the true services' detectors, by changes; by the given names.

    The library's detectors are ensembles of outlier detectors.
    """
    rows, out = recording.rows, {name: np.zeros(len(recording.rows.code)) for name in names}
    for service in np.unique(recording.service):
        detector = library.detectors.get(service, library.pooled)
        if not isinstance(detector, Detector):
            raise TypeError("the library's detectors have no components")
        own = np.flatnonzero(recording.service == service)
        changes = detector.scaler.standardise(observed.take(own), rows.offset_s[own])[:, len(ORIGINAL_SIGNALS) :]
        ensemble = detector.change_ensemble
        for name, component, ecdf in zip(names, ensemble.components, ensemble.ecdfs, strict=True):
            rarity = ecdf.rarity(outlier_scores(component, changes))
            out[name][own] = smooth(rarity, rows.offset_s[own], rows.code[own])
    return out


def score_by_minute(
    recording: FaultRecording, scores: Mapping[str, FloatArray], *, reference: str, seed: int = 0
) -> pd.DataFrame:
    """Evaluate the faults of each minute since the start against all normal rows until then.

    Returns
    -------
    DataFrame
        ``detector``, ``minute`` (from 1), ``vus_pr, low, high``, ``deployments`` (with a fault in that minute), ``lead,
        lead_low, lead_high`` (VUS-PR of the reference minus the detector's).
    """
    minute, lines = recording.minute, []
    for number in range(int(minute.max()) + 1):
        units: list[str] = []
        volumes: dict[str, list[float]] = {name: [] for name in scores}
        for own, deployment in zip(recording.series, recording.deployments, strict=True):
            rows = own[(minute[own] < number) & ~recording.is_fault[own] | (minute[own] == number)]
            is_fault = recording.is_fault[rows]
            if not is_fault.any() or is_fault.all():
                continue
            units.append(deployment)
            faults = find_faults(is_fault, recording.kind[rows])
            for name, score in scores.items():
                volumes[name].append(vus_pr(score[rows], recording.time_s[rows], faults))
        if len(units) < 2:
            continue
        for name, values in volumes.items():
            own_volume, lead = (
                mean_interval(np.array(each), units, [0] * len(units), seed=seed)
                for each in (values, np.array(volumes[reference]) - np.array(values))
            )
            lines.append((name, number + 1, *vars(own_volume).values(), len(units), *vars(lead).values()))
    columns = ["detector", "minute", "vus_pr", "low", "high", "deployments", "lead", "lead_low", "lead_high"]
    return pd.DataFrame(lines, columns=columns)


def transfer_matrix(recording: FaultRecording, scores: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Give the mean VUS-PR of each detector (rows, by its service) on each service's faults (columns).

    ``scores`` are those of all rows (n_rows,) by each service's detector.
    """
    return pd.DataFrame(
        {
            name: pd.Series(
                [
                    vus_pr(score[own], recording.time_s[own], each)
                    for own, each in zip(recording.series, recording.faults, strict=True)
                ]
            )
            .groupby(np.array(recording.services))
            .mean()
            for name, score in scores.items()
        }
    ).T
