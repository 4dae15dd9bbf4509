"""How well claims are checked at sites that training never saw: ``python -m benchmarks.claims``.

Fits on alpha-1, alpha-2, alpha-4 and bravo-1, and checks claims of charlie-1 and delta-1: right ones, swapped ones,
those of near relatives, and miners that claim to be a known service. A fleet is all containers of those sites; in each
draw some get the claim of another service, and the mismatches over the fleet are counted; and one miner at a time joins
the fleet. Intervals are over deployments. Then the miner score: with ``--learn`` it is learned anew first, and those of
alpha and bravo are scored by weights that were learned without their deployment.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import podlab
from lab import catalogue
from podlab.evaluation.metrics import Estimate, mean_interval, wilson
from podlab.features.rows import read_rows
from podlab.identify import Identifier
from podlab.identify.behaviour import MINER_LIKE, Behaviour, behaviours_of, learn_weights, miner_scores
from podlab.identify.claims import MISMATCH_RATE, adjust_p_values, combine_p_values

TRAIN, TEST = ("alpha-1", "alpha-2", "alpha-4", "bravo-1"), ("charlie-1", "delta-1")
#: Busy by themselves as miners are: what the miner score must not call miner-like.
HARD = ("batch", "build-job", "checksums", "compiler", "compression", "image-encoder", "model-training", "numpy-batch",
        "video-encoder")  # fmt: skip
#: Scored by other weights than the shipped ones, those learned without their own deployment, if the score is so high.
_TRIED = 0.3


def segments(samples: pd.DataFrame, length_s: float, settled_s: float = 60.0) -> pd.DataFrame:
    """Keep one segment of each container, from a moment after the first minute on; shorter ones are left out."""
    offset_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    until_s = offset_s.groupby(samples["pod_uid"]).transform("max")
    rng = np.random.default_rng(0)
    share = samples["pod_uid"].map({uid: rng.random() for uid in samples["pod_uid"].unique()})
    begin_s = settled_s + share * (until_s - settled_s - length_s).clip(lower=0)
    long_enough = until_s >= settled_s + 0.95 * length_s
    return samples[long_enough & (offset_s >= begin_s) & (offset_s < begin_s + length_s)].reset_index(drop=True)


def describe(samples: pd.DataFrame, seconds: float | None = None) -> tuple[list[Behaviour], pd.DataFrame]:
    """Say what each container does in its first seconds, and which it is."""
    rows = read_rows(samples)
    if seconds is not None:
        rows = rows.take((rows.offset_s >= 0) & (rows.offset_s < seconds))
    found = behaviours_of(rows)
    told = [number for number, each in enumerate(found) if each is not None]
    return [each for each in found if each is not None], rows.containers.iloc[told].reset_index(drop=True)


def score_miners(
    training: pd.DataFrame, known: pd.DataFrame, unknown: pd.DataFrame, *, learn: bool
) -> set[tuple[str, str]]:
    """Print how miners and others are scored, where nothing was chosen and, each left out, where it was.

    Returns
    -------
    set of (str, str)
        Service and deployment of the miners that are called miner-like after 120 s.
    """
    found_miners: set[tuple[str, str]] = set()
    behaviours, of = describe(training)
    if learn:
        print(learn_weights(behaviours, of["service"], HARD))
    unit = of["site"] + of["deployment"]
    for seconds in (120.0, None):
        time = "all" if seconds is None else f"{seconds:g} s"
        for samples, title in (
            (training, "alpha and bravo, each left out"), (pd.concat([known, unknown]), "charlie and delta"),
        ):  # fmt: skip
            found, who = describe(samples, seconds)
            scores = miner_scores(found)
            miner, hard = who["service"].str.startswith("miner"), who["service"].isin(HARD)
            if samples is training:
                for n in np.flatnonzero((scores > _TRIED) | miner):
                    other = (unit != who["site"][n] + who["deployment"][n]).to_numpy()
                    weights = learn_weights(
                        [b for b, keep in zip(behaviours, other, strict=True) if keep], of["service"][other], HARD
                    )
                    [scores[n]] = miner_scores([found[n]], weights)
            for what, which in (("miners", miner), ("hard", hard), ("others", ~miner & ~hard)):
                like = scores[which] >= MINER_LIKE
                share = wilson(float(like.mean()), len(like))
                print(f"  {title}, {time}: {like.sum()} of {len(like)} {what} miner-like {share}")
                if what == "miners" and seconds is not None:
                    found_miners |= set(who[which][like].set_index(["service", "deployment"]).index)
                if what == "miners":
                    print(
                        "   ",
                        ", ".join(f"{p}: {s:.2f}" for p, s in zip(who["profile"][which], scores[which], strict=True)),
                    )

    return found_miners


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description="Checks of claims, scored.")
    parser.add_argument("--recordings", type=Path, default=Path("data/recordings"))
    parser.add_argument("--learn", action="store_true", help="Learn the weights of the miner score and print them.")
    parser.add_argument("--only-miners", action="store_true", help="Only measure the miner score.")
    options = parser.parse_args()

    def read(*names: str) -> pd.DataFrame:
        paths = [options.recordings / f"{name}.parquet" for name in names]
        return podlab.read_samples([path for path in paths if path.exists()])

    known, unknown = read(*TEST), read(*(f"{name}-unknown" for name in TEST))
    training = read(*TRAIN, *(f"{name}-unknown" for name in TRAIN))
    like_miners = score_miners(training, known, unknown, learn=options.learn)
    if options.only_miners:
        return
    identifier = podlab.Identifier(column_sets=False, jobs=1).fit(read(*TRAIN))
    miners = read(*(f"{name}-unknown" for name in (*TRAIN, *TEST)))
    miners = miners[miners["service"].str.startswith("miner")].reset_index(drop=True)
    long = read(*(f"{name}-normal" for name in TEST))
    seen = {
        "30 s from the start": (known, unknown, miners, 30.0),
        "60 s from the start": (known, unknown, miners, 60.0),
        "120 s from the start": (known, unknown, miners, 120.0),
        "120 s mid-run": (segments(known, 120), segments(unknown, 120), segments(miners, 120), None),
        "300 s mid-run": (segments(long, 300), None, None, None),
    }
    others = {name: [each for each in identifier.services if each != name] for name in identifier.services}
    near = catalogue.relatives_of(catalogue.load())
    for title, (right, not_known, mining, horizon_s) in seen.items():
        own = claim_p_values(identifier, right, horizon_s=horizon_s)
        print(f"\n{title}: {own['deployment'].nunique()} deployments of {own['service'].nunique()} services")
        for level in (0.05, 0.01):
            line = [
                f"right {share_below(own, {name: [name] for name in identifier.services}, level)}",
                f"swapped {share_below(own, others, level)}",
                f"swapped with a relative {share_below(own, near, level)}",
            ]
            for what, samples in (("unknown kinds", not_known), ("miners", mining)):
                if samples is not None and len(samples):
                    p_values = claim_p_values(identifier, samples, horizon_s=horizon_s)
                    claims = dict.fromkeys(p_values["service"], identifier.services)
                    line.append(f"{what} ({len(p_values)}) {share_below(p_values, claims, level)}")
                    if what == "miners":
                        told = [
                            pair in like_miners
                            for pair in zip(p_values["service"], p_values["deployment"], strict=True)
                        ]
                        line += [
                            f"one in a fleet at {rate} {score_guests(own, p_values, rate)}" for rate in (0.05, 0.2)
                        ]
                        p_values.loc[told, list(identifier.services)] = 0.0
                        line.append(f"or miner-like {share_below(p_values, claims, level)}")
            print(f"  p <= {level}: " + ", ".join(line))
        for replicas in (1, 3):
            for swapped, rate in ((0, 0.05), (1, 0.05), (0.05, 0.05), (0.1, 0.05), (0, 0.2), (1, 0.2), (0.05, 0.2)):
                scores = score_claims(own, swapped=swapped, replicas=replicas, rate=rate)
                print(
                    f"  fleet at {rate}, {replicas} replicas, swapped {swapped:g}: found {scores['found']}, "
                    f"false {scores['false'].value:.4f} [{scores['false'].low:.4f}, {scores['false'].high:.4f}]"
                )


if __name__ == "__main__":
    main()


FloatArray = NDArray[np.float64]
#: Fleets drawn for each line.
DRAWS = 200


def claim_p_values(identifier: Identifier, samples: pd.DataFrame, *, horizon_s: float | None = None) -> pd.DataFrame:
    """Test every claim of every container.

    Parameters
    ----------
    identifier : Identifier
        That gives p-values.
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``.
    horizon_s : float, optional
        As for :meth:`podlab.Identifier.identify`.

    Returns
    -------
    DataFrame
        One row for each container of which something is seen: ``service, deployment``, and the p-value of each service
        by its name.
    """
    names = ["pod_uid", "container", "service", "deployment"]
    labels = {
        (uid, container): (service, deployment)
        for uid, container, service, deployment in samples[names].drop_duplicates().itertuples(index=False, name=None)
    }
    rows = []
    for each in identifier.identify(samples, horizon_s=horizon_s, p_values=True):
        if each.p_values:
            service, deployment = labels[each.pod_uid, each.container]
            rows.append({"service": service, "deployment": deployment, **each.p_values})
    return pd.DataFrame(rows, columns=["service", "deployment", *identifier.services])


def score_claims(
    p_values: pd.DataFrame, *, swapped: float | int = 1, replicas: int = 1, rate: float = MISMATCH_RATE,
    draws: int = DRAWS, seed: int = 0,
) -> dict[str, Estimate]:  # fmt: skip
    """Score fleets of rightly claimed containers, some of which get another's claim.

    Parameters
    ----------
    p_values : DataFrame
        From :func:`claim_p_values`, of known services.
    swapped : float or int
        How many claims are swapped: their number, or if below 1 their share.
    replicas : int
        Containers of one service that are taken for one workload; those of a service that are left over form a smaller
        one. They are of different deployments, so their errors correlate less than those of real replicas.
    rate : float
        The false discovery rate.
    draws : int
        Fleets.

    Returns
    -------
    dict of str to Estimate
        ``found``, the share of swapped claims that are a mismatch, and ``false``, the share of right ones.
    """
    rng = np.random.default_rng(seed)
    services = [str(name) for name in p_values.columns[2:]]
    matrix = p_values[services].to_numpy(np.float64)
    truth = np.array([services.index(name) for name in p_values["service"]], dtype=np.intp)
    found: list[tuple[int, bool]] = []
    false: list[tuple[int, bool]] = []
    for _ in range(draws):
        groups = _group(truth, replicas, rng)
        count = round(swapped * len(groups)) if swapped < 1 else int(swapped)
        wrong = set(rng.choice(len(groups), max(count, 1) if swapped else 0, replace=False).tolist())
        claims = [truth[group[0]] for group in groups]
        for number in wrong:
            claims[number] = rng.choice([n for n in range(len(services)) if n != claims[number]])
        together = [combine_p_values(matrix[g, c].tolist()) for g, c in zip(groups, claims, strict=True)]
        for number, is_mismatch in enumerate(adjust_p_values(together) <= rate):
            (found if number in wrong else false).append((int(groups[number][0]), bool(is_mismatch)))
    return {"found": _estimate(found, p_values, seed), "false": _estimate(false, p_values, seed)}


def score_guests(own: pd.DataFrame, guests: pd.DataFrame, rate: float) -> Estimate:
    """Give the share of claims of one guest that are a mismatch in a fleet of rightly claimed containers.

    Both tables are from :func:`claim_p_values`; the first has the fleet. ``rate`` is the false discovery rate.
    """
    right = [row[row["service"]] for _, row in own.iterrows()]
    found = [
        np.mean([adjust_p_values([*right, p])[-1] <= rate for p in row.to_numpy(np.float64)])
        for _, row in guests[list(guests.columns[2:])].iterrows()
    ]
    return _mean(np.array(found), guests["deployment"].tolist(), seed=0)


def _group(truth: NDArray[np.intp], replicas: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    groups: list[NDArray[np.intp]] = []
    for service in np.unique(truth):
        own = rng.permutation(np.flatnonzero(truth == service))
        groups += [own[begin : begin + replicas] for begin in range(0, own.size, replicas)]
    return groups


def _estimate(cases: Sequence[tuple[int, bool]], p_values: pd.DataFrame, seed: int) -> Estimate:
    if not cases:
        return Estimate(float("nan"), float("nan"), float("nan"))
    each = pd.DataFrame(cases, columns=["row", "yes"]).groupby("row")["yes"].mean()
    return _mean(each.to_numpy(np.float64), p_values["deployment"].iloc[each.index].tolist(), seed)


def _mean(values: FloatArray, units: Sequence[str], seed: int) -> Estimate:
    """Take the mean and its interval over deployments: of all services together, since some have one only."""
    if set(values) <= {0.0} or set(values) <= {1.0}:
        return wilson(float(values[0]), len(set(units)))
    return mean_interval(values, units, ["all"] * len(units), seed=seed)


def share_below(p_values: pd.DataFrame, claims: Mapping[str, Sequence[str]], level: float) -> Estimate:
    """Give the share of tests of single containers with a p-value of at most ``level``.

    Parameters
    ----------
    p_values : DataFrame
        From :func:`claim_p_values`.
    claims : mapping of str to sequence of str
        Which services the containers of a service claim to run.
    level : float
        0 to 1.
    """
    rows, units = [], []
    for _, row in p_values.iterrows():
        own = [float(row[claim]) for claim in claims.get(row["service"], ()) if claim in p_values]
        if own:
            rows.append(float(np.mean(np.array(own) <= level)))
            units.append(row["deployment"])
    if not rows:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return _mean(np.array(rows), units, seed=0)
