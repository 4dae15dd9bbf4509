"""What else ran on the machine: how many containers at once, and how much processor they used."""

from __future__ import annotations

import pandas as pd

from podlab.data.samples import INSTANCE_KEY

#: Containers seen within one bin run at once.
BIN_S = 10.0
_HOST = ["cluster", "node"]


def host_load(samples: pd.DataFrame) -> pd.DataFrame:
    """Tell how busy each machine was.

    Parameters
    ----------
    samples : DataFrame
        A samples table of all that was recorded at the time; what nobody sampled, such as load clients, is not in it.

    Returns
    -------
    DataFrame
        One line per machine and :data:`BIN_S` seconds in which any container was seen: ``cluster``, ``node``, ``bin``
        (its first instant), ``containers``, and ``cores`` used by all of them (0 where nothing tells processor time).
    """
    return _totals(_cells(samples))


def surroundings(samples: pd.DataFrame, deployments: pd.DataFrame) -> pd.DataFrame:
    """Tell what ran beside each deployment while it was looked at, itself left out.

    Parameters
    ----------
    samples : DataFrame
        As for :func:`host_load`.
    deployments : DataFrame (n_deployments,)
        Of a :class:`podlab.audit.look.Look`: identity, ``begin`` and ``end``.

    Returns
    -------
    DataFrame (n_deployments,)
        ``containers beside`` and ``cores beside``: means over the window; missing without a row in it. Aligned to
        ``deployments``.
    """
    cells = _cells(samples)
    totals = _totals(cells).rename(columns={"containers": "all", "cores": "all_cores"})
    own = deployments[[*INSTANCE_KEY, "begin", "end"]].assign(position=range(len(deployments)))
    seen = cells.merge(own, on=list(INSTANCE_KEY)).merge(totals, on=[*_HOST, "bin"])
    seen = seen[(seen["bin"] + pd.Timedelta(seconds=BIN_S) > seen["begin"]) & (seen["bin"] < seen["end"])]
    beside = pd.DataFrame(
        {
            "position": seen["position"],
            "containers beside": seen["all"] - 1.0,
            "cores beside": (seen["all_cores"] - seen["cores"]).clip(lower=0.0),
        }
    )
    means: pd.DataFrame = beside.groupby("position").mean().reindex(range(len(deployments)))
    means.index = deployments.index
    return means


def core_seconds_per_second(samples: pd.DataFrame) -> pd.Series:
    """Tell the cores that each row's container used since its row before, or at that instant; missing if unknown."""
    cores: pd.Series = pd.Series(float("nan"), index=samples.index)
    if "cpu_usage_core_nanoseconds" in samples:
        by_container = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False)
        used_ns = by_container["cpu_usage_core_nanoseconds"].diff().astype("Float64").astype("float64")
        step_s = by_container["time"].diff().dt.total_seconds()
        cores = cores.mask(used_ns >= 0, used_ns / 1e9 / step_s.where(step_s > 0))
    if "cpu_usage_nanocores" in samples:
        cores = cores.fillna(samples["cpu_usage_nanocores"] / 1e9)
    return cores


def _cells(samples: pd.DataFrame) -> pd.DataFrame:
    """One line per container and bin: identity, ``bin``, ``cores``."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    bins = samples["time"].dt.floor(f"{BIN_S:g}s")
    table = pd.DataFrame({"code": code, "bin": bins, "cores": core_seconds_per_second(samples)})
    cells = table.groupby(["code", "bin"], as_index=False)["cores"].mean()
    # Where no row says on which machine it was, all were on one.
    who = samples.reindex(columns=[*INSTANCE_KEY, "node"]).assign(code=code).drop_duplicates("code")
    told: pd.DataFrame = cells.merge(who, on="code")
    return told


def _totals(cells: pd.DataFrame) -> pd.DataFrame:
    by_bin = cells.groupby([*_HOST, "bin"], dropna=False)
    totals: pd.DataFrame = by_bin.agg(containers=("code", "size"), cores=("cores", "sum")).reset_index()
    return totals
