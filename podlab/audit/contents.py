"""What a recording contains: counts, columns, duplicates, faults, and the load of its machines."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
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
        ``service``, ``deployments``, ``instances`` (of containers; more than deployments after restarts), ``patterns``,
        ``profiles`` (or ``configurations``), ``sites``, ``versions``, ``rows``, ``minutes`` (of all instances),
        ``idle %`` (of the deployments) and ``fewest per pattern`` (deployments, 0 where a pattern is missing). What
        no label gives is left out.
    """
    described = _with_design(samples)
    instances = described.groupby("instance").agg(
        service=("service", "first"), begin=("time", "min"), end=("time", "max")
    )
    minutes = (instances["end"] - instances["begin"]).dt.total_seconds() / 60
    by_service = described.groupby("service")
    counts = pd.DataFrame({"deployments": by_service["deployment"].nunique()} if "deployment" in described else {})
    counts["instances"] = by_service["instance"].nunique()
    names = {"load": "patterns", "profile": "profiles", "site": "sites", "version": "versions"}
    if "profile" not in described or described["profile"].isna().all():
        names = {"load": "patterns", "configuration": "configurations", "site": "sites", "version": "versions"}
    for label, name in names.items():
        if label in described and described[label].notna().any():
            counts[name] = by_service[label].nunique()
    counts["rows"] = by_service.size()
    counts["minutes"] = minutes.groupby(instances["service"]).sum()
    if {"load", "deployment"} <= set(described):
        crossed = cross(samples)
        idle = [load for load in crossed if str(load).startswith("idle")]
        counts["idle %"] = 100 * crossed[idle].sum(axis=1) / crossed.sum(axis=1)
        counts["fewest per pattern"] = crossed.min(axis=1)
    return counts.rename_axis("service").reset_index()


def cross(samples: pd.DataFrame) -> pd.DataFrame:
    """Count the deployments of each service (lines) under each load pattern (columns)."""
    described = _with_design(samples).drop_duplicates("deployment")
    return pd.crosstab(described["service"], described["load"])


def count_by_pattern(samples: pd.DataFrame) -> pd.DataFrame:
    """Tell for each load pattern how much there is of it, and how busy its containers were.

    Returns
    -------
    DataFrame
        ``pattern``, ``deployments``, ``deployments %``, ``rows %``, ``mean cores``, and ``quiet %``: share of the rows
        in which the container used less than :data:`QUIET_CORES`. The last line is all of them. Empty where no label
        gives the pattern.
    """
    described = _with_design(samples)
    if not {"load", "deployment"} <= set(described):
        return pd.DataFrame()
    described = described.assign(cores=core_seconds_per_second(samples).reindex(described.index))
    deployments = described["deployment"].nunique()
    rows = []
    for pattern, own in [*described.groupby("load"), ("all", described)]:
        known = own["cores"].dropna()
        rows.append(
            {
                "pattern": pattern,
                "deployments": own["deployment"].nunique(),
                "deployments %": 100 * own["deployment"].nunique() / deployments,
                "rows %": 100 * len(own) / len(described),
                "mean cores": known.mean(),
                "quiet %": 100 * (known < QUIET_CORES).mean(),
            }
        )
    return pd.DataFrame(rows)


def _with_design(samples: pd.DataFrame) -> pd.DataFrame:
    """Give the labelled rows with ``instance`` (a number), ``load`` and ``configuration``."""
    labelled = samples[samples["service"].notna()]
    described = labelled.assign(instance=labelled.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup())
    return described.assign(**split_variant(described["variant"])) if "variant" in described else described


#: A column is nearly constant if one value takes up this share of those given.
NEARLY = 0.99


def audit_columns(samples: pd.DataFrame) -> pd.DataFrame:
    """Look at every metric column of the catalogue.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.

    Returns
    -------
    DataFrame
        One line per metric in the catalogue's order: ``column``, ``unit``, ``missing %`` of the rows, ``instances
        without a value``, ``values`` (different ones), ``most frequent %`` and ``zero %`` of those given,
        ``instances constant %`` (of those with a value) and ``remark``: empty, or what is wrong: ``absent``,
        ``empty``, ``constant``, ``nearly constant``, ``present by service`` (some services always have it, the others
        never), ``constant by service`` (one value in each service, and not the same).
    """
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    service = samples["service"] if "service" in samples else pd.Series(pd.NA, index=samples.index, dtype="str")
    rows = []
    for name, metric in CATALOGUE.items():
        described = {"column": name, "unit": metric.unit}
        if name not in samples:
            rows.append(
                {**described, "missing %": 100.0, "instances without a value": code.nunique(), "remark": "absent"}
            )
            continue
        values = samples[name].astype("Float64").astype("float64")
        given = values.dropna()
        by_instance = values.groupby(code)
        instances = by_instance.nunique()
        counts = given.value_counts()
        rows.append(
            {
                **described,
                "missing %": 100 * float(values.isna().mean()),
                "instances without a value": int((instances == 0).sum()),
                "values": len(counts),
                "most frequent %": 100 * counts.iloc[0] / len(given) if len(given) else None,
                "zero %": 100 * float((given == 0).mean()) if len(given) else None,
                "instances constant %": 100 * float((instances[instances > 0] == 1).mean()) if len(given) else None,
                "remark": _remark(values, counts, code, service),
            }
        )
    table = pd.DataFrame(rows)
    return table[[*(name for name in table if name != "remark"), "remark"]]


def _remark(values: pd.Series, counts: pd.Series, code: pd.Series, service: pd.Series) -> str:
    if counts.empty:
        return "empty"
    if len(counts) == 1:
        return "constant"
    named = service.dropna()
    if len(named.unique()) > 1:
        by_service = values.groupby(service)
        different = by_service.nunique()
        if (different <= 1).all() and len(by_service.first().unique()) > 1:
            return "constant by service"
        has_value = values.notna().groupby(code).any()
        share = has_value.groupby(service.groupby(code).first()).mean()
        if share.isin((0.0, 1.0)).all() and len(share.unique()) > 1:
            return "present by service"
    return "nearly constant" if counts.iloc[0] >= NEARLY * counts.sum() else ""


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
        rows that repeat a container and instant; rows identical to the row before, or to a row of another container;
        container instances identical to another; deployments with two services, variants or versions; container
        instances in two deployments; rows without a service or deployment.
    """
    instance = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    metrics = [name for name in MEASURED_METRICS if name in samples]
    digest = pd.util.hash_pandas_object(samples[metrics], index=False)
    still = (digest == digest.shift()) & (instance == instance.shift())
    instances_with = instance.groupby(digest).transform("nunique")
    whole = digest.groupby(instance).agg(lambda values: hash(tuple(values)))
    checks = [
        ("rows identical to the row before", int(still.sum()), len(samples), "rows"),
        ("rows identical to a row of another container", int((instances_with > 1).sum()), len(samples), "rows"),
        (
            "container instances identical to another",
            int(whole.duplicated(keep=False).sum()),
            len(whole),
            "instances",
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
        split = int(samples["deployment"].groupby(instance).nunique().gt(1).sum())
        checks.append(("container instances in two deployments", split, len(whole), "instances"))
    for label in ("service", "deployment"):
        unlabelled = int(samples[label].isna().sum()) if label in samples else len(samples)
        checks.append((f"rows without a {label}", unlabelled, len(samples), "rows"))
    return pd.DataFrame(checks, columns=["check", "found", "of", "what"])


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
        Those in a fault of which no kind is described.
    rows_kind_outside : int
        Those with a kind that deny the fault.
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
    """Find the faults that the labels ``anomaly`` and ``anomaly_kind`` mark.

    A row stands for the time until the next of its container, the last for the container's usual step. A fault is an
    unbroken run of rows of one container of one kind; where none is given, the kind is
    ``(unlabelled)``.

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
    given_kind = ordered.get("anomaly_kind", no_words)
    kind = given_kind.fillna("(unlabelled)").where(inside, "")
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
        rows_without_kind=int((inside & given_kind.isna()).sum()),
        rows_kind_outside=int((~inside & given_kind.notna()).sum()),
    )


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
        (its first instant), ``containers``, and ``cores`` used by all of them (0 where processor time is unknown).
    """
    return _totals(_cells(samples))


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
    cells = _cells(samples)
    totals = _totals(cells).rename(columns={"containers": "all", "cores": "all_cores"})
    own = deployments[[*INSTANCE_KEY, "begin", "end"]].assign(position=range(len(deployments)))
    seen = cells.merge(own, on=list(INSTANCE_KEY)).merge(totals, on=[*_HOST, "bin"])
    seen = seen[(seen["bin"] + pd.Timedelta(seconds=BIN_S) > seen["begin"]) & (seen["bin"] < seen["end"])]
    next_to = pd.DataFrame(
        {
            "position": seen["position"],
            "co-located containers": seen["all"] - 1.0,
            "co-located cores": (seen["all_cores"] - seen["cores"]).clip(lower=0.0),
        }
    )
    means: pd.DataFrame = next_to.groupby("position").mean().reindex(range(len(deployments)))
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
    identity = samples.reindex(columns=[*INSTANCE_KEY, "node"]).assign(code=code).drop_duplicates("code")
    described: pd.DataFrame = cells.merge(identity, on="code")
    return described


def _totals(cells: pd.DataFrame) -> pd.DataFrame:
    by_bin = cells.groupby([*_HOST, "bin"], dropna=False)
    totals: pd.DataFrame = by_bin.agg(containers=("code", "size"), cores=("cores", "sum")).reset_index()
    return totals
