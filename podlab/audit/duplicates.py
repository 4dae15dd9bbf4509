"""What is there twice, and labels that contradict each other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY


def rows_in_files(paths: Sequence[Path]) -> int:
    """Count the rows of recordings as they are in the files, repeated ones included."""
    total = 0
    for path in paths:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                total += max(0, sum(1 for line in csv.reader(file) if line) - 1)
        else:
            total += pq.ParquetFile(path).metadata.num_rows
    return total


def audit_duplicates(samples: pd.DataFrame, *, rows_given: int | None = None) -> pd.DataFrame:
    """Count what is there twice.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table, from which reading has taken rows that repeat a container and instant.
    rows_given : int, optional
        Rows before reading, from :func:`rows_in_files`.

    Returns
    -------
    DataFrame
        One line per check: ``check``, ``found``, ``of`` (how many could have been) and ``what`` (of what):
        rows that repeat a container and instant; rows whose metrics are those of the row before, and rows whose
        metrics another life has, too; lives whose whole series of metrics another has, too; deployments with two
        services, variants or versions; lives in two deployments; rows without a service or deployment.
    """
    life = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    metrics = [name for name in MEASURED_METRICS if name in samples]
    digest = pd.util.hash_pandas_object(samples[metrics], index=False)
    still = (digest == digest.shift()) & (life == life.shift())
    lives_with = life.groupby(digest).transform("nunique")
    whole = digest.groupby(life).agg(lambda values: hash(tuple(values)))
    checks = [
        ("rows whose metrics are those of the row before", int(still.sum()), len(samples), "rows"),
        ("rows whose metrics another life has, too", int((lives_with > 1).sum()), len(samples), "rows"),
        (
            "lives whose whole series another life has, too",
            int(whole.duplicated(keep=False).sum()),
            len(whole),
            "lives",
        ),
    ]
    if rows_given is not None:
        checks.insert(0, ("rows that repeat a container and instant", rows_given - len(samples), rows_given, "rows"))
    if "deployment" in samples:
        by_deployment = samples.groupby("deployment")
        for label in ("service", "variant", "version"):
            if label in samples:
                several = int(by_deployment[label].nunique().gt(1).sum())
                checks.append((f"deployments with two {label}s", several, by_deployment.ngroups, "deployments"))
        split = int(samples["deployment"].groupby(life).nunique().gt(1).sum())
        checks.append(("lives in two deployments", split, len(whole), "lives"))
    for label in ("service", "deployment"):
        untold = int(samples[label].isna().sum()) if label in samples else len(samples)
        checks.append((f"rows without a {label}", untold, len(samples), "rows"))
    return pd.DataFrame(checks, columns=["check", "found", "of", "what"])


def in_both(samples: pd.DataFrame, beside: pd.DataFrame, label: str) -> list[str]:
    """Name the values of a label that two tables share, such as services said to be unknown to the first."""
    if label not in samples or label not in beside:
        return []
    return sorted(set(samples[label].dropna()) & set(beside[label].dropna()))
