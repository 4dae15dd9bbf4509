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
from scipy.stats import false_discovery_control  # type: ignore[import-untyped]

from podlab.audit.contents import surroundings
from podlab.audit.windows import WindowTable
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.data.draws import KNOB_PREFIX
from podlab.features.rows import FloatArray

#: Nearer to each other than this part of what is usual, two deployments may be one, recorded twice.
SUSPICIOUS: Final = 0.1


def distances(windows: WindowTable) -> FloatArray:
    """Measure the distances between deployments.

    Returns
    -------
    array of float64 (n_deployments, n_deployments)
        Euclidean distance of standardised features, divided by the square root of their number, so that 1 is one
        standard deviation in each of them. A missing value stands at the mean, and a constant feature counts for
        nothing. A deployment is infinitely far from itself.
    """
    seen = ~np.isnan(windows.X)
    X = np.where(seen, windows.X, 0.0).astype(np.float64)
    count = np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, X - X.sum(axis=0) / count, 0.0)
    spread = np.sqrt(np.square(centred).sum(axis=0) / count)
    # Levels are logarithms kept as float32: less spread than this is rounding.
    varied = spread > 1e-6
    Z = centred[:, varied] / spread[varied]
    squares = np.square(Z).sum(axis=1)
    found = squares[:, None] + squares[None, :] - 2 * Z @ Z.T
    np.fill_diagonal(found, np.inf)
    return np.asarray(np.sqrt(found.clip(0) / max(1, Z.shape[1])))


def nearest(found: FloatArray, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find each one's nearest among those allowed (n, n) -> (n,), -1 where there is none."""
    reach = np.where(allowed, found, np.inf)
    best = reach.argmin(axis=1)
    return np.where(np.isfinite(reach[np.arange(len(reach)), best]), best, -1)


def nearest_pairs(windows: WindowTable) -> pd.DataFrame:
    """Find each deployment's nearest neighbour, the most similar pairs first.

    Returns
    -------
    DataFrame (n_deployments,)
        ``deployment``, ``service``, ``neighbour``, ``neighbour's service``, ``distance``, ``times the usual``
        (of the median of all these distances), ``same service``, and ``suspicious``: nearer than :data:`SUSPICIOUS`
        times the usual.
    """
    found = distances(windows)
    best = nearest(found, np.isfinite(found))
    names = windows.deployments["deployment"].to_numpy(object)
    distance = found[np.arange(len(best)), best]
    usual = float(np.median(distance))
    relative = distance / usual if usual > 0 else np.zeros(distance.size)
    table = pd.DataFrame(
        {
            "deployment": names,
            "service": windows.services,
            "neighbour": names[best],
            "neighbour's service": windows.services[best],
            "distance": distance,
            "times the usual": relative,
            "same service": windows.services == windows.services[best],
            "suspicious": relative < SUSPICIOUS,
        }
    )
    return table.sort_values("distance", kind="stable", ignore_index=True)


def nearest_known(known: WindowTable, unknown: WindowTable) -> pd.DataFrame:
    """Tell which known service each unknown one is most like.

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
    names = [name for name in known.names if name in unknown.names]
    columns = [[windows.names.index(name) for name in names] for windows in (known, unknown)]
    X = np.vstack([known.X[:, columns[0]], unknown.X[:, columns[1]]])
    both = WindowTable(
        known.name, X, tuple(names), pd.concat([known.deployments, unknown.deployments], ignore_index=True)
    )
    found = distances(both)
    is_known = np.arange(len(X)) < len(known.X)
    allowed = np.isfinite(found) & is_known[None, :]
    best = nearest(found, allowed)
    distance = found[np.arange(best.size), best]
    table = pd.DataFrame({"service": both.services, "like": both.services[best], "distance": distance})[~is_known]
    usual = float(np.median(distance[is_known]))
    by_service = table.groupby("service")
    described = pd.DataFrame(
        {
            "deployments": by_service.size(),
            "most like": by_service["like"].agg(lambda like: like.value_counts().index[0]),
            "of them %": by_service["like"].agg(lambda like: 100 * float(like.value_counts(normalize=True).iloc[0])),
            "times the usual": by_service["distance"].median() / usual if usual > 0 else float("nan"),
        }
    )
    return described.reset_index()


#: Two numbers are close if they differ by no more than this share of all pairs of different services do.
CLOSE_SHARE: Final = 0.1
#: Features in which neighbours are sought, by family: all, those that measure load, and those that hardly do.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "all": ("cpu", "memory", "filesystem", "volume", "network", "io", "processes", "pressure"),
    "CPU, network, I/O": ("cpu", "network", "io", "pressure"),
    "memory, filesystem, volume": ("memory", "filesystem", "volume"),
    "processes": ("processes",),
}
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
#: The same of numbers, with their units.
_NUMBERS: Final[dict[str, tuple[str, str]]] = {
    "profile number": ("profile number", ""),
    "CPU limit": ("cpu_limit_cores", "cores"),
    "payload": ("payload_bytes", "bytes"),
    "connections": ("connections", ""),
    "keys": ("keys", ""),
    "share of reads": ("read_share", ""),
    "time to the load": ("start_delay_s", "s"),
    "time between probes": ("probe_period_s", "s"),
    "run time": ("seconds", "s"),
}
#: A knob that fewer services have is theirs alone.
_FEWEST_SERVICES: Final = 3
_TESTED: Final = ("number", "shared", "chance", "low", "high", "excess", "p")
#: Kinds of pairs: each deployment's nearest neighbour of another service; its nearest of all, where that is wrong.
ANOTHER: Final = "nearest of another service"
WRONG: Final = "misclassified by 1-NN"
#: The two questions.
VISIBLE: Final = "shared by nearest neighbours of different services"
TIED: Final = "explained by the service"
#: Share of what is reported as outside of chance that may be there by chance.
FALSE_SHARE: Final = 0.05


@dataclass(frozen=True)
class Property:
    """Something that deployments may share apart from the service.

    Attributes
    ----------
    name : str
        Such as ``load pattern``.
    series : Series (n_deployments,)
        Words or numbers, missing where unknown.
    unit : str
        Of numbers.
    """

    name: str
    series: pd.Series
    unit: str = ""

    @property
    def is_number(self) -> bool:
        """Whether values can be close instead of equal."""
        return pd.api.types.is_numeric_dtype(self.series)


def properties_of(windows: WindowTable, co_located: pd.DataFrame, *, in_common: bool = True) -> list[Property]:
    """List what deployments may share.

    Parameters
    ----------
    windows : WindowTable
    co_located : DataFrame (n_deployments,)
        From :func:`podlab.audit.contents.surroundings`.
    in_common : bool
        Only what two services have in common: nothing else can be shared by windows-alikes.

    Returns
    -------
    list of Property
        Load pattern, site, number of profile (or configuration) and version, where data lie, limits, load and knobs as
        they were drawn, start time and co-located containers; without those that are unknown. The rate of the load and
        the memory limit are left out: they are multiples of what a service needs.
    """
    described = windows.deployments
    start_s = (described["born"] - described["born"].min()).dt.total_seconds()
    # Whether a service keeps any data is its own.
    described = (
        described.assign(data_in=described["data_in"].where(described["data_in"] != "none"))
        if "data_in" in described
        else described
    )
    possible = [Property(name, _as_words(described[column])) for name, column in _WORDS.items() if column in described]
    possible += [
        Property(name, described[column].astype("float64"), unit)
        for name, (column, unit) in _NUMBERS.items()
        if column in described
    ]
    possible += [Property(column.replace(":", " "), described[column]) for column in _common_knobs(described)]
    possible += [
        Property("start time", start_s, "s"),
        Property("co-located containers", co_located["co-located containers"], "containers"),
        Property("co-located cores", co_located["co-located cores"], "cores"),
    ]
    return [each for each in possible if _varies(each, described["service"] if in_common else None)]


def _as_words(values: pd.Series) -> pd.Series:
    return values.astype("str").where(values.notna())


def _common_knobs(described: pd.DataFrame) -> list[str]:
    """Name the knobs that several services have."""
    knobs = [str(column) for column in described if str(column).startswith(KNOB_PREFIX)]
    return [knob for knob in knobs if described.loc[described[knob].notna(), "service"].nunique() >= _FEWEST_SERVICES]


@dataclass(frozen=True)
class Confounding:
    """What the tests found in all windows.

    Attributes
    ----------
    visible, tied : DataFrame
        From :func:`visible` and :func:`tied`.
    """

    visible: pd.DataFrame
    tied: pd.DataFrame

    def outside_of_chance(self) -> pd.DataFrame:
        """List what is shared by windows-alikes, or goes with the service, more often than chance has it.

        Of so many tests some lie outside of any interval by chance alone. So at most :data:`FALSE_SHARE` of those
        listed for either question are expected to be there by chance (Benjamini and Hochberg 1995, "Controlling the
        false discovery rate", Journal of the Royal Statistical Society B 57:289-300).

        Returns
        -------
        DataFrame
            ``property``, ``window``, ``asked`` (:data:`VISIBLE` or :data:`TIED`), ``observed``, ``chance``, ``low``,
            ``high`` and ``p``; the properties for which both are true first.
        """
        asked = (
            self.visible[(self.visible["features"] == "all") & (self.visible["pairs"] == ANOTHER)]
            .rename(columns={"shared": "observed"})
            .assign(asked=VISIBLE),
            self.tied.rename(columns={"explained": "observed"}).assign(asked=TIED),
        )
        columns = ["property", "window", "asked", "observed", "chance", "low", "high", "p"]
        found = pd.concat(
            [table.loc[false_discovery_control(table["p"]) <= FALSE_SHARE, columns] for table in asked],
            ignore_index=True,
        )
        both = found.groupby(["property", "window"])["asked"].transform("nunique")
        ordered: pd.DataFrame = found.assign(both=both).sort_values(
            ["both", "property", "window"], ascending=[False, True, True], kind="stable", ignore_index=True
        )
        return ordered.drop(columns="both")


def audit_confounding(
    by_window: Mapping[str, WindowTable], everything: pd.DataFrame, *, permutations: int = 2000, seed: int = 0
) -> Confounding:
    """Ask both questions in each window.

    Parameters
    ----------
    by_window : mapping of str to WindowTable
        From :func:`podlab.audit.windows.cut_windows`.
    everything : DataFrame
        Samples of all that was recorded at the time, for co-located containers.
    permutations, seed
        As for :func:`visible`.
    """
    how = {"permutations": permutations, "seed": seed}
    listed = [
        (windows, properties_of(windows, surroundings(everything, windows.deployments)))
        for windows in by_window.values()
    ]
    return Confounding(
        visible=pd.concat([visible(windows, properties, **how) for windows, properties in listed], ignore_index=True),
        tied=pd.concat([tied(windows, properties, **how) for windows, properties in listed], ignore_index=True),
    )


def _varies(found: Property, services: pd.Series | None) -> bool:
    if len(found.series.dropna().unique()) < 2:
        return False
    return found.is_number or services is None or bool(services.groupby(found.series).nunique().gt(1).any())


def visible(
    windows: WindowTable, properties: list[Property], *, permutations: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Test whether nearest neighbours of different services share a property.

    Each deployment's nearest neighbour among those of other services is found in the space of features; and, as a
    classifier by nearest neighbour would meet it, the nearest of all where that is of another service (``wrong``).
    Chance is what the same pairs share when each service's values are permuted among its deployments: how often a
    property occurs with each service stays as it is, and only its tie to the features is cut.

    Parameters
    ----------
    windows : WindowTable
    properties : list of Property
        From :func:`properties_of`.
    permutations : int
        Number of permutations.
    seed : int
        The same arguments give the same table.

    Returns
    -------
    DataFrame
        One line per entry of :data:`PARTS`, property and kind of pair: ``window``, ``features`` (the part),
        ``property``, ``pairs`` (their kind: :data:`ANOTHER`, and for all features :data:`WRONG`), ``number`` of pairs
        in which both values are known, ``shared`` (observed share), ``chance``, ``low`` and ``high`` (95 % interval
        of chance), ``excess`` (shared - chance), ``p`` (of so large a share or a larger one by chance) and ``close``
        (largest difference that counts as shared, in ``unit``; missing for words).
    """
    other = windows.services[:, None] != windows.services[None, :]
    permuted = _permute_within(windows.services, permutations, seed)
    likenesses = [_likeness(one, other) for one in properties]
    rows = []
    for part, families in PARTS.items():
        kept = windows.only(tuple(name for name in MEASURED_METRICS if CATALOGUE[name].family in families))
        for kind, pairs in _pairs(kept, other).items() if kept.names else ():
            if kind == WRONG and part != "all":
                continue
            for one, likeness in zip(properties, likenesses, strict=True):
                tested = _test(likeness, pairs, permuted)
                if tested:
                    about = {"window": windows.name, "features": part, "property": one.name, "pairs": kind}
                    close = likeness.reach if one.is_number else float("nan")
                    rows.append({**about, **tested, "close": close, "unit": one.unit})
    return pd.DataFrame(rows, columns=["window", "features", "property", "pairs", *_TESTED, "close", "unit"])


def _pairs(windows: WindowTable, other: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    """Pairs of deployments by their kind (n_pairs, 2)."""
    found = distances(windows)
    best = nearest(found, np.isfinite(found))
    wrong = np.where(other[np.arange(best.size), best], best, -1)
    to = {ANOTHER: nearest(found, other), WRONG: wrong}
    return {kind: np.column_stack([np.flatnonzero(near >= 0), near[near >= 0]]) for kind, near in to.items()}


def tied(windows: WindowTable, properties: list[Property], *, permutations: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Test whether the service explains a property.

    Returns
    -------
    DataFrame
        One line per property: ``property``, ``window``, ``number`` of deployments, ``explained`` (share of its
        variance that the service explains, see :func:`explained_share`), ``chance``, ``low``, ``high``, ``excess``
        and ``p`` as in :func:`visible`, chance being values permuted over all deployments.
    """
    rows = []
    for one in properties:
        known = one.series.notna().to_numpy()
        services = pd.factorize(windows.services[known])[0]
        coded = one.series[known].rank() if one.is_number else pd.get_dummies(one.series[known])
        numbers = np.asarray(coded, dtype=np.float64).reshape(len(services), -1)
        rng = np.random.default_rng(seed)
        drawn = [explained_share(services, rng.permutation(numbers)) for _ in range(permutations)]
        described = _compare_with_chance(explained_share(services, numbers), np.array(drawn))
        rows.append({"window": windows.name, "property": one.name, "number": len(services), **described})
    return pd.DataFrame(rows, columns=["window", "property", *_TESTED]).rename(columns={"shared": "explained"})


def explained_share(groups: NDArray[np.int64], values: FloatArray) -> float:
    """Tell the share of the variance of values that groups explain (eta squared), 0 to 1.

    For words, give one column of 0 and 1 for each word: that is Goodman and Kruskal's tau (1954, "Measures of
    association for cross classifications", JASA 49:732-764).

    Parameters
    ----------
    groups : array of int64 (n,)
        Numbers from 0, each of them given at least once.
    values : array (n, n_columns)
        Squares are summed over the columns.
    """
    count = np.bincount(groups)
    centred = values - values.mean(axis=0)
    total = float(np.square(centred).sum())
    if total == 0:
        return 0.0
    between = sum(float((np.bincount(groups, weights=column) ** 2 / count).sum()) for column in centred.T)
    return between / total


@dataclass(frozen=True)
class _Likeness:
    """Numbers (words by code; NaN missing), and how far apart two of them may be to count as shared."""

    numbers: FloatArray
    reach: float

    def share(self, here: NDArray[np.int64], there: NDArray[np.int64]) -> FloatArray:
        """Share of pairs (..., n_pairs) that agree, among those whose values are known; NaN without any (...)."""
        apart = np.abs(self.numbers[here] - self.numbers[there])
        known = np.isfinite(apart).sum(axis=-1)
        # What is missing is NaN, and so not within reach.
        return np.asarray((apart <= self.reach).sum(axis=-1) / np.where(known > 0, known, np.nan))


def _likeness(one: Property, other: NDArray[np.bool_]) -> _Likeness:
    if not one.is_number:
        codes = pd.factorize(one.series)[0]
        return _Likeness(np.where(codes < 0, np.nan, codes), 0.0)
    numbers = one.series.to_numpy(np.float64)
    apart = np.abs(numbers[:, None] - numbers[None, :])[other]
    return _Likeness(numbers, float(np.nanquantile(apart, CLOSE_SHARE)))


def _test(likeness: _Likeness, pairs: NDArray[np.int64], permuted: NDArray[np.int64]) -> dict[str, float]:
    """Compare what pairs (n_pairs, 2) share with what they share under each permutation; empty if nothing is known."""
    here, there = pairs.T
    observed = float(likeness.share(here, there))
    chance = likeness.share(permuted[:, here], permuted[:, there])
    chance = chance[np.isfinite(chance)]
    if not np.isfinite(observed) or not chance.size:
        return {}
    number = int(np.isfinite(likeness.numbers[pairs]).all(axis=1).sum())
    return {"number": number, **_compare_with_chance(observed, chance)}


def _compare_with_chance(observed: float, drawn: FloatArray) -> dict[str, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    chance = float(drawn.mean())
    # Rounding must not make equal shares differ.
    p = (1 + int((drawn >= observed - 1e-12).sum())) / (1 + drawn.size)
    interval = {"chance": chance, "low": float(low), "high": float(high)}
    return {"shared": observed, **interval, "excess": observed - chance, "p": p}


def _permute_within(services: NDArray[np.object_], permutations: int, seed: int) -> NDArray[np.int64]:
    """Whose value each deployment gets in each permutation, from its own service (permutations, n_deployments)."""
    rng = np.random.default_rng(seed)
    permuted = np.empty((permutations, services.size), dtype=np.int64)
    for service in sorted(set(services)):
        own = np.flatnonzero(services == service)
        permuted[:, own] = own[rng.random((permutations, own.size)).argsort(axis=1)]
    return permuted
