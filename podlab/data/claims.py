"""What a container claims to be: by a user's table, its Kubernetes label, its image, or its pod's name.

These are the rules of :mod:`podlab.data.labels`, read the other way: not as the truth that a model learns, but as what
somebody says and behaviour can contradict. Names of services that the model does not know are claims as well, which
nothing can be said about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from podlab.data.labels import LabelRules, label_containers, names_image, read_aliases


def claim_aliases(path: Path | None = None) -> dict[str, str]:
    """Join the aliases that podlab brings with those of a file, which go first.

    Parameters
    ----------
    path : Path, optional
        As for :func:`podlab.data.labels.read_aliases`; the setting ``aliases_file``.
    """
    tables = [read_aliases(), *([read_aliases(path)] if path is not None else [])]
    return {alias: service for table in tables for part in table.values() for alias, service in part.items()}


def claims_of(
    containers: pd.DataFrame,
    services: Sequence[str],
    *,
    aliases: Mapping[str, str] | None = None,
    table: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Tell what each container claims to be.

    The first rule decides that names one of the services: table, Kubernetes label, image, pod name. A pod's name counts
    only where no image says otherwise: ``redis-exporter`` is no redis. Where no rule names one of the services, the
    label or else the image is the claim.

    Parameters
    ----------
    containers : DataFrame
        As for :func:`podlab.data.labels.label_containers`.
    services : sequence of str
        Those that a model knows.
    aliases : mapping of str to str, optional
        Other name to service; by default :func:`claim_aliases`.
    table : DataFrame, optional
        Explicit claims, as in :class:`podlab.data.labels.LabelRules`.

    Returns
    -------
    DataFrame
        ``claim`` and ``claimed_by`` (the rule), aligned; both are missing where nothing is claimed, or several things.

    Examples
    --------
    >>> pods = pd.DataFrame({"pod": ["a", "b", "redis-exporter-0"], "image": ["valkey:8", "team/shop:1", "exporter:1"]})
    >>> claims_of(pods, ("redis", "nginx"))["claim"].tolist()
    ['redis', 'shop', 'exporter']
    """
    names = claim_aliases() if aliases is None else aliases
    known = label_containers(containers, LabelRules(tuple(services), table, aliases=names))
    image = containers["image"] if "image" in containers else pd.Series(None, index=containers.index, dtype="str")
    has_image = image.map(lambda text: isinstance(text, str) and names_image(text)).astype(bool)
    counts = known.service.notna() & ~((known.how == "pod name") & has_image)
    other = label_containers(containers, LabelRules((), table, aliases=names))
    return pd.DataFrame(
        {
            "claim": known.service.where(counts, other.service),
            "claimed_by": known.how.where(counts, other.how),
        }
    )
