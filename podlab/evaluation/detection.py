"""What detectors are worth on a recording of faults: by deployment, with intervals, beside controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.samples import INSTANCE_KEY
from podlab.detect.library import SAME_ALARM_S, START_S, DetectorLibrary, count_alarms, fit_library
from podlab.detect.scoring import score_rows
from podlab.detect.signals import ObservedSignals
from podlab.evaluation.bootstrap import Estimate, interval, mean_interval, wilson
from podlab.evaluation.splits import plan_splits
from podlab.evaluation.strange import Faults, auroc, faults_in, vus_pr
from podlab.features.rows import Rows, read_rows

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Faulty:
    """A recording with faults in it, as series of one deployment each.

    Attributes
    ----------
    samples : DataFrame
        In the order of ``rows``.
    rows : Rows
    time_s : array of float64 (n_rows,)
        On one clock.
    marked : array of bool (n_rows,)
        Where a fault is.
    kind : array of str or None (n_rows,)
    series : tuple of array of int64
        Rows of each deployment, in order of time, over its restarts.
    faults : tuple of Faults
        Of each series.
    deployments, services : tuple of str
        Of each series.
    """

    samples: pd.DataFrame
    rows: Rows
    time_s: FloatArray
    marked: BoolArray
    kind: NDArray[np.object_]
    series: tuple[IntArray, ...]
    faults: tuple[Faults, ...]
    deployments: tuple[str, ...]
    services: tuple[str, ...]

    @property
    def before(self) -> BoolArray:
        """Rows before the first fault of their deployment (n_rows,)."""
        out = np.zeros(self.marked.size, dtype=bool)
        for own, faults in zip(self.series, self.faults, strict=True):
            out[own[: faults.first.min()]] = True
        return out


def read_faulty(samples: pd.DataFrame) -> Faulty:
    """Take the deployments with faults out of a checked samples table with labels."""
    ordered = samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    ordered = ordered.drop_duplicates([*INSTANCE_KEY, "time"], ignore_index=True)
    strange = ordered["anomaly"].fillna(False).astype(bool)
    ordered = ordered[strange.groupby(ordered["deployment"]).transform("any")].reset_index(drop=True)
    rows = read_rows(ordered)
    marked = ordered["anomaly"].fillna(False).to_numpy(bool)
    kind = ordered["anomaly_kind"].to_numpy(object) if "anomaly_kind" in ordered else np.full(marked.size, None)
    time_s = (ordered["time"] - ordered["time"].min()).dt.total_seconds().to_numpy()
    series: list[IntArray] = []
    faults, deployments, services = [], [], []
    for deployment, own in ordered.groupby("deployment").indices.items():
        numbers = np.asarray(own, dtype=np.int64)
        in_time = numbers[np.argsort(time_s[numbers], kind="stable")]
        series.append(in_time)
        faults.append(faults_in(marked[in_time], kind[in_time]))
        deployments.append(str(deployment))
        services.append(str(ordered["service"].iloc[in_time[0]]))
    return Faulty(
        ordered, rows, time_s, marked, kind, tuple(series), tuple(faults), tuple(deployments), tuple(services)
    )


def watch(faulty: Faulty, library: DetectorLibrary) -> tuple[FloatArray, ObservedSignals]:
    """Score all rows by the detector of the true service: rarity by the threshold (n_rows,), and what rows showed."""
    services = faulty.rows.containers["service"].astype(str).tolist()
    seen = ObservedSignals.empty(len(faulty.rows.code))
    rarity = np.zeros(len(faulty.rows.code))
    for which, said in score_rows(faulty.rows, library, lambda who, _: ((services[who], 1.0),)):
        rarity[which] = said.rarity
        seen.put(which, said.observed)
    return rarity, seen


def score_faults(faulty: Faulty, rarity: FloatArray, *, threshold: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """Say what scores are worth.

    Parameters
    ----------
    faulty : Faulty
    rarity : array of float64 (n_rows,)
        Rises with strangeness.
    threshold : float
        Anomalous above this.
    seed : int
        Of the intervals over deployments.

    Returns
    -------
    dict
        ``vus_pr``, ``auroc``, ``recall`` (Estimates; AUROC over all rows), ``delay_s`` (median of the faults found),
        ``false_alarms`` (per deployment, before its first fault), ``faults``, ``deployments``.
    """
    volumes = [
        vus_pr(rarity[own], faulty.time_s[own], each) for own, each in zip(faulty.series, faulty.faults, strict=True)
    ]
    events = events_of(faulty, rarity, threshold)
    early = faulty.before
    strange = (rarity > threshold) & early
    alarms = sum(count_alarms(strange[own], faulty.time_s[own], np.zeros_like(own)) for own in faulty.series)
    return {
        "vus_pr": mean_interval(np.array(volumes), faulty.deployments, faulty.services, seed=seed),
        "auroc": _auroc(faulty, rarity, seed),
        "recall": mean_interval(
            events["found"].to_numpy(np.float64), events["deployment"].tolist(), events["service"].tolist(), seed=seed
        ),
        "delay_s": float(events["delay_s"].median()),
        "false_alarms": alarms / len(faulty.series),
        "faults": len(events),
        "deployments": len(faulty.series),
    }


def _auroc(faulty: Faulty, rarity: FloatArray, seed: int, draws: int = 200) -> Estimate:
    rng, number, drawn = np.random.default_rng(seed), len(faulty.series), np.empty(draws)
    for draw in range(draws):
        chosen = np.concatenate([faulty.series[place] for place in rng.integers(0, number, number)])
        drawn[draw] = auroc(rarity[chosen], faulty.marked[chosen])
    return interval(auroc(rarity, faulty.marked), drawn, len(faulty.series))


def events_of(faulty: Faulty, rarity: FloatArray, threshold: float = 1.0) -> pd.DataFrame:
    """Tell of each fault: ``deployment``, ``service``, ``kind``, ``found``, ``delay_s`` (NaN where it is not found)."""
    lines = []
    for own, faults, deployment, service in zip(
        faulty.series, faulty.faults, faulty.deployments, faulty.services, strict=True
    ):
        for first, last in zip(faults.first.tolist(), faults.last.tolist(), strict=True):
            inside = own[first : last + 1]
            hit = inside[rarity[inside] > threshold]
            delay_s = faulty.time_s[hit[0]] - faulty.time_s[inside[0]] if hit.size else np.nan
            lines.append((deployment, service, str(faulty.kind[inside[0]]), bool(hit.size), delay_s))
    return pd.DataFrame(lines, columns=["deployment", "service", "kind", "found", "delay_s"])


def by_kind(faulty: Faulty, rarity: FloatArray, threshold: float = 1.0) -> pd.DataFrame:
    """Tell how many faults of each kind are found: ``kind``, ``faults``, ``recall`` (Wilson's), ``delay_s``, ``auroc``.

    AUROC is over a kind's rows against all unmarked ones.
    """
    events = events_of(faulty, rarity, threshold)
    lines = []
    for kind, own in events.groupby("kind"):
        rows = ~faulty.marked | (faulty.kind == kind)
        lines.append(
            {
                "kind": kind,
                "faults": len(own),
                "recall": wilson(float(own["found"].mean()), len(own)),
                "delay_s": own["delay_s"].median(),
                "auroc": auroc(rarity[rows], faulty.marked[rows]),
            }
        )
    return pd.DataFrame(lines)


def false_alarms(
    samples: pd.DataFrame, *, folds: int = 2, seed: int = 0, columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """Count alarms in normal deployments that the library did not learn from, split by deployment.

    Returns
    -------
    dict
        ``per_start`` (Estimate, alarms within the first minute of a container), ``per_day`` (alarms later by
        container-days; with Poisson's 95 % limits), ``containers``, ``days``; by load pattern, ``load``: a DataFrame of
        ``load``, ``containers``, ``alarms``. Empty where too little was recorded.
    """
    plan = plan_splits(_containers(samples), folds=folds, seed=seed)
    early, late, watched_s, loads = [], 0, 0.0, []
    for split in plan.splits:
        tested = set(_containers(samples)["deployment"].iloc[split.test].astype(str))
        held_out = samples["deployment"].astype(str).isin(tested).to_numpy()
        library = fit_library(samples[~held_out].reset_index(drop=True), seed=seed, columns=columns)
        if library is None:
            return {}
        rows = read_rows(samples[held_out].reset_index(drop=True))
        services = rows.containers["service"].astype(str).tolist()
        strange = np.zeros(len(rows.code), dtype=bool)
        donors = [((service, 1.0),) for service in services]
        for which, said in score_rows(rows, library, lambda who, _, donors=donors: donors[who]):  # type: ignore[misc]
            strange[which] = said.anomaly
        new = rows.offset_s < START_S
        for number in range(len(rows.containers)):
            own = rows.code == number
            counted = [count_alarms((strange & when)[own], rows.offset_s[own], rows.code[own]) for when in (new, ~new)]
            early.append(counted[0])
            late += counted[1]
            loads.append((_load(rows.containers.iloc[number]), counted[0], counted[1]))
            step_s = np.diff(rows.offset_s[own & ~new])
            watched_s += float(np.minimum(step_s, SAME_ALARM_S).sum())
    days = watched_s / 86_400
    frame = pd.DataFrame(loads, columns=["load", "early", "late"])
    by_load = frame.groupby("load").agg(containers=("early", "size"), early=("early", "sum"), late=("late", "sum"))
    return {
        "per_start": mean_interval(np.array(early, np.float64), range(len(early)), [0] * len(early), seed=seed),
        "per_day": _rate(late, days),
        "containers": len(early),
        "days": days,
        "load": by_load.reset_index(),
    }


def _rate(number: int, days: float) -> Estimate:
    """Give a rate with Poisson's exact limits (Garwood 1936)."""
    from scipy.stats import chi2  # type: ignore[import-untyped]

    if not days:
        return Estimate(np.nan, np.nan, np.nan)
    low = float(chi2.ppf(0.025, 2 * number)) / 2 if number else 0.0
    return Estimate(number / days, low / days, float(chi2.ppf(0.975, 2 * number + 2)) / 2 / days)


def _containers(samples: pd.DataFrame) -> pd.DataFrame:
    return samples.drop_duplicates("deployment")[["service", "deployment"]].reset_index(drop=True)


def _load(container: pd.Series) -> str:
    return str(container.get("variant", "(untold)")).split("/")[0]
