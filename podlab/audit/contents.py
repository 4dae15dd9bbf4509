"""What a recording contains: counts, gaps, columns, duplicates, faults, and the load of its machines."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from scipy.stats import binomtest  # type: ignore[import-untyped]

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


#: A column is nearly constant if one value takes up this share of those given.
NEARLY = 0.99


def sampling_gaps(samples: pd.DataFrame) -> pd.DataFrame:
    """Measure how evenly containers were sampled.

    Returns
    -------
    DataFrame
        One line for each row and its next (``gap``: ``between samples``), and one for each container's start and its
        first row (``start to first sample``): ``gap`` and ``seconds``.
    """
    by_container = samples.groupby(list(INSTANCE_KEY), dropna=False)["time"]
    first = samples.loc[by_container.idxmin()]
    gaps = {
        "between samples": by_container.diff(),
        "start to first sample": first["time"] - first["started_at"],
    }
    return pd.concat(
        [pd.DataFrame({"gap": name, "seconds": gap.dropna().dt.total_seconds()}) for name, gap in gaps.items()],
        ignore_index=True,
    )


def audit_columns(samples: pd.DataFrame) -> pd.DataFrame:
    """WindowTable at every metric column of the catalogue.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.

    Returns
    -------
    DataFrame
        One line per metric in the catalogue's order: ``column``, ``unit``, ``missing %`` of the rows, ``lives without
        a value``, ``values`` (different ones), ``most frequent %`` and ``zero %`` of those given, ``lives constant %``
        (of the lives with a value) and ``remark``: empty, or what is wrong: ``absent``, ``empty``, ``constant``,
        ``nearly constant``, ``given by service`` (some services always have it and the others never), ``constant by
        service`` (one value in each service, and not the same).
    """
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    service = samples["service"] if "service" in samples else pd.Series(pd.NA, index=samples.index, dtype="str")
    rows = []
    for name, metric in CATALOGUE.items():
        told = {"column": name, "unit": metric.unit}
        if name not in samples:
            rows.append({**told, "missing %": 100.0, "lives without a value": code.nunique(), "remark": "absent"})
            continue
        values = samples[name].astype("Float64").astype("float64")
        given = values.dropna()
        by_life = values.groupby(code)
        lives = by_life.nunique()
        counts = given.value_counts()
        rows.append(
            {
                **told,
                "missing %": 100 * float(values.isna().mean()),
                "lives without a value": int((lives == 0).sum()),
                "values": len(counts),
                "most frequent %": 100 * counts.iloc[0] / len(given) if len(given) else None,
                "zero %": 100 * float((given == 0).mean()) if len(given) else None,
                "lives constant %": 100 * float((lives[lives > 0] == 1).mean()) if len(given) else None,
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
            return "given by service"
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
        Of a :class:`podlab.audit.windows.WindowTable`: identity, ``begin`` and ``end``.

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
