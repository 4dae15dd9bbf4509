"""One feature row per deployment, at its start and in its steady state: what the audit compares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.draws import join_draws
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.evaluation.dataset import split_variant
from podlab.features.features import extract_features, feature_names
from podlab.features.rows import observation_spans, read_rows
from podlab.features.windows import make_windows, series_of

#: From the container's start.
START_UP: Final = "start-up"
#: From the middle of what was seen of the container, never sooner than a window's length after its start.
STEADY_STATE: Final = "steady state"


@dataclass(frozen=True, repr=False)
class WindowTable:
    """One window of each deployment's first instance that shows it."""

    name: str  # :data:`START_UP` or :data:`STEADY_STATE`
    X: pd.DataFrame  # NaN where a series is missing (n_deployments, n_features)
    #: Identity and labels; ``load``, ``configuration``, ``configuration number`` or ``profile number``, and ``version
    #: number`` (see :func:`number_within`) where the labels give them; what was drawn for the deployment, where a table
    #: gives it; the window's ``begin`` and ``end`` as instants, and ``born``, the instant of the start
    #: (n_deployments,).
    deployments: pd.DataFrame

    def __repr__(self) -> str:
        return f"WindowTable({self.name!r}, {self.X.shape[0]:,} deployments, {self.X.shape[1]} features)"

    @property
    def services(self) -> NDArray[np.object_]:
        """Each deployment's service (n_deployments,)."""
        return self.deployments["service"].to_numpy(object)

    def only(self, columns: tuple[str, ...]) -> WindowTable:
        """Keep the features that can be made from these metric columns."""
        return replace(self, X=self.X.loc[:, self.X.columns.isin(feature_names(series_of(columns)))])


def cut_windows(
    samples: pd.DataFrame, *, length_s: float = 60.0, fewest_services: int = 2, draws: pd.DataFrame | None = None
) -> dict[str, WindowTable]:
    """Cut a window at the start and one in the steady state of every deployment, by every metric that was measured.

    Raises InputError if no label says which service or deployment a row is of, or no window is left.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``. Containers without either, and those with a row
        marked as ``anomaly``, are left out.
    length_s : float
        Length of the windows, in seconds.
    fewest_services : int
        A window that fewer services show is left out.
    draws : DataFrame, optional
        What was drawn for each deployment, from :func:`podlab.data.draws.find_draws`.

    Returns
    -------
    dict of str to WindowTable
        :data:`START_UP` and :data:`STEADY_STATE`, or one of them.
    """
    normal = _normal(samples)
    rows = read_rows(normal, metrics=MEASURED_METRICS)
    spans = observation_spans(rows)
    seen_first = normal.groupby(list(INSTANCE_KEY), dropna=False, sort=False)["time"].min().reset_index(drop=True)
    deployments = _describe(rows.containers, seen_first)
    if draws is not None:
        deployments = join_draws(deployments, draws)
    seen_from_s = np.where(spans.start_observed, 0.0, spans.first_s)
    middle_s = (seen_from_s + spans.until_s) / 2
    begins_s = {
        START_UP: np.where(spans.start_observed, 0.0, np.nan),
        STEADY_STATE: np.where(middle_s - seen_from_s >= length_s, middle_s, np.nan),
    }
    found = {}
    for name, begin_s in begins_s.items():
        windows = make_windows(rows, horizon_s=length_s, begin_s=np.nan_to_num(begin_s))
        begin = deployments["born"] + pd.to_timedelta(begin_s, unit="s")
        described = deployments.assign(begin=begin, end=begin + pd.Timedelta(seconds=length_s))
        # Replicas and later instances of one deployment are not independent of its first instance.
        shown = described[np.isfinite(begin_s) & windows.usable].sort_values("born", kind="stable")
        first = shown.drop_duplicates("deployment").index.sort_values()
        if described.loc[first, "service"].nunique() >= fewest_services:
            X = extract_features(windows).loc[first].reset_index(drop=True)
            found[name] = WindowTable(name, X, described.loc[first].reset_index(drop=True))
    if not found:
        what = f"fewer than {fewest_services} services were seen at the start or for {length_s:g} s of steady state"
        raise InputError(what, hint="give a recording of more services, or a shorter window")
    return found


def _normal(samples: pd.DataFrame) -> pd.DataFrame:
    for label in ("service", "deployment"):
        if label not in samples or samples[label].isna().all():
            raise InputError(f"no row has a {label}", hint="give a recording with its labels")
    kept = samples["service"].notna() & samples["deployment"].notna()
    if "anomaly" in samples:
        faulty = samples.loc[samples["anomaly"].fillna(False), "deployment"].unique()
        kept &= ~samples["deployment"].isin(faulty)
    if not kept.any():
        raise InputError("every labelled deployment has a fault", hint="give a recording of normal ones")
    return samples[kept].reset_index(drop=True)


def _describe(containers: pd.DataFrame, seen_first: pd.Series) -> pd.DataFrame:
    described = containers.assign(born=containers["started_at"].fillna(seen_first))
    if "variant" in described:
        described = described.assign(**split_variant(described["variant"]))
    if "profile" in described and described["profile"].notna().any():
        # Services have different numbers of profiles, so that the number itself would identify the service: places in
        # order, from 0 (a service's first) to 1 (its last).
        order = described.groupby("service")["profile"].rank(method="dense") - 1
        last = order.groupby(described["service"]).transform("max")
        described["profile number"] = order / last.where(last > 0)
    elif "configuration" in described:
        numbers = number_within(described["service"], described["configuration"], "configuration")
        described["configuration number"] = numbers
    if "version" in described:
        described["version number"] = number_within(described["service"], described["version"], "version")
    return described


def number_within(services: pd.Series, values: pd.Series, noun: str) -> pd.Series:
    """Replace each service's values by their numbers in order, versions by age: ``version 1 of 2``.

    Versions of different services have nothing in common but their age: the releases of one distribution make all
    of its services older or newer together. Of configurations the number is what a badly made matrix repeats.

    Parameters
    ----------
    services, values : Series (n,)
    noun : str
        What a value is.

    Returns
    -------
    Series of str (n,)
        Missing where a service has one value only, or none.

    Examples
    --------
    >>> number_within(pd.Series(["etcd", "etcd", "nginx"]), pd.Series(["3.5", "3.10", "1.22"]), "version").to_list()
    ['version 1 of 2', 'version 2 of 2', nan]
    """
    numbers = pd.Series(pd.NA, index=values.index, dtype="str")
    for _, own in values.dropna().groupby(services):
        names = sorted(own.unique(), key=_natural)
        if len(names) > 1:
            numbers.loc[own.index] = own.map({name: f"{noun} {n} of {len(names)}" for n, name in enumerate(names, 1)})
    return numbers


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Order ``9.1`` before ``10.2``: numbers by value, before words."""
    parts = text.replace("-", ".").replace("+", ".").split(".")
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
