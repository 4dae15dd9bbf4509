"""Confounding: whether something other than the service makes deployments similar.

Two questions, because either alone misleads. *Visible*: do nearest neighbours of different services share a property
(load, version, time, co-located containers) more often than by chance? A load is meant to be visible, so that an excess
there is no fault by itself. *Tied*: does the service explain the property? Only a property that is both can be learned
instead of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]
from scipy.stats import false_discovery_control  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler

from podlab.arrays import FloatArray, IntArray
from podlab.audit.windows import WindowTable
from podlab.data.draws import KNOB_PREFIX
from podlab.data.samples import INSTANCE_KEY

#: Nearer to each other than this part of what is usual, two deployments may be one, recorded twice.
SUSPICIOUS: Final = 0.1


def distances(X: pd.DataFrame) -> FloatArray:
    """Measure the distances between deployments.

    Parameters
    ----------
    X : DataFrame (n_deployments, n_features)

    Returns
    -------
    array of float64 (n_deployments, n_deployments)
        Euclidean distance of standardised features, divided by the square root of their number, so that 1 is one
        standard deviation in each of them. A missing value stands at the mean, and a constant feature counts for
        nothing. A deployment is infinitely far from itself.
    """
    scaler = StandardScaler()
    Z = np.nan_to_num(scaler.fit_transform(X.to_numpy(np.float64)))
    # Levels are logarithms kept as float32: less spread than this is rounding.
    Z = Z[:, np.sqrt(scaler.var_) > 1e-6]
    found = cdist(Z, Z) / np.sqrt(max(1, Z.shape[1]))
    np.fill_diagonal(found, np.inf)
    return np.asarray(found)


def _nearest(apart: FloatArray, allowed: NDArray[np.bool_]) -> IntArray:
    """Find each one's nearest among those allowed (n, n) -> (n,), -1 where there is none."""
    reach = np.where(allowed, apart, np.inf)
    return np.where(np.isfinite(reach.min(axis=1)), reach.argmin(axis=1), -1)


def nearest_pairs(windows: WindowTable) -> pd.DataFrame:
    """Find each deployment's nearest neighbour, the most similar pairs first.

    Returns
    -------
    DataFrame (n_deployments,)
        ``deployment``, ``service``, ``neighbour``, ``neighbour's service``, ``distance``, ``times the usual``
        (of the median of all these distances), ``same service``, and ``suspicious``: nearer than :data:`SUSPICIOUS`
        times the usual.
    """
    apart = distances(windows.X)
    best, distance = apart.argmin(axis=1), apart.min(axis=1)
    usual = np.median(distance)
    table = windows.deployments[["deployment", "service"]].assign(
        **{
            "neighbour": windows.deployments["deployment"].to_numpy(object)[best],
            "neighbour's service": windows.services[best],
            "distance": distance,
            "times the usual": distance / usual if usual > 0 else 0.0,
        }
    )
    table["same service"] = table["service"] == table["neighbour's service"]
    table["suspicious"] = table["times the usual"] < SUSPICIOUS
    return table.sort_values("distance", kind="stable", ignore_index=True)


def nearest_known(known: WindowTable, unknown: WindowTable) -> pd.DataFrame:
    """Find which known service each unknown one is most like.

    Parameters
    ----------
    known, unknown : WindowTable
        Of the same window.

    Returns
    -------
    DataFrame
        One line per unknown service: ``service``, ``deployments``, ``most like`` (the known service that most of its
        deployments have for their nearest), ``of them %`` (how many have), and ``times the usual``: the median
        distance to the nearest known deployment, by the median among known ones.
    """
    count = len(known.X)
    apart = distances(pd.concat([known.X, unknown.X], join="inner"))[:, :count]
    distance = apart.min(axis=1)
    usual = float(np.median(distance[:count]))
    like = known.services[apart[count:].argmin(axis=1)]
    own = pd.DataFrame({"service": unknown.services, "like": like, "distance": distance[count:]}).groupby("service")
    described = pd.DataFrame(
        {
            "deployments": own.size(),
            "most like": own["like"].agg(lambda like: like.value_counts().index[0]),
            "of them %": own["like"].agg(lambda like: 100 * float(like.value_counts(normalize=True).iloc[0])),
            "times the usual": own["distance"].median() / usual if usual > 0 else float("nan"),
        }
    )
    return described.reset_index()


#: Containers seen within one bin run at once.
BIN_S: Final = 10.0
_HOST: Final = ["cluster", "node"]


def host_load(samples: pd.DataFrame) -> pd.DataFrame:
    """Measure how busy each machine was.

    Parameters
    ----------
    samples : DataFrame
        A samples table of all that was recorded at the time; what nobody sampled, such as load clients, is not in it.

    Returns
    -------
    DataFrame
        One line per machine and :data:`BIN_S` seconds in which any container was seen: ``cluster``, ``node``, ``bin``
        (its first instant), ``containers``, and ``cores`` used by all of them (0 where processor time is unknown).
    """
    by_bin = _bins(samples).groupby([*_HOST, "bin"], dropna=False)
    load: pd.DataFrame = by_bin.agg(containers=("code", "size"), cores=("cores", "sum")).reset_index()
    return load


def cores_used(samples: pd.DataFrame) -> pd.Series:
    """Give the cores that each row's container used since its row before, or at that instant; missing if unknown."""
    cores: pd.Series = pd.Series(float("nan"), index=samples.index)
    if "cpu_usage_core_nanoseconds" in samples:
        by_container = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False)
        used_ns = by_container["cpu_usage_core_nanoseconds"].diff().astype("Float64").astype("float64")
        step_s = by_container["time"].diff().dt.total_seconds()
        cores = cores.mask(used_ns >= 0, used_ns / 1e9 / step_s.where(step_s > 0))
    if "cpu_usage_nanocores" in samples:
        cores = cores.fillna(samples["cpu_usage_nanocores"] / 1e9)
    return cores


def _bins(samples: pd.DataFrame) -> pd.DataFrame:
    """One line per container and bin: identity, ``code`` (the container's number), ``bin``, ``cores``."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    instants = samples["time"].dt.floor(f"{BIN_S:g}s")
    table = pd.DataFrame({"code": code, "bin": instants, "cores": cores_used(samples)})
    # Where no row says on which machine it was, all were on one.
    identity = samples.reindex(columns=[*INSTANCE_KEY, "node"]).assign(code=code).drop_duplicates("code")
    bins = table.groupby(["code", "bin"])["cores"].mean().reset_index()
    return bins.merge(identity, on="code")


def surroundings(samples: pd.DataFrame, deployments: pd.DataFrame) -> pd.DataFrame:
    """Measure what ran next to each deployment during its window.

    Parameters
    ----------
    samples : DataFrame
        As for :func:`host_load`.
    deployments : DataFrame (n_deployments,)
        Of a :class:`podlab.audit.windows.WindowTable`: identity, ``begin`` and ``end``.

    Returns
    -------
    DataFrame (n_deployments,)
        ``co-located containers`` and ``co-located cores``: means over the window; missing without a row in it.
        Aligned to ``deployments``.
    """
    bins = _bins(samples)
    totals = bins.groupby([*_HOST, "bin"], dropna=False).agg(all=("code", "size"), all_cores=("cores", "sum"))
    own = deployments[[*INSTANCE_KEY, "begin", "end"]].assign(position=range(len(deployments)))
    seen = bins.merge(own, on=list(INSTANCE_KEY)).merge(totals, on=[*_HOST, "bin"])
    seen = seen[(seen["bin"] + pd.Timedelta(seconds=BIN_S) > seen["begin"]) & (seen["bin"] < seen["end"])]
    seen["co-located containers"] = seen["all"] - 1.0
    seen["co-located cores"] = (seen["all_cores"] - seen["cores"]).clip(lower=0.0)
    means = seen.groupby("position")[["co-located containers", "co-located cores"]].mean()
    return means.reindex(range(len(deployments))).set_index(deployments.index)


#: Two numbers are close if they differ by no more than this share of all pairs of different services do.
CLOSE_SHARE: Final = 0.1
#: What deployments may share apart from the service, and its column. All of it is drawn, or made, without
#: regard to the service.
_WORDS: Final[dict[str, str]] = {
    "load pattern": "load",
    "site": "site",
    "Debian release": "release",
    "configuration number": "configuration number",
    "version number": "version number",
    "data in volume or layer": "data_in",
    "launcher": "launcher",
    "earlier run": "earlier_run",
    "page cache": "page_cache",
    "open or closed loop": "closed_loop",
    "start of load": "load_begins",
    "means of probing": "probe_by",
}
#: The same of numbers.
_NUMBERS: Final[dict[str, str]] = {
    "profile number": "profile number",
    "CPU limit": "cpu_limit_cores",
    "payload": "payload_bytes",
    "connections": "connections",
    "keys": "keys",
    "share of reads": "read_share",
    "time to the load": "start_delay_s",
    "time between probes": "probe_period_s",
    "run time": "seconds",
}
#: A knob that fewer services have is theirs alone.
_FEWEST_SERVICES: Final = 3
#: Kinds of pairs: each deployment's nearest neighbour of another service; its nearest of all, where that is wrong.
ANOTHER: Final = "nearest of another service"
WRONG: Final = "misclassified by 1-NN"
#: The two questions.
VISIBLE: Final = "shared by nearest neighbours of different services"
TIED: Final = "explained by the service"
#: Share of what is reported as outside of chance that may be there by chance.
FALSE_SHARE: Final = 0.05


def circumstances(windows: WindowTable, everything: pd.DataFrame) -> pd.DataFrame:
    """List what deployments may share apart from the service.

    Parameters
    ----------
    everything : DataFrame
        Samples of all that was recorded at the time, for co-located containers.

    Returns
    -------
    DataFrame (n_deployments, n_circumstances)
        Texts and numbers, missing where unknown: load pattern, site, number of profile (or configuration) and version,
        where data lie, limits, load and knobs as they were drawn, start time and co-located containers; without those
        that are the same everywhere. The rate of the load and the memory limit are left out: they are multiples of
        what a service needs.
    """
    described = windows.deployments
    if "data_in" in described:  # whether a service keeps any data is its own
        described = described.assign(data_in=described["data_in"].where(described["data_in"] != "none"))
    words = {name: described[column] for name, column in _WORDS.items() if column in described}
    found: dict[str, pd.Series] = {name: own.astype("str").where(own.notna()) for name, own in words.items()}
    found |= {name: described[column].astype("float64") for name, column in _NUMBERS.items() if column in described}
    for name in described:
        if str(name).startswith(KNOB_PREFIX):
            own = described[name]
            if described.loc[own.notna(), "service"].nunique() >= _FEWEST_SERVICES:
                found[str(name).replace(":", " ")] = own
    found["start time"] = (described["born"] - described["born"].min()).dt.total_seconds()
    table = pd.concat([pd.DataFrame(found), surroundings(everything, described)], axis=1)
    return table.loc[:, [len(own.dropna().unique()) > 1 for _, own in table.items()]]


def in_common(table: pd.DataFrame, services: pd.Series) -> pd.DataFrame:
    """Keep the numbers, and the texts that two services have in common: nothing else can be shared."""
    return table.loc[
        :, [is_numeric_dtype(own) or services.groupby(own).nunique().gt(1).any() for _, own in table.items()]
    ]


@dataclass(frozen=True)
class Confounding:
    """What the tests found in all windows."""

    #: From :func:`visible` and :func:`tied`.
    visible: pd.DataFrame
    tied: pd.DataFrame

    def outside_of_chance(self) -> pd.DataFrame:
        """List what nearest neighbours share, or goes with the service, more often than chance has it.

        Of so many tests some lie outside of any interval by chance alone. So at most :data:`FALSE_SHARE` of those
        listed for either question are expected to be there by chance (Benjamini and Hochberg 1995, "Controlling the
        false discovery rate", Journal of the Royal Statistical Society B 57:289-300).

        Returns
        -------
        DataFrame
            ``property``, ``window``, ``asked`` (:data:`VISIBLE` or :data:`TIED`), ``observed``, ``chance``, ``low``,
            ``high`` and ``p``; the properties for which both are true first.
        """
        asked = {VISIBLE: self.visible[self.visible["pairs"] == ANOTHER], TIED: self.tied}
        columns = ["property", "window", "asked", "observed", "chance", "low", "high", "p"]
        listed = [
            table.assign(asked=question).loc[false_discovery_control(table["p"]) <= FALSE_SHARE, columns]
            for question, table in asked.items()
        ]
        found = pd.concat(listed, ignore_index=True)
        both = found.groupby(["property", "window"])["asked"].transform("nunique")
        order = ["both", "property", "window"]
        ordered: pd.DataFrame = found.assign(both=both).sort_values(order, ascending=[False, True, True], kind="stable")
        return ordered.drop(columns="both").reset_index(drop=True)


def audit_confounding(
    by_window: Mapping[str, WindowTable], everything: pd.DataFrame, *, permutations: int = 2000, seed: int = 0
) -> Confounding:
    """Ask both questions in each window.

    ``by_window`` is from :func:`podlab.audit.windows.cut_windows`; the other parameters are those of
    :func:`circumstances` and :func:`visible`.
    """
    asked = [
        (windows, in_common(circumstances(windows, everything), windows.deployments["service"]))
        for windows in by_window.values()
    ]
    return Confounding(*(
        pd.concat([test(*each, permutations=permutations, seed=seed) for each in asked], ignore_index=True)
        for test in (visible, tied)
    ))  # fmt: skip


_TESTED: Final = ("number", "observed", "chance", "low", "high", "p")


def visible(windows: WindowTable, table: pd.DataFrame, *, permutations: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Test whether nearest neighbours of different services share a circumstance.

    Each deployment's nearest neighbour among those of other services is found in the space of features; and, as a
    classifier by nearest neighbour would meet it, the nearest of all where that is of another service (``wrong``).
    Chance is what the same pairs share when each service's values are permuted among its deployments: how often a
    value occurs with each service stays as it is, and only its tie to the features is cut.

    Parameters
    ----------
    table : DataFrame (n_deployments, n_circumstances)
        From :func:`circumstances`.
    permutations : int
        Number of permutations.
    seed : int
        The same arguments give the same table.

    Returns
    -------
    DataFrame
        One line per kind of pair and circumstance: ``window``, ``property``, ``pairs`` (:data:`ANOTHER` or
        :data:`WRONG`), ``number`` of pairs in which both values are known, ``observed`` (share of these that agree),
        ``chance``, ``low`` and ``high`` (95 % interval of chance), ``p`` (of so large a share or a larger one by
        chance).
    """
    other = windows.services[:, None] != windows.services[None, :]
    permuted = _permute_within(windows.services, permutations, seed)
    apart = distances(windows.X)
    best = _nearest(apart, np.isfinite(apart))
    wrong = np.where(other[np.arange(best.size), best], best, -1)
    rows = []
    for kind, near in {ANOTHER: _nearest(apart, other), WRONG: wrong}.items():
        here = np.flatnonzero(near >= 0)
        there = near[here]
        for name, values in table.items():
            numbers, reach = _as_numbers(values, other)
            observed = float(_share(numbers, reach, here, there))
            drawn = _share(numbers, reach, permuted[:, here], permuted[:, there])
            drawn = drawn[np.isfinite(drawn)]
            if np.isfinite(observed) and drawn.size:
                number = int(np.isfinite(numbers[here] + numbers[there]).sum())
                about = {"window": windows.name, "property": name, "pairs": kind, "number": number}
                rows.append(about | _compare_with_chance(observed, drawn))
    return pd.DataFrame(rows, columns=["window", "property", "pairs", *_TESTED])


def tied(windows: WindowTable, table: pd.DataFrame, *, permutations: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Test whether the service explains a circumstance.

    Returns
    -------
    DataFrame
        One line per circumstance: ``window``, ``property``, ``number`` of deployments, ``observed`` (share of its
        variance that the service explains, see :func:`explained_share`), ``chance``, ``low``, ``high`` and ``p`` as in
        :func:`visible`, chance being values permuted over all deployments.
    """
    rows = []
    for name, values in table.items():
        known = values.notna().to_numpy()
        services = pd.factorize(windows.services[known])[0]
        coded = values[known].rank() if is_numeric_dtype(values) else pd.get_dummies(values[known])
        numbers = np.asarray(coded, dtype=np.float64).reshape(len(services), -1)
        rng = np.random.default_rng(seed)
        drawn = [explained_share(services, rng.permutation(numbers)) for _ in range(permutations)]
        found = _compare_with_chance(explained_share(services, numbers), np.array(drawn))
        rows.append({"window": windows.name, "property": name, "number": len(services)} | found)
    return pd.DataFrame(rows, columns=["window", "property", *_TESTED])


def explained_share(groups: IntArray, values: FloatArray) -> float:
    """Give the share of the variance of values that groups explain (eta squared), 0 to 1.

    For words, give one column of 0 and 1 for each word: that is Goodman and Kruskal's tau (1954, "Measures of
    association for cross classifications", JASA 49:732-764). ``groups`` (n,) are numbers from 0, each of them given at
    least once; squares are summed over the columns of ``values`` (n, n_columns).
    """
    count = np.bincount(groups)
    centred = values - values.mean(axis=0)
    total = float(np.square(centred).sum())
    if total == 0:
        return 0.0
    between = sum(float((np.bincount(groups, weights=column) ** 2 / count).sum()) for column in centred.T)
    return between / total


def _as_numbers(values: pd.Series, other: NDArray[np.bool_]) -> tuple[FloatArray, float]:
    """Give values as numbers (words by code; NaN missing), and how far apart two may be to count as shared."""
    if not is_numeric_dtype(values):
        codes = pd.factorize(values)[0]
        return np.where(codes < 0, np.nan, codes), 0.0
    numbers = values.to_numpy(np.float64)
    return numbers, float(np.nanquantile(np.abs(numbers[:, None] - numbers[None, :])[other], CLOSE_SHARE))


def _share(numbers: FloatArray, reach: float, here: IntArray, there: IntArray) -> FloatArray:
    """Share of pairs (..., n_pairs) that agree, among those whose values are known; NaN without any (...)."""
    apart = np.abs(numbers[here] - numbers[there])
    known = np.isfinite(apart).sum(axis=-1)
    # What is missing is NaN, and so not within reach.
    return np.asarray((apart <= reach).sum(axis=-1) / np.where(known > 0, known, np.nan))


def _compare_with_chance(observed: float, drawn: FloatArray) -> dict[str, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    # Rounding must not make equal shares differ.
    p = (1 + int((drawn >= observed - 1e-12).sum())) / (1 + drawn.size)
    return {"observed": observed, "chance": float(drawn.mean()), "low": float(low), "high": float(high), "p": p}


def _permute_within(services: NDArray[np.object_], permutations: int, seed: int) -> IntArray:
    """Whose value each deployment gets in each permutation, from its own service (permutations, n_deployments)."""
    rng = np.random.default_rng(seed)
    permuted = np.empty((permutations, services.size), dtype=np.int64)
    for service in sorted(set(services)):
        own = np.flatnonzero(services == service)
        permuted[:, own] = own[rng.random((permutations, own.size)).argsort(axis=1)]
    return permuted
