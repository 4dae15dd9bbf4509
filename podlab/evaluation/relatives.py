"""Whether the known services that a strange container resembles most are its relatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np
import pandas as pd

from podlab.evaluation.metrics import mean_interval, wilson
from podlab.evaluation.unknown import near_services

#: Among so many of the most similar services a relative is looked for.
TOPS = (1, 3)


def most_similar(decisions: pd.DataFrame, relatives: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Name the known services that each strange service resembles most.

    Parameters
    ----------
    decisions : DataFrame
        From :func:`podlab.evaluation.unknown.decisions_of`.
    relatives : mapping of str to sequence of str
        Services that are like a service.

    Returns
    -------
    DataFrame
        ``service``; ``relatives``, those that are known; ``most_similar``, three services with their mean similarity
        over the service's containers; ``rank`` of the first relative among them by that mean, counted from 1 (missing
        where there is none, or it resembles none of the containers); ``n_deployments``.
    """
    known = set(decisions.loc[~decisions["strange"], "service"])
    lines = []
    for service, own in decisions[decisions["strange"]].groupby("service"):
        mean = _mean_similarity(own)
        related = sorted(set(relatives.get(str(service), ())) & known - {service})
        ranks = [place for place, name in enumerate(mean.index, start=1) if name in related]
        lines.append(
            {
                "service": service,
                "relatives": ", ".join(related),
                "most_similar": ", ".join(f"{name} {value:.2f}" for name, value in mean.head(3).items()),
                "rank": ranks[0] if ranks else pd.NA,
                "n_deployments": own["unit"].nunique(),
            }
        )
    columns = ["service", "relatives", "most_similar", "rank", "n_deployments"]
    return pd.DataFrame(lines, columns=columns).astype({"rank": "Int64"})


def _mean_similarity(own: pd.DataFrame) -> pd.Series:
    """Mean similarity to each known service, the highest first; one that an answer does not name counts as 0."""
    each = pd.DataFrame([dict(similar) for similar in own["similar"]]).fillna(0.0)
    return each.mean().sort_values(ascending=False, kind="stable")


def relative_hits(decisions: pd.DataFrame, relatives: Mapping[str, Sequence[str]], *, seed: int = 0) -> pd.DataFrame:
    """Count how often a relative is among the most similar services, against guessing.

    Only strange services count of which a relative is known.

    Returns
    -------
    DataFrame
        ``top`` (among so many), ``of`` (``containers``: interval over deployments; ``services``, by their containers'
        mean: Wilson's interval), ``hits, hits_low, hits_high`` (shares), ``chance`` (of that many services drawn at
        random), ``n``. Nothing where no stranger has a known relative.
    """
    near = near_services(decisions, relatives)
    own = decisions[decisions["strange"] & decisions["service"].isin(near)]
    if own.empty:
        return pd.DataFrame(columns=["top", "of", "hits", "hits_low", "hits_high", "chance", "n"])
    known = set(decisions.loc[~decisions["strange"], "service"])
    related = {name: set(relatives[name]) & known - {name} for name in near}
    by_service = most_similar(_known_and(decisions, near), relatives)
    lines = []
    for top in TOPS:
        hit = [
            any(name in related[service] for name, _ in similar[:top])
            for service, similar in zip(own["service"], own["similar"], strict=True)
        ]
        # A service is not counted among those that it could be like.
        chances = {name: _chance(len(known - {name}), len(each), top) for name, each in related.items()}
        values = np.array(hit, dtype=np.float64)
        containers = mean_interval(values, own["unit"].tolist(), own["service"].tolist(), seed=seed)
        services = wilson(float((by_service["rank"] <= top).fillna(False).mean()), len(by_service))
        for of, found, number, chance in (
            ("containers", containers, len(own), own["service"].map(chances).mean()),
            ("services", services, len(by_service), np.mean(list(chances.values()))),
        ):
            line = {"top": top, "of": of, "hits": found.value, "hits_low": found.low, "hits_high": found.high}
            lines.append({**line, "chance": float(chance), "n": number})
    return pd.DataFrame(lines)


def _known_and(decisions: pd.DataFrame, strange: frozenset[str]) -> pd.DataFrame:
    """Keep the known containers and those of some strange services."""
    return decisions[~decisions["strange"] | decisions["service"].isin(strange)]


def _chance(known: int, relatives: int, top: int) -> float:
    """Probability that of so many services drawn at random one is a relative."""
    drawn = min(top, known)
    return 1.0 - comb(known - relatives, drawn) / comb(known, drawn)
