"""What a recording of faults holds: which kinds on which services, when they began, and how long they lasted."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from podlab.data.samples import INSTANCE_KEY


@dataclass(frozen=True)
class FaultAudit:
    """What the labels say of faults.

    Attributes
    ----------
    intervals : DataFrame
        One line per fault, in order of containers and time: ``service``, ``deployment``, ``kind``, ``begin_s`` (after
        the container's start), ``seconds``.
    seconds_inside, seconds_outside : float
        Seconds of the containers with any fault, inside and outside of faults.
    rows : int
        Of the containers with any fault.
    rows_labelled : int
        Those of them that say whether there was a fault or not.
    rows_without_kind : int
        Those in a fault of which no kind is told.
    rows_kind_outside : int
        Those that tell a kind and deny the fault.
    """

    intervals: pd.DataFrame
    seconds_inside: float
    seconds_outside: float
    rows: int
    rows_labelled: int
    rows_without_kind: int
    rows_kind_outside: int

    @property
    def by_kind(self) -> pd.DataFrame:
        """One line per kind: ``kind``, ``faults``, ``services``, ``deployments``, ``median seconds``, ``seconds``."""
        by_kind = self.intervals.groupby("kind")
        return by_kind.agg(
            faults=("seconds", "size"),
            services=("service", "nunique"),
            deployments=("deployment", "nunique"),
            median=("seconds", "median"),
            seconds=("seconds", "sum"),
        ).rename(columns={"median": "median seconds"}).reset_index()  # fmt: skip

    @property
    def by_service(self) -> pd.DataFrame:
        """Number of faults: one line per kind, one column per service."""
        return pd.crosstab(self.intervals["kind"], self.intervals["service"])


def audit_faults(samples: pd.DataFrame) -> FaultAudit | None:
    """Find the faults that the labels ``anomaly`` and ``anomaly_kind`` tell of.

    A row stands for the time until the next of its container, the last for the container's usual step. A fault is an
    unbroken run of rows of one container that are marked and tell one kind; where none is told, the kind is
    ``(untold)``.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.

    Returns
    -------
    FaultAudit or None
        ``None`` where no row is marked.
    """
    if "anomaly" not in samples or not samples["anomaly"].fillna(False).any():
        return None
    ordered = samples.sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    code = ordered.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    inside = ordered["anomaly"].fillna(False).astype(bool)
    no_words = pd.Series(pd.NA, index=ordered.index, dtype="str")
    told_kind = ordered.get("anomaly_kind", no_words)
    kind = told_kind.fillna("(untold)").where(inside, "")
    step_s = ordered.groupby(code)["time"].diff(-1).dt.total_seconds().abs()
    step_s = step_s.fillna(step_s.groupby(code).transform("median")).fillna(0.0)
    new = (code != code.shift()) | (kind != kind.shift())
    born = ordered["started_at"].fillna(ordered.groupby(code)["time"].transform("min"))
    runs = pd.DataFrame(
        {
            "service": ordered.get("service", no_words),
            "deployment": ordered.get("deployment", no_words),
            "kind": kind,
            "begin_s": (ordered["time"] - born).dt.total_seconds(),
            "seconds": step_s,
        }
    )[inside]
    intervals = runs.groupby(new.cumsum()[inside], sort=True).agg(
        {"service": "first", "deployment": "first", "kind": "first", "begin_s": "first", "seconds": "sum"}
    )
    with_fault = inside.groupby(code).transform("any")
    return FaultAudit(
        intervals=intervals.reset_index(drop=True),
        seconds_inside=float(step_s[inside].sum()),
        seconds_outside=float(step_s[with_fault & ~inside].sum()),
        rows=int(with_fault.sum()),
        rows_labelled=int((with_fault & ordered["anomaly"].notna()).sum()),
        rows_without_kind=int((inside & told_kind.isna()).sum()),
        rows_kind_outside=int((~inside & told_kind.notna()).sum()),
    )
