"""What a samples table holds, in small tables: how much of what, how evenly sampled, what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from podlab import identify
from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.evaluation import score
from podlab.evaluation.splits import plan_splits
from podlab.notebook.tables import interval


def count_by_service(samples: pd.DataFrame) -> pd.DataFrame:
    """Count containers, deployments and variants of each service.

    Returns
    -------
    DataFrame
        ``service`` (missing = unlabelled), ``containers``, ``deployments``, ``variants``, ``rows`` and ``median
        seconds observed``, sorted by service. Columns that the samples have no labels for are left out.
    """
    key = list(INSTANCE_KEY)
    service = samples["service"] if "service" in samples else pd.Series(pd.NA, index=samples.index, dtype="str")
    labelled = samples.assign(service=service, code=samples.groupby(key, dropna=False).ngroup())
    spans = labelled.groupby("code")["time"].agg(lambda times: (times.max() - times.min()).total_seconds())
    by_service = labelled.groupby("service", dropna=False)
    counts = pd.DataFrame({"containers": by_service["code"].nunique()})
    for label in ("deployment", "variant", "version"):
        if label in samples:
            counts[f"{label}s"] = by_service[label].nunique()
    counts["rows"] = by_service.size()
    counts["median seconds observed"] = by_service["code"].agg(lambda codes: spans[codes.unique()].median())
    return counts.reset_index()


def sampling_gaps(samples: pd.DataFrame) -> pd.DataFrame:
    """Tell how evenly containers were sampled.

    Returns
    -------
    DataFrame
        One line each for the time from a container's row to its next (``between samples``) and from its start to its
        first row (``start to first sample``): ``gap``, ``median s``, ``p99 s``, ``longest s``, ``number``.
    """
    by_container = samples.groupby(list(INSTANCE_KEY), dropna=False)["time"]
    first = samples.loc[by_container.idxmin()]
    gaps = {
        "between samples": by_container.diff().dropna(),
        "start to first sample": (first["time"] - first["started_at"]).dropna(),
    }
    rows = []
    for name, gap in gaps.items():
        gap_s = gap.dt.total_seconds()
        told = {"median s": gap_s.median(), "p99 s": gap_s.quantile(0.99), "longest s": gap_s.max()}
        rows.append({"gap": name, **told, "number": len(gap_s)})
    return pd.DataFrame(rows)


def missing_share(samples: pd.DataFrame) -> pd.DataFrame:
    """Tell for each metric how many of its values are missing.

    Returns
    -------
    DataFrame
        ``metric``, ``unit``, ``missing %`` of the rows, ``containers without any value``, in the catalogue's order.
    """
    code = samples.groupby(list(INSTANCE_KEY), dropna=False).ngroup()
    rows = []
    for name in FEATURE_METRICS:
        missing = samples[name].isna() if name in samples else pd.Series(True, index=samples.index)
        rows.append(
            {
                "metric": name,
                "unit": CATALOGUE[name].unit,
                "missing %": 100 * float(missing.mean()),
                "containers without any value": int(missing.groupby(code).all().sum()),
            }
        )
    return pd.DataFrame(rows)


def withhold_families(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    horizon_s: float = 60.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Show what a model leans on: how it answers when a family of metrics is withheld from it.

    One model is trained on half of the deployments and answers for the others, each time without one family. It is
    not trained anew: it shows what this kind of model uses, not what another could do without.

    Parameters
    ----------
    samples, services, columns, seed
        As for :func:`podlab.evaluation.evaluate`.
    horizon_s : float
        Seconds observed.

    Returns
    -------
    DataFrame
        ``withheld`` (``nothing`` first, then by loss), ``macro-F1``, ``95 % interval``, ``loss``.
    """
    labelled = samples[samples["service"].notna()]
    if services:
        labelled = labelled[labelled["service"].isin(services)]
    units = labelled[["service", "deployment"]].drop_duplicates(ignore_index=True)
    test = set(units["deployment"].iloc[plan_splits(units, folds=2, seed=seed).splits[0].test])
    tested = labelled["deployment"].isin(test)
    identifier = identify.fit(labelled[~tested], horizons_s=(horizon_s,), columns=columns, seed=seed)
    families: dict[str, list[str]] = {"nothing": []}
    for name in identifier.columns:
        families.setdefault(CATALOGUE[name].family, []).append(name)
    truth = labelled[tested].drop_duplicates(list(INSTANCE_KEY))
    rows = []
    for family, withheld in families.items():
        if len(withheld) == len(identifier.columns):
            continue
        answers = identifier.identify(labelled[tested].drop(columns=withheld), horizon_s=horizon_s)
        found = score(
            list(truth["service"]), [answer.service for answer in answers], list(truth["deployment"]), seed=seed
        ).macro_f1
        rows.append({"withheld": family, "macro-F1": found.value, "95 % interval": interval(found)})
    table = pd.DataFrame(rows)
    table["loss"] = table["macro-F1"].iloc[0] - table["macro-F1"]
    return pd.concat([table.iloc[:1], table.iloc[1:].sort_values("loss", ascending=False)], ignore_index=True)
