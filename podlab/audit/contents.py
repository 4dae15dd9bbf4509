"""What a recording contains: counts, columns, duplicates and faults; and the summary of an audit."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from podlab.audit.confounding import TIED, VISIBLE
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.evaluation.dataset import split_variant


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
    labelled = samples[samples["service"].notna()]
    labelled = labelled.assign(instance=_number_instances(labelled))
    if "variant" in labelled:
        labelled = labelled.assign(**split_variant(labelled["variant"]))
    by_service = labelled.groupby("service")
    counts = pd.DataFrame({"deployments": by_service["deployment"].nunique()} if "deployment" in labelled else {})
    counts["instances"] = by_service["instance"].nunique()
    has_profiles = "profile" in labelled and labelled["profile"].notna().any()
    for label in ("load", "profile" if has_profiles else "configuration", "site", "version"):
        if label in labelled and labelled[label].notna().any():
            counts["patterns" if label == "load" else f"{label}s"] = by_service[label].nunique()
    counts["rows"] = by_service.size()
    instances = labelled.groupby(["service", "instance"])["time"]
    counts["minutes"] = (instances.max() - instances.min()).dt.total_seconds().groupby("service").sum() / 60
    if {"load", "deployment"} <= set(labelled):
        deployments = labelled.drop_duplicates("deployment")
        crossed = pd.crosstab(deployments["service"], deployments["load"])
        idle = [load for load in crossed if str(load).startswith("idle")]
        counts["idle %"] = 100 * crossed[idle].sum(axis=1) / crossed.sum(axis=1)
        counts["fewest per pattern"] = crossed.min(axis=1)
    return counts.rename_axis("service").reset_index()


def _number_instances(samples: pd.DataFrame) -> pd.Series:
    return samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()


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
    code = _number_instances(samples)
    service = samples["service"] if "service" in samples else pd.Series(pd.NA, index=samples.index, dtype="str")
    rows = []
    for name, metric in CATALOGUE.items():
        values = samples[name] if name in samples else pd.Series(pd.NA, index=samples.index, dtype="Float64")
        values = values.astype("Float64").astype("float64")
        given = values.dropna()
        different = values.groupby(code).nunique()
        share = given.value_counts(normalize=True)
        row = {
            "column": name,
            "unit": metric.unit,
            "missing %": 100 * values.isna().mean(),
            "instances without a value": int((different == 0).sum()),
            "values": len(share) if name in samples else None,
        }
        if len(given):
            row["most frequent %"] = 100 * share.iloc[0]
            row["zero %"] = 100 * (given == 0).mean()
            row["instances constant %"] = 100 * (different[different > 0] == 1).mean()
        rows.append(row | {"remark": _remark(values, share, code, service) if name in samples else "absent"})
    table = pd.DataFrame(rows)
    return table[[*table.columns.drop("remark"), "remark"]]


def _remark(values: pd.Series, share: pd.Series, code: pd.Series, service: pd.Series) -> str:
    if len(share) < 2:
        return "empty" if share.empty else "constant"
    if len(service.dropna().unique()) > 1:
        by_service = values.groupby(service)
        different = by_service.nunique()
        if (different <= 1).all() and len(by_service.first().unique()) > 1:
            return "constant by service"
        has_value = values.notna().groupby(code).any()
        of_service = has_value.groupby(service.groupby(code).first()).mean()
        if of_service.isin((0.0, 1.0)).all() and len(of_service.unique()) > 1:
            return "present by service"
    return "nearly constant" if share.iloc[0] >= NEARLY else ""


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
    instance = _number_instances(samples)
    digest = pd.util.hash_pandas_object(samples[[name for name in MEASURED_METRICS if name in samples]], index=False)
    still = (digest == digest.shift()) & (instance == instance.shift())
    elsewhere = instance.groupby(digest).transform("nunique") > 1
    whole = digest.groupby(instance).agg(lambda values: hash(tuple(values)))
    rows, instances = (len(samples), "rows"), (len(whole), "instances")
    checks = [
        ("rows identical to the row before", still.sum(), *rows),
        ("rows identical to a row of another container", elsewhere.sum(), *rows),
        ("container instances identical to another", whole.duplicated(keep=False).sum(), *instances),
    ]
    if rows_given is not None:
        checks.insert(0, ("rows that repeat a container and instant", rows_given - len(samples), rows_given, "rows"))
    if "deployment" in samples:
        by_deployment = samples.groupby("deployment")
        for label in ("service", "variant", "version"):
            if label in samples:
                several = by_deployment[label].nunique().gt(1).sum()
                checks.append((f"deployments with two {label}s", several, by_deployment.ngroups, "deployments"))
        split = samples["deployment"].groupby(instance).nunique().gt(1).sum()
        checks.append(("container instances in two deployments", split, *instances))
    for label in ("service", "deployment"):
        unlabelled = samples[label].isna().sum() if label in samples else len(samples)
        checks.append((f"rows without a {label}", unlabelled, *rows))
    return pd.DataFrame(checks, columns=["check", "found", "of", "what"]).astype({"found": int, "of": int})


def audit_faults(samples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Find the faults that the labels ``anomaly`` and ``anomaly_kind`` mark.

    A row stands for the time until the next of its container, the last for the container's usual step. A fault is an
    unbroken run of rows of one deployment of one kind; where none is given, the kind is ``(unlabelled)``.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.

    Returns
    -------
    faults : DataFrame
        One line per fault, in order of deployments and time: ``service``, ``deployment``, ``kind``, ``begin_s`` (after
        the container's start), ``seconds``; empty where no row is marked.
    counts : dict
        Of the containers with any fault: ``seconds_inside`` and ``seconds_outside`` of faults, ``rows``,
        ``rows_labelled`` (that say whether there was a fault or not), ``rows_without_kind`` (in a fault of which no
        kind is described) and ``rows_kind_outside`` (with a kind that deny the fault).
    """
    nothing = pd.Series(None, index=samples.index, dtype="object")
    labels = {name: samples.get(name, nothing) for name in ("service", "deployment", "anomaly", "anomaly_kind")}
    ordered = samples.assign(**labels).sort_values([*INSTANCE_KEY, "time"], kind="stable", ignore_index=True)
    code = _number_instances(ordered)
    inside = ordered["anomaly"].fillna(False).astype(bool)
    kind = ordered["anomaly_kind"].fillna("(unlabelled)").where(inside, "")
    step_s = ordered.groupby(code)["time"].diff(-1).dt.total_seconds().abs()
    step_s = step_s.fillna(step_s.groupby(code).transform("median")).fillna(0.0)
    started = ordered["started_at"].fillna(ordered.groupby(code)["time"].transform("min"))
    ordered = ordered.assign(kind=kind, begin_s=(ordered["time"] - started).dt.total_seconds(), seconds=step_s)
    # As for the detectors: a fault that outlives its container is one fault.
    ordered["unit"] = ordered["deployment"].fillna(code.astype(str))
    in_turn = ordered.sort_values(["unit", "time"], kind="stable")
    run = ((in_turn["unit"] != in_turn["unit"].shift()) | (in_turn["kind"] != in_turn["kind"].shift())).cumsum()
    marked = in_turn[in_turn["kind"] != ""]
    first = dict.fromkeys(("service", "deployment", "kind", "begin_s"), "first")
    faults = marked.groupby(run).agg(first | {"seconds": "sum"}).reset_index(drop=True)
    with_fault = inside.groupby(code).transform("any")
    return faults, {
        "seconds_inside": float(step_s[inside].sum()),
        "seconds_outside": float(step_s[with_fault & ~inside].sum()),
        "rows": int(with_fault.sum()),
        "rows_labelled": int((with_fault & ordered["anomaly"].notna()).sum()),
        "rows_without_kind": int((inside & ordered["anomaly_kind"].isna()).sum()),
        "rows_kind_outside": int((~inside & ordered["anomaly_kind"].notna()).sum()),
    }


def summarise(
    counts: pd.DataFrame,
    columns: pd.DataFrame,
    duplicates: pd.DataFrame,
    pairs: pd.DataFrame,
    shuffled: pd.DataFrame,
    outside: pd.DataFrame,
) -> pd.DataFrame:
    """Summarise an audit: one line per check, what was found, and whether to look at it.

    The tables are what the functions of :mod:`podlab.audit` found.
    """
    rows: list[tuple[str, str, bool]] = []
    if "fewest per pattern" in counts:
        fewest = int(counts["fewest per pattern"].min())
        rows.append(("deployments of the rarest service and pattern", str(fewest), fewest > 0))
    # The image's size is no feature, and is the same for all containers of an image.
    wrong = columns[columns["remark"].ne("") & columns["column"].ne("image_size_bytes")]
    # Recordings from before there were further metrics lack them all.
    further = wrong[(wrong["remark"] == "absent") & ~wrong["column"].isin(ORIGINAL_METRICS)]
    if len(further) == len(MEASURED_METRICS) - len(ORIGINAL_METRICS):
        wrong = wrong.drop(further.index)
    text = "; ".join(f"{remark}: {', '.join(own)}" for remark, own in wrong.groupby("remark", sort=False)["column"])
    rows.append(("columns that are constant, absent or specific to a service", text or "none", wrong.empty))
    for _, row in duplicates.iterrows():
        # A quiet container may well stand still for a second; that is no fault.
        harmless = row["check"].startswith("rows identical to the row before")
        rows.append((row["check"], f"{row['found']:,} of {row['of']:,} {row['what']}", harmless or row["found"] == 0))
    close = int(pairs["suspicious"].sum())
    rows.append(("deployments suspiciously like another", f"{close:,} of {len(pairs):,}", close == 0))
    mean, low, high, chance = shuffled[["macro_f1", "low", "high", "chance"]].mean()
    text = f"{mean:.2f} ({low:.2f} to {high:.2f}), mean of {len(shuffled)} repetitions; guessing gives {chance:.2f}"
    rows.append(("macro-F1 on shuffled labels", text, low <= chance))
    for question in (VISIBLE, TIED):
        own = outside[outside["asked"] == question]
        text = ", ".join(f"{name} ({', '.join(each['window'])})" for name, each in own.groupby("property", sort=False))
        rows.append((f"circumstances beyond chance: {question}", text or "none", own.empty))
    table = pd.DataFrame(rows, columns=["question", "found", "verdict"])
    return table.assign(verdict=table["verdict"].map({True: "fine", False: "look at it"}))
