"""How much there is of everything, and how it is shared out: services, deployments, lives, patterns, versions."""

from __future__ import annotations

import pandas as pd
from scipy.stats import binomtest  # type: ignore[import-untyped]

from podlab.audit.surroundings import core_seconds_per_second
from podlab.data.samples import INSTANCE_KEY
from podlab.evaluation.dataset import split_variant

#: Under so many cores a container does next to nothing.
QUIET_CORES = 0.01


def count_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Count what was recorded of each service.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service``.

    Returns
    -------
    DataFrame
        ``service``, ``deployments``, ``lives`` (container instances; more than deployments after restarts),
        ``patterns``, ``profiles`` (or ``configurations``), ``sites``, ``versions``, ``rows``, ``minutes`` (of all
        lives together), ``idle %`` (of the deployments) and ``fewest per pattern`` (deployments, 0 where a pattern of
        the others is missing). What no
        label tells is left out.
    """
    told = _with_design(samples)
    lives = told.groupby("life").agg(service=("service", "first"), begin=("time", "min"), end=("time", "max"))
    minutes = (lives["end"] - lives["begin"]).dt.total_seconds() / 60
    by_service = told.groupby("service")
    counts = pd.DataFrame({"deployments": by_service["deployment"].nunique()} if "deployment" in told else {})
    counts["lives"] = by_service["life"].nunique()
    names = {"load": "patterns", "profile": "profiles", "site": "sites", "version": "versions"}
    if "profile" not in told or told["profile"].isna().all():
        names = {"load": "patterns", "configuration": "configurations", "site": "sites", "version": "versions"}
    for label, name in names.items():
        if label in told and told[label].notna().any():
            counts[name] = by_service[label].nunique()
    counts["rows"] = by_service.size()
    counts["minutes"] = minutes.groupby(lives["service"]).sum()
    if {"load", "deployment"} <= set(told):
        crossed = cross(samples)
        idle = [load for load in crossed if str(load).startswith("idle")]
        counts["idle %"] = 100 * crossed[idle].sum(axis=1) / crossed.sum(axis=1)
        counts["fewest per pattern"] = crossed.min(axis=1)
    return counts.rename_axis("service").reset_index()


def cross(samples: pd.DataFrame) -> pd.DataFrame:
    """Count the deployments of each service (lines) under each load pattern (columns)."""
    told = _with_design(samples).drop_duplicates("deployment")
    return pd.crosstab(told["service"], told["load"])


def count_by_pattern(samples: pd.DataFrame) -> pd.DataFrame:
    """Tell for each load pattern how much there is of it, and how busy its containers were.

    Returns
    -------
    DataFrame
        ``pattern``, ``deployments``, ``deployments %``, ``rows %``, ``mean cores``, and ``quiet %``: share of the rows
        in which the container used less than :data:`QUIET_CORES`. The last line is all of them. Empty where no label
        tells the pattern.
    """
    told = _with_design(samples)
    if not {"load", "deployment"} <= set(told):
        return pd.DataFrame()
    told = told.assign(cores=core_seconds_per_second(samples).reindex(told.index))
    deployments = told["deployment"].nunique()
    rows = []
    for pattern, own in [*told.groupby("load"), ("all", told)]:
        known = own["cores"].dropna()
        rows.append(
            {
                "pattern": pattern,
                "deployments": own["deployment"].nunique(),
                "deployments %": 100 * own["deployment"].nunique() / deployments,
                "rows %": 100 * len(own) / len(told),
                "mean cores": known.mean(),
                "quiet %": 100 * (known < QUIET_CORES).mean(),
            }
        )
    return pd.DataFrame(rows)


def count_placements(deployments: pd.DataFrame) -> pd.DataFrame:
    """Count where each service's data lay, which is drawn without regard to the service.

    Parameters
    ----------
    deployments : DataFrame (n_deployments,)
        With ``service`` and what was drawn (``data_in``), such as those of a look.

    Returns
    -------
    DataFrame
        One line per service that keeps data: ``service``, ``volume``, ``layer`` (deployments) and ``p`` (two-sided, of
        so uneven a split or a more uneven one if a coin decided). Empty where nothing was drawn.
    """
    if "data_in" not in deployments:
        return pd.DataFrame(columns=["service", "volume", "layer", "p"])
    told = deployments[deployments["data_in"].isin(["volume", "layer"])]
    counts = pd.crosstab(told["service"], told["data_in"]).reindex(columns=["volume", "layer"], fill_value=0)
    p = [binomtest(int(volume), int(volume + layer)).pvalue for volume, layer in counts.to_numpy()]
    return counts.assign(p=p).rename_axis(None, axis="columns").reset_index()


def _with_design(samples: pd.DataFrame) -> pd.DataFrame:
    """Give the labelled rows with ``life`` (a number for each container instance), ``load`` and ``configuration``."""
    labelled = samples[samples["service"].notna()]
    told = labelled.assign(life=labelled.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup())
    return told.assign(**split_variant(told["variant"])) if "variant" in told else told
