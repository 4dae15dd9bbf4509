"""Detectors learned from synthetic faults: one forest for all services, and each service's usual values as context.

The forest tells rows of containers with a synthetic fault (:mod:`podlab.detect.synthetic`), by its kind, from normal
ones, synthetic normal events that look like faults among them. It sees each signal three times: its change from the
container's own baseline, that change in units of how much the container and its service usually change, and its value
in units of the service's location and scale. What shrinks is no fault by that: a gauge's growth counts upwards only.
The service is known to the forest by these units only, so all services share what a fault looks like; a service with
few recordings, or one never seen that resembles another, needs no forest of its own. The largest changes come as order
statistics; nothing is averaged over signals, since a storm in one of them would drown; and trees are joined by the
geometric mean of their probabilities, so that those which see the storm are not outvoted by those which do not ask for
its signal.

The longer a container is watched, the more its own history counts beside: the largest changes in units of how much it
has changed so far.

That ranks the rows of one container well, but over many containers what is unusual is mostly no fault: a job, a backup.
So alarms are raised by kinds: how far the odds of the three likeliest kinds of fault exceed what normal rows show of
them. Rows beyond that are above all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.samples import INSTANCE_KEY
from podlab.detect.detector import Evidence, TrainingRows, smooth
from podlab.detect.reference import (
    AGES_S,
    MAX_DEVIATION,
    ParetoTailEcdf,
    RobustScaler,
    fit_ecdf,
    fit_scaler,
    standardise,
)
from podlab.detect.signals import CHANGES, GROWTHS, SIGNALS, ObservedSignals, observe_rows
from podlab.detect.synthetic import FAULTS, NORMAL_EVENTS, inject_faults
from podlab.features.rows import read_rows
from podlab.identify.forest import Forest, forest_from_sklearn

FloatArray = NDArray[np.float64]
FeatureArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Time constant of the smoothing of evidence. Signals are means over some seconds themselves.
SMOOTHING_S = 6.0
#: What is anomalous stays so above this share of the threshold.
_KEPT, _RAISED_AFTER_S = 0.8, 10.0
_LARGEST = 6
#: Columns that the forest sees.
FEATURES = 3 * len(SIGNALS) + 2 * _LARGEST + 2
#: An age beyond this, or an unknown one, is no news.
_MAX_AGE_S = 600.0
#: After so long of learning its baseline a container is judged half by how much it changes otherwise.
_OWN_COUNTS_S = 600.0
_OWN_WEIGHT, _MIN_OWN_SCALE = 1.5, 0.05
#: A tree that knows no normal row like it is no proof.
_MIN_NORMAL = 0.01
#: What the forest tells apart.
KINDS: tuple[str, ...] = ("normal", *FAULTS)
#: Kinds whose odds count, the smallest share that does, and the shares of normal rows between whose odds of a kind one
#: unit lies. What counts as much more is beyond so many units.
_LIKELIEST, _MIN_KIND, _USUAL_ODDS = 3, 0.003, (0.9, 0.999)
_USUAL_UNITS, _WEIGHT, _WEIGHT_BEYOND = 0.6, 0.1, 5.0

_TREES, _MAX_LEAVES, _MIN_ROWS_IN_LEAF, _FEATURES_PER_SPLIT = 48, 200, 10, 0.15
#: Training rows of a forest, at most, and the least that are enough.
_MAX_ROWS = 24_000
_MIN_ROWS = 50
#: Rows of copies that faults, and as many that normal events are drawn into: more copies where less was recorded.
_COPIED_ROWS, _MOST_COPIES = 80_000, 3
#: Share of containers in copies whose baseline does not learn from the fault: so it is if the fault is noticed.
_NOTICED = 0.7
#: Share of the copies' rows without a fault that is learned from. With more rows of normal events fewer faults are told
#: from them than alarms are spared: at a site never seen VUS-PR is .55 with all of them and .60 with a seventh.
_NORMAL_SHARE = 0.2
#: Share of containers in training that are judged as of an unknown service.
_UNKNOWN = 0.2
_FOLDS = 2


@dataclass(frozen=True, repr=False)
class FaultDetector:
    """An anomaly detector for one service, or for all together, that was learned from synthetic faults.

    Attributes
    ----------
    scaler : RobustScaler
        Of the service.
    forest : Forest
        Tells :data:`KINDS` from :data:`FEATURES` columns; all detectors of a library share it.
    usual_odds : array of float64 (2, n_kinds - 1)
        Location and scale of the log odds of each kind of fault in normal deployments held out; all detectors of a
        library share them.
    evidence_ecdf : ParetoTailEcdf
        Distribution of the smoothed evidence in normal deployments held out.
    deployments, rows : int
        Normal ones that it was trained on.
    """

    scaler: RobustScaler
    forest: Forest
    usual_odds: FloatArray
    evidence_ecdf: ParetoTailEcdf
    deployments: int
    rows: int

    def __repr__(self) -> str:
        return f"FaultDetector(trained on {self.rows:,} rows of {self.deployments} deployments)"

    @cached_property
    def log_of_leaves(self) -> FloatArray:
        """Logarithms of the forest's probabilities, which each row takes some of."""
        return _log_of_leaves(self.forest)

    @property
    def smoothing_s(self) -> float:
        """Time constant of the smoothing of evidence."""
        return SMOOTHING_S

    @property
    def calm(self) -> float:
        """A container's baseline learns from all that is not anomalous: one that rests earlier is often left behind."""
        return 1.0

    @property
    def kept(self) -> float:
        """Share of the threshold above which what is anomalous stays so."""
        return _KEPT

    @property
    def raised_after_s(self) -> float:
        """How long a container must be anomalous until that is an alarm: two samples each 10 s, or more if denser."""
        return _RAISED_AFTER_S

    def evidence(self, observed: ObservedSignals, age_s: FloatArray) -> Evidence:
        """Judge rows (n,), each by itself."""
        deviations = _upwards(self.scaler.standardise(observed, age_s))
        return _evidence(self, observed, age_s, deviations)

    @staticmethod
    def evidence_by(
        detectors: Sequence[FaultDetector], number: IntArray, observed: ObservedSignals, age_s: FloatArray
    ) -> Evidence:
        """Judge rows (n,), each by one of the detectors of a library, whose numbers are given (n,), at once."""
        band = np.searchsorted(AGES_S, age_s, side="right")
        location, scale = (
            np.stack([getattr(each.scaler, name) for each in detectors])[number, band] for name in ("location", "scale")
        )
        deviations = _upwards(standardise(observed, location, scale))
        return _evidence(detectors[0], observed, age_s, deviations)

    def judge(self, smoothed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the rarity of smoothed evidence (n, 2), and that by which baselines learn or rest (n,): the same."""
        rarity = self.evidence_ecdf.rarity(_rank(smoothed))
        return rarity, rarity

    def rarity(self, observed: ObservedSignals, age_s: FloatArray, container: IntArray) -> FloatArray:
        """Give the rarity of rows (n,) in order of container and age, smoothed in time."""
        return self.judge(smooth(self.evidence(observed, age_s).total, age_s, container, SMOOTHING_S))[0]


def _evidence(
    detector: FaultDetector, observed: ObservedSignals, age_s: FloatArray, deviations: FloatArray
) -> Evidence:
    features = forest_features(observed, age_s, deviations)
    log_shares = _log_shares(detector.forest, detector.log_of_leaves, features)
    return Evidence(fault_evidence(log_shares, observed, detector.usual_odds), deviations)


def forest_features(observed: ObservedSignals, age_s: FloatArray, deviations: FloatArray) -> FeatureArray:
    """Give what the forest sees of each row (n, FEATURES).

    Parameters
    ----------
    observed : ObservedSignals
        Of all signals (n).
    age_s : array of float64 (n,)
        Container age; infinite where it is unknown.
    deviations : array of float64 (n, 2 * n_signals)
        As :func:`_upwards` gives them.

    Returns
    -------
    array of float32 (n, FEATURES)
        Changes; standardised values, then changes; the largest of both kinds of changes; age; seconds of the baseline.
        What is missing is 0, as if nothing were unusual; so is a growth below the usual one.
    """
    change = _changes(observed)
    largest = [
        -np.sort(np.partition(-np.abs(each), _LARGEST - 1, axis=1)[:, :_LARGEST], axis=1)
        for each in (change, deviations[:, len(SIGNALS) :])
    ]
    learned_s = observed.learned_s.max(axis=1)
    times = np.minimum(np.stack([age_s, learned_s], axis=1), _MAX_AGE_S)
    return np.concatenate([change, deviations, *largest, times], axis=1).astype(np.float32)


def _upwards(deviations: FloatArray) -> FloatArray:
    """Let growths that fall deviate by 0 (n, 2 * n_signals)."""
    return np.where(np.tile(GROWTHS, 2), deviations.clip(0.0), deviations)


def _changes(observed: ObservedSignals) -> FloatArray:
    """Give the changes that count (n, n_signals): 0 where they are missing, and of growths that fall."""
    change = np.nan_to_num(np.where(CHANGES, observed.change, 0.0))
    change[:, GROWTHS] = change[:, GROWTHS].clip(0.0)
    return change


def _log_of_leaves(forest: Forest) -> FloatArray:
    """Give ``log10`` of the probability of each of :data:`KINDS` in a forest's distributions (n, n_kinds)."""
    return np.log10(np.maximum(forest.distributions, np.where(np.arange(len(KINDS)) == 0, _MIN_NORMAL, _MIN_KIND)))


def _log_shares(forest: Forest, log_of_leaves: FloatArray, features: FeatureArray) -> FloatArray:
    """Give the mean of the logarithms over trees (n, n_kinds); tree by tree, since all at once would be much memory."""
    leaves = forest.child[2 * forest.leaves(features) + 1]
    return np.asarray(sum(log_of_leaves[own] for own in leaves.T) / leaves.shape[1])


def fault_evidence(log_shares: FloatArray, observed: ObservedSignals, usual_odds: FloatArray) -> FloatArray:
    """Give evidence for a fault (n, 2): how unusual a row is, and how much it resembles kinds of fault.

    The first is ``-log10`` of the probability that a row is normal. Instead of it the largest changes in units of how
    much the container has changed so far count half when that was learned for ten minutes. The second is the mean of
    the three largest log odds of kinds against normal, in units of what normal rows show of each kind.
    """
    reused = -log_shares[:, 0]
    usual = np.sqrt(observed.mean_square + _MIN_OWN_SCALE**2)
    size = np.minimum(np.abs(_changes(observed)) / usual, MAX_DEVIATION)
    own = _OWN_WEIGHT * np.log10(1.0 - np.partition(-size, _LARGEST - 1, axis=1)[:, :_LARGEST].mean(axis=1))
    learned_s = observed.learned_s.max(axis=1)
    unusual = reused + learned_s / (learned_s + _OWN_COUNTS_S) * (own - reused)
    location, scale = usual_odds
    odds = (log_shares[:, 1:] + reused[:, None] - location) / scale
    alike = np.partition(odds, -_LIKELIEST, axis=1)[:, -_LIKELIEST:].mean(axis=1)
    return np.stack([unusual, alike], axis=1)


def _usual_odds(log_shares: FloatArray) -> FloatArray:
    """Give location and scale of the log odds of kinds in normal rows (2, n_kinds - 1)."""
    low, high = np.quantile(log_shares[:, 1:] - log_shares[:, :1], _USUAL_ODDS, axis=0)
    return np.stack([low, np.maximum(high - low, 0.01)])


def _rank(smoothed: FloatArray) -> FloatArray:
    """Order smoothed evidence (n, 2) -> (n,): by how unusual it is, and far more by kinds where they stand out."""
    unusual, alike = smoothed.T
    usual = np.maximum(unusual + _WEIGHT * alike, 0.0)
    return np.asarray(usual + _WEIGHT_BEYOND * np.maximum(alike - _USUAL_UNITS, 0.0))


@dataclass(frozen=True)
class _Rows:
    """Rows to learn from: features, number of their kind, and their fold (n,)."""

    features: FeatureArray
    kind: IntArray
    fold: IntArray


def fit_fault_detectors(
    normal: pd.DataFrame, *, group: str, seed: int
) -> tuple[dict[str, FaultDetector], FaultDetector, list[tuple[FloatArray, FloatArray, TrainingRows]]]:
    """Fit the detectors of all services, and the pooled one.

    Scalers judge only deployments that they were not fitted to, also in training, and the reference distributions come
    from forests that never saw the deployment.

    Parameters
    ----------
    normal : DataFrame
        A checked samples table of normal rows, each with a service.
    group : str
        Column of the groups that are held out together; at least two.
    seed : int
        Same samples and seed, same detectors.

    Returns
    -------
    tuple
        Detectors by service; the pooled one; and of each part that was held out the rarities by both, with the rows.
    """
    rng = np.random.default_rng(seed)
    keys = [*INSTANCE_KEY, "time"]
    samples = normal.sort_values(keys, kind="stable").drop_duplicates(keys).reset_index(drop=True)
    rows = read_rows(samples)
    service = np.asarray(rows.containers["service"].astype(str))
    number = pd.factorize(np.asarray(rows.containers[group].astype(str)))[0]
    fold = _choose_folds(rows.containers, service, number)

    own = TrainingRows(observe_rows(rows), rows.offset_s, rows.code, number[rows.code])
    of_row, fold_of_row = service[rows.code], fold[rows.code].astype(np.int64)
    names = np.unique(service).tolist()
    scalers = _fit_scalers(own, of_row, names)
    held_out = [_fit_scalers(own.take(fold_of_row != each), of_row[fold_of_row != each], names) for each in (0, 1)]

    known, unknown = (
        _features(own, of_row, fold_of_row, held_out, np.full(service.size, unknown)) for unknown in (False, True)
    )
    training = [_Rows(known, np.zeros(len(known), dtype=np.int64), fold_of_row)]
    copies = int(np.clip(_COPIED_ROWS // len(samples), 1, _MOST_COPIES))
    for copy, kinds in [(copy, kinds) for copy in range(copies) for kinds in (FAULTS, NORMAL_EVENTS)]:
        changed = inject_faults(
            samples, seed=int(rng.integers(2**31)), kinds=tuple(kinds), faults_per_container=2 - copy % 2
        )
        is_fault = changed["anomaly"].to_numpy(bool)
        noticed = is_fault & (rng.random(service.size) < _NOTICED)[rows.code]
        seen = TrainingRows(observe_rows(read_rows(changed), noticed), own.age_s, own.container, own.group)
        drawn = is_fault | (rng.random(is_fault.size) < _NORMAL_SHARE)
        features = _features(
            seen.take(drawn), of_row[drawn], fold_of_row[drawn], held_out, rng.random(service.size) < _UNKNOWN
        )
        kind = np.where(is_fault, pd.Index(KINDS).get_indexer(pd.Index(changed["anomaly_kind"])), 0)
        training.append(_Rows(features, kind[drawn], fold_of_row[drawn]))
    every = _Rows(*(np.concatenate([getattr(part, name) for part in training]) for name in _Rows.__annotations__))

    log_shares = np.zeros((2, len(known), len(KINDS)))
    for each in (0, 1):
        forest = _fit_forest(every, every.fold != each, seed)
        here = fold_of_row == each
        for found, features in zip(log_shares, (known, unknown), strict=True):
            found[here] = _log_shares(forest, _log_of_leaves(forest), features[here])
    usual_odds = _usual_odds(log_shares[0])
    evidence = [fault_evidence(found, own.observed, usual_odds) for found in log_shares]
    ranked = [_rank(smooth(found, own.age_s, own.container, SMOOTHING_S)) for found in evidence]
    ecdfs = [fit_ecdf(found) for found in ranked]
    forest = _fit_forest(every, np.ones(every.fold.size, dtype=bool), seed)
    detectors = {
        name: FaultDetector(
            scalers[name],
            forest,
            usual_odds,
            ecdfs[0],
            np.unique(own.group[of_row == name]).size,
            int((of_row == name).sum()),
        )
        for name in names
        if scalers[name] is not scalers[None] and np.unique(own.group[of_row == name]).size > 1
    }
    pooled = FaultDetector(scalers[None], forest, usual_odds, ecdfs[1], np.unique(number).size, len(of_row))
    rare = [ecdf.rarity(found) for ecdf, found in zip(ecdfs, ranked, strict=True)]
    places = [np.flatnonzero(fold_of_row == each) for each in (0, 1)]
    return detectors, pooled, [(rare[0][here], rare[1][here], own.take(here)) for here in places]


def _choose_folds(containers: pd.DataFrame, service: NDArray[Any], number: IntArray) -> IntArray:
    """Choose the fold of each container (n,): sites are held out where there are several, else groups.

    Alarms are several times as many at a site that was never seen, so a threshold of the same site's would not hold.
    """
    if "site" in containers:
        sites = containers["site"].astype("str").fillna("").value_counts().index.tolist()  # the largest first
        if len(sites) >= _FOLDS:
            place = {site: turn % _FOLDS for turn, site in enumerate(sites)}
            return np.array([place[site] for site in containers["site"].astype("str").fillna("")], dtype=np.int64)
    # By turns within each service, so that every fold has some of each.
    first = pd.DataFrame({"service": service, "number": number}).drop_duplicates("number")
    turn = first.groupby("service").cumcount().to_numpy()[np.argsort(first["number"].to_numpy())]
    fold = turn[number] % _FOLDS
    return np.asarray(fold if np.unique(fold).size == _FOLDS else number % _FOLDS)  # one deployment of each service


def _fit_scalers(rows: TrainingRows, service: NDArray[Any], names: Sequence[str]) -> dict[str | None, RobustScaler]:
    """Fit the scaler of each service, and by None that of all; a service with too few rows has that one."""
    every = fit_scaler(rows.observed, rows.age_s)
    scalers: dict[str | None, RobustScaler] = {None: every}
    for name in names:
        own = service == name
        scalers[name] = every if own.sum() < _MIN_ROWS else fit_scaler(rows.observed.take(own), rows.age_s[own])
    return scalers


def _features(
    rows: TrainingRows,
    service: NDArray[Any],
    fold: IntArray,
    held_out: Sequence[Mapping[str | None, RobustScaler]],
    unknown: BoolArray,
) -> FeatureArray:
    """Give the features of rows (n, FEATURES), each by the scaler of the folds that it is not in.

    ``unknown`` says of each container whether it is judged as of an unknown service.
    """
    out = np.zeros((len(service), FEATURES), dtype=np.float32)
    judged = service.astype(object)
    judged[unknown[rows.container]] = None
    for each, scalers in enumerate(held_out):
        for name, scaler in scalers.items():
            here = np.flatnonzero((fold == each) & (judged == name))
            if here.size:
                observed, age_s = rows.observed.take(here), rows.age_s[here]
                out[here] = forest_features(observed, age_s, _upwards(scaler.standardise(observed, age_s)))
    return out


def _fit_forest(rows: _Rows, chosen: BoolArray, seed: int) -> Forest:
    """Grow the forest: extremely randomised trees, whose small leaves a bounded number keeps small on disk.

    Normal rows weigh as much as those of faults together, and all kinds of fault the same.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    here = np.flatnonzero(chosen)
    here = np.sort(np.random.default_rng(seed).permutation(here)[:_MAX_ROWS])
    kind = rows.kind[here]
    number = np.bincount(kind, minlength=len(KINDS))
    weight = kind.size / 2 / np.maximum(number, 1)
    weight[1:] /= max(int(np.count_nonzero(number[1:])), 1)
    model = ExtraTreesClassifier(
        _TREES, max_features=_FEATURES_PER_SPLIT, max_leaf_nodes=_MAX_LEAVES, min_samples_leaf=_MIN_ROWS_IN_LEAF,
        random_state=seed, n_jobs=1,
    )  # fmt: skip
    return forest_from_sklearn([model.fit(rows.features[here], kind, sample_weight=weight[kind])], len(KINDS))
