"""Metric filters: which columns of the samples table something may learn from, by a name or as a list.

Names, images and the image's size tell which container a row is from, not how a service behaves. Filters with them
exist only to show that leak; :func:`features_of` refuses them.
"""

from __future__ import annotations

from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY, FEATURE_METRICS
from podlab.errors import InputError

#: Columns with words; a tree reads them as codes.
STRING_COLUMNS: tuple[str, ...] = ("node", *CONTAINER_KEY, "image")


def _family(family: str) -> tuple[str, ...]:
    return tuple(name for name in FEATURE_METRICS if CATALOGUE[name].family == family)


#: The columns that each filter lets through.
FILTERS: dict[str, tuple[str, ...]] = {
    "all": (*STRING_COLUMNS, *FEATURE_METRICS, "image_size_bytes"),
    "only-numbers": (*FEATURE_METRICS, "image_size_bytes"),
    "only-numbers-no-image-size": FEATURE_METRICS,
    "only-strings": STRING_COLUMNS,
    "only-memory": _family("memory"),
    "only-cpu": _family("cpu"),
}
#: What identification learns from unless told otherwise.
DEFAULT_FILTER = "only-numbers-no-image-size"


def columns_of(metric_filter: str) -> tuple[str, ...]:
    """Name the columns that a filter lets through, also such as give the container away.

    Parameters
    ----------
    metric_filter : str
        A name in :data:`FILTERS`, or column names with commas between them.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> columns_of("only-cpu")
    ('cpu_usage_nanocores', 'cpu_usage_core_nanoseconds')
    >>> columns_of("rx_bytes, tx_bytes")
    ('rx_bytes', 'tx_bytes')
    """
    if metric_filter in FILTERS:
        return FILTERS[metric_filter]
    names = tuple(dict.fromkeys(name.strip() for name in metric_filter.split(",") if name.strip()))
    unknown = [name for name in names if name not in FILTERS["all"]]
    if unknown or not names:
        raise InputError(
            f"{unknown[0] if unknown else metric_filter!r} is neither a filter nor a column",
            where="metric filter",
            hint=f"filters are {', '.join(FILTERS)}; columns are {', '.join(FILTERS['all'])}",
        )
    return names


def features_of(metric_filter: str) -> tuple[str, ...]:
    """Name the metric columns that a filter lets identification learn from.

    Parameters
    ----------
    metric_filter : str
        As for :func:`columns_of`.

    Raises
    ------
    InputError
        If it is no filter, or lets through a column that names the container.

    Examples
    --------
    >>> features_of("only-cpu")
    ('cpu_usage_nanocores', 'cpu_usage_core_nanoseconds')
    """
    columns = columns_of(metric_filter)
    telling = [name for name in columns if name not in FEATURE_METRICS]
    if telling:
        raise InputError(
            f"{metric_filter!r} lets {', '.join(telling)} through, which name the container instead of measuring it",
            where="metric filter",
            hint=f"use {DEFAULT_FILTER}, only-memory, only-cpu or a list of metric columns",
        )
    return columns
