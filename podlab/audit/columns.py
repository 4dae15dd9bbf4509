"""What each column is worth: missing values, constants, and columns that give the service away."""

from __future__ import annotations

import pandas as pd

from podlab.data.catalogue import CATALOGUE
from podlab.data.samples import INSTANCE_KEY

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
