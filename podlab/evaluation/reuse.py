"""What it is worth to reuse a detector: beside one learned from scratch, a pooled one, other services' ones.

All are judged on what the same rows showed: the containers' own usual was learned under the reused detector, so that
rivals have the good of its care not to learn from faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from podlab.detect.detector import Detector, TrainingRows, fit_detector, smooth
from podlab.detect.library import DetectorLibrary, choose_threshold
from podlab.detect.recording import RecordingScores
from podlab.detect.signals import ObservedSignals
from podlab.evaluation.bootstrap import mean_interval
from podlab.evaluation.detection import Faulty, score_faults
from podlab.evaluation.strange import faults_in, vus_pr

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

REUSED, POOLED, SCRATCH, LONG = "reused", "pooled", "from scratch", "own long history"
RANDOM, CONSTANT = "random score", "constant score"
#: A container's own rows are held out by blocks of time.
_BLOCKS = 4
_FEWEST_ROWS = 30
MINUTE_S = 60.0


@dataclass(frozen=True)
class Rivals:
    """Scores of all rows by several ways to get a detector; by threshold, anomalous above 1.

    Attributes
    ----------
    scores : dict of str to array of float64 (n_rows,)
    """

    scores: dict[str, FloatArray]

    def table(self, faulty: Faulty, *, seed: int = 0) -> pd.DataFrame:
        """Score each, a line for each way."""
        lines = [{"detector": name} | score_faults(faulty, score, seed=seed) for name, score in self.scores.items()]
        return pd.DataFrame(lines)


def compare_rivals(
    faulty: Faulty, library: DetectorLibrary, reused: FloatArray, seen: ObservedSignals, *, seed: int = 0
) -> Rivals:
    """Score a recording of faults by every way to get a detector.

    Parameters
    ----------
    faulty : Faulty
    library : DetectorLibrary
        Learned from other deployments.
    reused : array of float64 (n_rows,)
        Scores by the detectors of the true services, and what the rows showed, from
        :func:`podlab.evaluation.detection.watch`.
    seen : ObservedSignals

    Notes
    -----
    *From scratch* is fitted for each container on its own rows before each full minute; *own long history* on all
    rows of the deployment without a fault, later ones as well, which nobody has in time.
    """
    pooled = judge_all(faulty, seen, library.pooled, library.pooled_threshold)
    scratch, minute, early = np.zeros(len(reused)), _minute(faulty), faulty.before
    used, fitted = 0, scratch
    for begin in range(1, int(minute.max()) + 1):
        learned = early & (minute < begin)
        if learned.sum() > used:  # a later minute without another normal row changes nothing
            used, fitted = int(learned.sum()), _fit_each(faulty, seen, learned, seed)
        scratch[minute == begin] = fitted[minute == begin]
    random = np.random.default_rng(seed).random(len(reused)) * 1.1
    scores = {
        REUSED: reused,
        POOLED: pooled,
        SCRATCH: scratch,
        LONG: _fit_each(faulty, seen, ~faulty.marked, seed),
        RANDOM: random,
        CONSTANT: np.zeros(len(reused)),
    }
    return Rivals(scores)


def judge_all(faulty: Faulty, seen: ObservedSignals, detector: Detector, threshold: float) -> FloatArray:
    """Score all rows by one detector (n_rows,)."""
    rows = faulty.rows
    evidence = detector.evidence(seen, rows.offset_s).total
    return np.asarray(detector.evidence_ecdf.rarity(smooth(evidence, rows.offset_s, rows.code)) / threshold)


def _minute(faulty: Faulty) -> NDArray[np.int64]:
    """Full minutes since the deployment's first row (n_rows,)."""
    out = np.zeros(len(faulty.time_s), dtype=np.int64)
    for own in faulty.series:
        out[own] = (faulty.time_s[own] - faulty.time_s[own[0]]) // MINUTE_S
    return out


def _fit_each(faulty: Faulty, seen: ObservedSignals, learned: BoolArray, seed: int) -> FloatArray:
    """Fit a detector for each deployment on some of its rows, and score all of its rows (n_rows,)."""
    rows, out = faulty.rows, np.zeros(len(faulty.rows.code))
    rarities, fitted = [], []
    for own in faulty.series:
        used = np.sort(own[learned[own]])
        if used.size < _FEWEST_ROWS:
            continue
        blocks = np.arange(used.size) * _BLOCKS // used.size
        training = TrainingRows(seen.take(used), rows.offset_s[used], rows.code[used], blocks)
        detector, rare = fit_detector(training, seed=seed, deployments=1, by_age=False)
        rarities.append((rare, training))
        fitted.append((own, detector))
    threshold = choose_threshold(rarities) if rarities else 1.0
    for own, detector in fitted:
        in_order = np.sort(own)
        evidence = detector.evidence(seen.take(in_order), rows.offset_s[in_order]).total
        smoothed = smooth(evidence, rows.offset_s[in_order], rows.code[in_order])
        out[in_order] = detector.evidence_ecdf.rarity(smoothed) / threshold
    return out


def by_minute(faulty: Faulty, rivals: Rivals, *, seed: int = 0) -> pd.DataFrame:
    """Tell how well faults of each minute since the start are told from all that was normal until then.

    Returns
    -------
    DataFrame
        ``detector``, ``minute`` (1 is the first), ``vus_pr``, ``low``, ``high``, ``deployments`` (that have a fault
        then), ``ahead`` (by how much the reused one is ahead), ``ahead_low``, ``ahead_high``.
    """
    minute, lines = _minute(faulty), []
    for number in range(int(minute.max()) + 1):
        chosen: list[int] = []
        volumes: dict[str, list[float]] = {name: [] for name in rivals.scores}
        for place, own in enumerate(faulty.series):
            until = own[(minute[own] < number) & ~faulty.marked[own] | (minute[own] == number)]
            if not (faulty.marked[until]).any() or faulty.marked[until].all():
                continue
            faults = faults_in(faulty.marked[until], faulty.kind[until])
            chosen.append(place)
            for name, score in rivals.scores.items():
                volumes[name].append(vus_pr(score[until], faulty.time_s[until], faults))
        if len(chosen) < 2:
            continue
        units = [faulty.deployments[place] for place in chosen]
        for name, values in volumes.items():
            own_estimate = mean_interval(np.array(values), units, [0] * len(units), seed=seed)
            ahead = mean_interval(np.array(volumes[REUSED]) - np.array(values), units, [0] * len(units), seed=seed)
            lines.append(
                {
                    "detector": name, "minute": number + 1, "vus_pr": own_estimate.value, "low": own_estimate.low,
                    "high": own_estimate.high, "deployments": len(units), "ahead": ahead.value,
                    "ahead_low": ahead.low, "ahead_high": ahead.high,
                }
            )  # fmt: skip
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class Transfer:
    """How well each service's detector serves each other service.

    Attributes
    ----------
    vus_pr : DataFrame (n_services, n_services)
        Mean over the target's deployments; donors by line, targets by column.
    spearman : float
        Mean over targets of the rank correlation of similarity with transfer, without the target's own detector.
    regret, chance_regret : float
        What is lost on average by taking the most similar other service's detector, or any, instead of the best one.
    own_gain : float
        What the own detector has before the most similar other one's, on average.
    """

    vus_pr: pd.DataFrame
    spearman: float
    regret: float
    chance_regret: float
    own_gain: float


def transfer(faulty: Faulty, library: DetectorLibrary, seen: ObservedSignals, similarity: pd.DataFrame) -> Transfer:
    """Score every service's faults by every other service's detector.

    Parameters
    ----------
    similarity : DataFrame (n_services, n_services)
        How similar the model finds services.
    """
    donors = [name for name in library.detectors if name in similarity.index]
    targets = sorted(set(faulty.services) & set(donors))
    found = pd.DataFrame(np.nan, index=donors, columns=targets)
    for donor in donors:
        score = judge_all(faulty, seen, library.detectors[donor], library.threshold)
        volumes = pd.Series(
            [
                vus_pr(score[own], faulty.time_s[own], each)
                for own, each in zip(faulty.series, faulty.faults, strict=True)
            ]
        )
        found.loc[donor] = volumes.groupby(np.array(faulty.services)).mean().reindex(targets)
    ranks: list[float] = []
    regrets: list[float] = []
    chance: list[float] = []
    gains: list[float] = []
    for target in targets:
        others = [name for name in donors if name != target]
        own = found.loc[others, target].to_numpy(np.float64)
        like = similarity.loc[target, others].to_numpy(np.float64)
        ranks.append(float(pd.Series(own).corr(pd.Series(like), method="spearman")))
        chosen = own[like.argmax()]
        regrets.append(float(own.max() - chosen))
        chance.append(float(own.max() - own.mean()))
        gains.append(float(found.loc[[target], target].to_numpy(np.float64)[0] - chosen))
    return Transfer(found, *(float(np.nanmean(each)) if each else np.nan for each in (ranks, regrets, chance, gains)))


def part_volumes(
    faulty: Faulty, library: DetectorLibrary, seen: ObservedSignals, names: Sequence[str]
) -> dict[str, FloatArray]:
    """Score all rows by each part alone of the true services' detectors, by changes (n_rows,); by the part's name."""
    rows = faulty.rows
    services = np.asarray(rows.containers["service"].astype(str))[rows.code]
    out = {name: np.zeros(len(rows.code)) for name in names}
    for service in np.unique(services):
        detector = library.detectors.get(service, library.pooled)
        own = np.flatnonzero(services == service)
        far = detector.scaler.standardise(seen.take(own), rows.offset_s[own])[:, seen.value.shape[1] :]
        jury = detector.change_ensemble
        for name, part, tail in zip(names, jury.components, jury.ecdfs, strict=True):
            rare = tail.rarity(-part.score_samples(far))
            out[name][own] = smooth(rare, rows.offset_s[own], rows.code[own])
    return out


class _Reconstruction:
    """Root mean square of what the first principal components leave of a row."""

    def fit(self, X: FloatArray) -> _Reconstruction:
        """Fit the components to normal rows (n, n_features)."""
        self._pca = PCA(10).fit(np.clip(X, -5.0, 5.0))
        return self

    def score_samples(self, X: FloatArray) -> FloatArray:
        """Give each row's normality (n,), lower for outliers."""
        left = X - self._pca.inverse_transform(self._pca.transform(X))
        return np.asarray(-np.sqrt(np.mean(left**2, axis=1)))


def other_parts(seed: int) -> tuple[Any, ...]:
    """Make the estimators that a detector is not made of, for :func:`podlab.detect.library.fit_library`."""
    return IsolationForest(random_state=seed), _Reconstruction()


def end_to_end(
    faulty: Faulty,
    told: RecordingScores,
    library: DetectorLibrary,
    seen: ObservedSignals,
    similarity: pd.DataFrame,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Score faults as podlab finds out the services itself, and with a wrong label on purpose.

    Parameters
    ----------
    faulty : Faulty
    told : RecordingScores
        Of the same samples, from :func:`podlab.detect.recording.score_recording`.
    library, seen, similarity
        As for :func:`transfer`.

    Returns
    -------
    DataFrame
        Lines as in :meth:`Rivals.table`.
    """
    services = np.asarray(faulty.rows.containers["service"].astype(str))[faulty.rows.code]
    wrong = np.zeros(len(services))
    for service in np.unique(services):
        others = [name for name in library.detectors if name != service and name in similarity]
        if not others or service not in similarity:
            continue
        donor = others[int(similarity.loc[service, others].to_numpy(np.float64).argmax())]
        own = np.flatnonzero(services == service)
        evidence = library.detectors[donor].evidence(seen.take(own), faulty.rows.offset_s[own]).total
        smoothed = smooth(evidence, faulty.rows.offset_s[own], faulty.rows.code[own])
        wrong[own] = library.detectors[donor].evidence_ecdf.rarity(smoothed) / library.threshold
    table = Rivals({"wrong label on purpose": wrong}).table(faulty, seed=seed)
    found = told.table["anomaly"].to_numpy(bool)
    rarity = np.where(found, 1.0, 0.0) + told.table["score"].to_numpy(np.float64)
    identified = score_faults(faulty, rarity, threshold=1.0, seed=seed)
    return pd.concat([pd.DataFrame([{"detector": "identified by podlab"} | identified]), table], ignore_index=True)
