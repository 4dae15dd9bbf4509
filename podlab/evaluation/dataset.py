"""Labelled samples by container, so that whole containers train or are tested, and metric filters.

Metric filters say by a name which columns something may learn from. Names, images and the image's size identify a
container, not how a service behaves. Filters with them exist only to show that leak; :func:`features_of` refuses them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import IntArray
from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY, FEATURE_METRICS
from podlab.data.draws import join_draws
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.evaluation.splits import TextArray
from podlab.features.rows import read_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledSamples:
    """Samples with a service, and which container each row is of."""

    samples: pd.DataFrame  # only rows with a service (n_rows,)
    code: IntArray  # each row's position in ``containers`` (n_rows,)
    #: Identity and labels, in order of appearance; with a variant also its two parts, ``load`` and ``configuration``;
    #: with a table of draws also what was drawn (n_containers,).
    containers: pd.DataFrame

    def take(self, positions: IntArray) -> pd.DataFrame:
        """Give the rows of some containers (positions rising), in their order here."""
        return self.samples[self._is_of(positions)].reset_index(drop=True)

    def part(self, positions: IntArray) -> LabelledSamples:
        """Give a data set of some containers (positions rising)."""
        number = np.full(len(self.containers), -1, dtype=np.int64)
        number[positions] = np.arange(len(positions))
        code = number[self.code]
        samples = self.samples[code >= 0].reset_index(drop=True)
        return LabelledSamples(samples, code[code >= 0], self.containers.iloc[positions].reset_index(drop=True))

    def digest(self, positions: IntArray) -> str:
        """Give the SHA-256 of the rows of some containers: of columns, values and order."""
        columns = repr([(name, str(kind)) for name, kind in self.samples.dtypes.items()])
        return hashlib.sha256(columns.encode() + self._row_hashes[self._is_of(positions)].tobytes()).hexdigest()

    def _is_of(self, positions: IntArray) -> NDArray[np.bool_]:
        chosen = np.zeros(len(self.containers), dtype=bool)
        chosen[positions] = True
        return chosen[self.code]

    @cached_property
    def _row_hashes(self) -> NDArray[np.uint64]:
        return np.asarray(pd.util.hash_pandas_object(self.samples, index=False))

    def until(self, horizon_s: float) -> LabelledSamples:
        """Keep only rows of the first seconds; containers without any stay."""
        early = self.offset_s() < horizon_s
        return replace(self, samples=self.samples[early].reset_index(drop=True), code=self.code[early])

    def offset_s(self) -> NDArray[np.float64]:
        """Seconds of each row since its container's start, or its first row where that is missing (n_rows,)."""
        start = self.samples["started_at"].fillna(self.samples.groupby(self.code)["time"].transform("min"))
        return np.asarray((self.samples["time"] - start).dt.total_seconds(), dtype=np.float64)

    def shuffle_labels(self, units: TextArray, seed: int) -> LabelledSamples:
        """Hand each deployment's service to another one, drawn at random.

        ``units`` (n_containers,) are each container's deployment, whose containers all get the same service; the same
        arguments give the same labels.
        """
        codes = pd.factorize(units)[0]
        first = np.unique(codes, return_index=True)[1]
        services = self.containers["service"].to_numpy(object)[first]
        shuffled = np.random.default_rng(seed).permutation(services)[codes]
        return replace(
            self,
            samples=self.samples.assign(service=pd.array(shuffled[self.code], dtype="str")),
            containers=self.containers.assign(service=pd.array(shuffled, dtype="str")),
        )


def read_dataset(
    samples: pd.DataFrame,
    services: Sequence[str] | None = None,
    *,
    until_s: float | None = None,
    draws: pd.DataFrame | None = None,
) -> LabelledSamples:
    """Choose the labelled containers of a samples table.

    Raises InputError if nothing is labelled, a wanted service is not there, or no container was seen in its first
    seconds.

    Parameters
    ----------
    samples : DataFrame
        As :func:`podlab.data.samples.check_samples` returns it.
    services : sequence of str, optional
        Only these; by default all that are labelled.
    until_s : float, optional
        Keep only rows of a container's first seconds, and no container that has none.
    draws : DataFrame, optional
        What was drawn for each deployment, from :func:`podlab.data.draws.find_draws`.
    """
    if "service" not in samples or samples["service"].isna().all():
        raise InputError("no row has a service", hint="give a labelled recording")
    there = sorted(samples["service"].dropna().unique())
    missing = [service for service in services or () if service not in there]
    if missing:
        raise InputError(f"no samples of service {missing[0]!r}", hint=f"there are {', '.join(there)}")
    dataset = _number_containers(samples[samples["service"].isin(list(services or there))], draws)
    if until_s is None:
        return dataset
    early = dataset.samples[dataset.offset_s() < until_s]
    if early.empty:
        what = f"no container was seen in the first {until_s:g} s after its start"
        raise InputError(what, hint="give a recording that begins before its containers do, or longer horizons")
    seen = _number_containers(early, draws)
    unseen = len(dataset.containers) - len(seen.containers)
    if unseen:
        log.warning("%d containers were not seen in the first %g s after their start: left out", unseen, until_s)
    return seen


def thin_deployments(samples: pd.DataFrame, per_service: int, *, seed: int = 0) -> pd.DataFrame:
    """Keep some deployments of each service, so that training many models on a large recording stays quick.

    Where a service was recorded at several sites, these take turns: with eight deployments of each service out of 795,
    two thirds of them at one of four sites, macro-F1 at sites held out was .75 to .77, and without turns .63 to .67.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``.
    per_service : int
        How many at most; 0 keeps all.
    seed : int
        Draws them, independent of the order of rows.
    """
    if not per_service or "deployment" not in samples:
        return samples
    kept = [name for name in ("service", "site", "deployment") if name in samples]
    named = samples[kept].drop_duplicates("deployment").sort_values("deployment").sample(frac=1.0, random_state=seed)
    if "site" in named:
        turn = named.groupby(["service", "site"], dropna=False).cumcount()
        named = named.loc[turn.sort_values(kind="stable").index]
    drawn = named.groupby("service").head(per_service)["deployment"]
    return samples[samples["deployment"].isin(set(drawn))].reset_index(drop=True)


def _number_containers(labelled: pd.DataFrame, draws: pd.DataFrame | None = None) -> LabelledSamples:
    labelled = labelled.reset_index(drop=True)
    code = labelled.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup().to_numpy().astype(np.int64)
    containers = read_rows(labelled).containers
    if "variant" in containers:
        containers = containers.assign(**split_variant(containers["variant"]))
    if draws is not None:
        containers = join_draws(containers, draws)
    return LabelledSamples(labelled, code, containers)


def split_variant(variant: pd.Series) -> dict[str, pd.Series]:
    """Split ``load/configuration`` into its parts; one without a slash is all load, its configuration ``default``."""
    parts = variant.str.partition("/")
    configuration = parts[2].where(parts[2] != "", "default").where(variant.notna())
    return {"load": parts[0].where(variant.notna()), "configuration": configuration}


def activity_of(containers: pd.DataFrame) -> pd.Series:
    """Distinguish ``idle`` from ``loaded`` containers (n_containers,); missing where there is no variant."""
    load = containers.get("load", pd.Series(pd.NA, index=containers.index, dtype="str"))
    return load.str.startswith("idle").map({True: "idle", False: "loaded"}).where(load.notna()).astype("str")


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
#: What identification learns from by default.
DEFAULT_FILTER = "only-numbers-no-image-size"


def columns_of(metric_filter: str) -> tuple[str, ...]:
    """Name the columns that a filter lets through, also such as give the container away.

    Raises InputError if it is neither. A filter is a name in :data:`FILTERS`, or column names with commas between them.

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
        what = f"{unknown[0] if unknown else metric_filter!r} is neither a filter nor a column"
        hint = f"filters are {', '.join(FILTERS)}; columns are {', '.join(FILTERS['all'])}"
        raise InputError(what, where="metric filter", hint=hint)
    return names


def features_of(metric_filter: str) -> tuple[str, ...]:
    """Name the metric columns that a filter lets identification learn from.

    Raises InputError if it is no filter, or lets through a column that names the container. The filter is as for
    :func:`columns_of`.

    Examples
    --------
    >>> features_of("only-cpu")
    ('cpu_usage_nanocores', 'cpu_usage_core_nanoseconds')
    """
    columns = columns_of(metric_filter)
    telling = [name for name in columns if name not in FEATURE_METRICS]
    if telling:
        what = f"{metric_filter!r} lets {', '.join(telling)} through, which name the container instead of measuring it"
        hint = f"use {DEFAULT_FILTER}, only-memory, only-cpu or a list of metric columns"
        raise InputError(what, where="metric filter", hint=hint)
    return columns
