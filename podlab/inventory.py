"""The inventory of a fleet: what each workload claims to be and is, and which unknown ones behave alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from podlab.data.workloads import workload_of
from podlab.identify.behaviour import MINER_LIKE
from podlab.identify.claims import ClaimCheck, check_claims
from podlab.identify.identifier import Identifier
from podlab.identify.workload import WorkloadPrediction

#: What a narrow screen shows of the page.
_SHOWN_FIRST: Final = ["verdict", "workload", "claim", "service"]
#: The columns of an inventory and their types, in the order of the page.
COLUMNS: Final = {
    "namespace": "str", "workload": "str", "container": "str", "claim": "str", "claimed_by": "str", "verdict": "str",
    "why": "str", "p_value": "float64", "service": "str", "confidence": "float64", "resembles": "str", "group": "str",
    "behaviour": "str", "miner_score": "float64", "replicas": "int64", "unseen": "int64", "disagreeing": "str",
}  # fmt: skip
#: Workloads within this Hellinger distance of a group's first one, 0 to 1, behave alike.
_ALIKE: Final = 0.45
#: Columns of a page that are chosen from.
_FILTERED: Final = ("namespace", "verdict", "service", "group")
_ABOUT: Final = (
    "What runs, by monitoring metrics alone, and whether that is what it claims to be by label, image or name. A "
    "mismatch is a hint to look, not a proof. An unknown workload's confidence is the probability of its most probable "
    "known service, if it ran one. The model is {model}."
)
#: A page stays below 3 MB with so many workloads.
_MOST_DISAGREEING: Final = 5


def take_inventory(samples: pd.DataFrame, identifier: Identifier, **options: Any) -> pd.DataFrame:
    """Take the inventory of what a samples table shows.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    identifier : Identifier
        The model.
    **options
        As for :func:`podlab.identify.claims.check_claims`. Of ``containers``, those without samples are listed, too.

    Returns
    -------
    DataFrame
        One row for each workload and container name, with the columns of :data:`COLUMNS`: the claim, the rule it comes
        from, the verdict and why nothing can be told; the p-value; the service (missing where unknown) and its
        probability; for unknown workloads what they ``resemble`` and the ``group`` of those that behave alike; for them
        and for those that are like miners the ``behaviour``; how much all are like miners; how many containers have
        metrics, and how many not; and the pods that disagree.
    """
    checks = check_claims(samples, identifier, **options)
    return inventory_table(checks, identifier.services, containers=options.get("containers"))


def inventory_table(
    checks: Sequence[ClaimCheck], services: Sequence[str], *, containers: pd.DataFrame | None = None
) -> pd.DataFrame:
    """As :func:`take_inventory`, of claims that were checked."""
    group = _group_unknown([each.found for each in checks], services)
    rows = [_row(check, group.get(number)) for number, check in enumerate(checks)]
    if containers is not None:
        rows += _without_metrics(containers, {row[:3] for row in rows})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _row(check: ClaimCheck, group: str | None) -> tuple[Any, ...]:
    found = check.found
    named = [f"{each.pod} ({each.service or 'unknown'})" for each in found.disagreeing[:_MOST_DISAGREEING]]
    more = len(found.disagreeing) - len(named)
    unknown = found.service is None and bool(found.candidates)
    does = check.behaviour
    return (
        found.namespace, found.workload, found.container, check.claim, check.claimed_by, check.verdict,
        check.why or None, check.p_value, found.service, found.confidence,
        ", ".join(_resembled(found)) if unknown else None, group,
        does.text if does and (unknown or does.is_miner_like) else None, does.rounded_score if does else None,
        found.replicas, found.unseen,
        ", ".join(named + [f"{more} more"] * bool(more)) or None,
    )  # fmt: skip


def _resembled(found: WorkloadPrediction) -> list[str]:
    return list(found.candidates)[:2]


def _without_metrics(containers: pd.DataFrame, there: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """List the workloads of which no container has samples."""
    missing: Counter[tuple[str, str, str]] = Counter()
    cells = containers[["namespace", "pod", "container", "owner_kind", "owner_name"]].astype(object)
    for namespace, pod, container, kind, name in cells.where(cells.notna(), None).itertuples(index=False):
        workload = workload_of(pod, kind, name) if kind else f"Pod/{pod}"
        if (namespace, workload, container) not in there:
            missing[namespace, workload, container] += 1
    nothing = (None, None, "cannot tell", "no metrics", float("nan"), None, 0.0, None, None, None, None, 0)
    return [(*key, *nothing, count, None) for key, count in sorted(missing.items())]


def _group_unknown(found: Sequence[WorkloadPrediction], services: Sequence[str]) -> dict[int, str]:
    """Group unknown workloads that behave alike: by the services that they resemble, and how much.

    Leader clustering (Hartigan 1975, Clustering Algorithms): each joins the first group whose first member is close
    enough, so that it takes one pass. Distances are Hellinger's, between the probabilities of services.
    """
    unknown = [n for n, each in enumerate(found) if each.service is None and each.candidates]
    roots = np.sqrt([[found[n].candidates.get(name, 0.0) for name in services] for n in unknown])
    leaders: list[int] = []
    member: dict[int, int] = {}
    for place, number in enumerate(unknown):
        likeness = roots[leaders] @ roots[place]
        near = np.flatnonzero(np.sqrt(np.maximum(0.0, 1.0 - likeness)) <= _ALIKE)
        if not near.size:
            leaders.append(place)
        member[number] = int(near[0]) if near.size else len(leaders) - 1
    size = Counter(member.values())
    names = {
        group: f"unknown {rank}: like {' and '.join(_resembled(found[unknown[leaders[group]]]))}"
        for rank, (group, _) in enumerate(size.most_common(), start=1)
    }
    return {number: names[group] for number, group in member.items()}


def summarise(table: pd.DataFrame) -> dict[str, int]:
    """Count what an inventory holds, for its head."""
    verdicts = table["verdict"].value_counts()
    return {
        "workloads": len(table),
        "containers": int(table["replicas"].sum() + table["unseen"].sum()),
        **{name: int(verdicts.get(name, 0)) for name in ("mismatch", "consistent", "cannot tell")},
        "unknown": int(table["resembles"].notna().sum()),
        "like miners": int((table["miner_score"] >= MINER_LIKE).sum()),
        "without metrics": int((table["replicas"] == 0).sum()),
        "with replicas that disagree": int(table["disagreeing"].notna().sum()),
    }


def inventory_page(table: pd.DataFrame, *, model: str) -> str:
    """Make the page of an inventory, by a model ``name@digest`` without its empty columns; see :func:`make_page`."""
    facts = [(name, str(count)) for name, count in summarise(table).items()]
    others = [name for name in table if name not in _SHOWN_FIRST and table[name].notna().any()]
    return make_page(
        table[[*_SHOWN_FIRST, *others]], title="Inventory", about=_ABOUT.format(model=model[:40]), facts=facts
    )


def make_page(table: pd.DataFrame, *, title: str, about: str = "", facts: Sequence[Sequence[str]] = ()) -> str:
    """Make a page of a table that sorts and filters, with nothing from elsewhere.

    Parameters
    ----------
    table : DataFrame
        Text and numbers; missing ones are empty cells. Columns of few different words get a filter.
    title, about : str
        What stands above the table.
    facts : sequence of (name, value)
        Figures to show between them.
    """
    cells = table.astype(object).where(table.notna(), None)
    data = {
        "title": title,
        "about": f"{about} Made by podlab at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.".strip(),
        "facts": facts,
        "filters": [name for name in _FILTERED if name in table and table[name].notna().any()],
        "columns": list(table),
        "rows": [
            [float(f"{value:.4g}") if isinstance(value, float) else value for value in row]
            for row in cells.itertuples(index=False, name=None)
        ],
    }
    return fill_page(Path(__file__).with_suffix(".html"), data)


def fill_page(template: Path, data: object) -> str:
    """Put JSON values into a page, where a script of it reads them."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    # Nothing in a script element ends it but "</", and a comment in it begins with "<!--".
    return template.read_text(encoding="utf-8").replace("/*DATA*/", text.replace("<", "\\u003c"))
