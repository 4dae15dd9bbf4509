"""Gathering samples for the notebooks: from recordings, from a live source, or only what a cluster says is running."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd

from podlab.config import Settings
from podlab.data.labels import LabelReport, LabelRules, label_containers
from podlab.data.recordings import read_training
from podlab.errors import InputError, PodlabError
from podlab.kubernetes.inventory import enrich
from podlab.live import cluster_inventory, label_samples, live_source
from podlab.plugins import SOURCES
from podlab.sources.collect import collect


@dataclass(frozen=True)
class Gathered:
    """What a source gave."""

    #: A samples table; ``None`` from a cluster, which only tells what runs.
    samples: pd.DataFrame | None
    #: What the label rules said of each container; ``None`` where the samples brought their labels along.
    labels: LabelReport | None
    #: One sentence for the reader: what could not be had, empty if nothing.
    note: str = ""


def gather(source: str, settings: Settings, *, recordings: Sequence[Path | str] = ()) -> Gathered:
    """Gather labelled samples.

    Raises InputError if there is no such source, or it cannot be read.

    Parameters
    ----------
    source : {"recording", "influxdb", "prometheus", "kubelet", "cluster"}
        ``recording`` reads files and data sets, labels included; of data sets too large for memory, some containers.
        ``influxdb`` and ``prometheus`` fetch the last ``fetch_window``, ``kubelet`` watches for so long; labelled by
        the rules, with the cluster's inventory where one can be reached. ``cluster`` gives the inventory and its
        labels.
    settings : Settings
        Addresses, passwords, fetch window, services, cluster.
    recordings : sequence of Path or str
        For ``recording``: the files.
    """
    if source == "recording":
        samples = read_training([Path(path) for path in recordings], services=settings.services or None)
        return Gathered(_only(samples, settings), None)
    if source in SOURCES.names():
        # Whatever the setting says: the notebook's reader sees the parameter.
        return _from_live(settings.model_copy(update={"metrics_source": source}))
    if source == "cluster":
        inventory = cluster_inventory(settings)
        return Gathered(None, label_containers(inventory, LabelRules(services=settings.services)))
    what = f"unknown source {source!r}"
    raise InputError(what, hint=f"choose one of recording, {', '.join(SOURCES.names())}, cluster")


def _from_live(settings: Settings) -> Gathered:
    with closing(live_source(settings)) as source:
        wait = timedelta(0) if source.has_past else settings.fetch_window
        samples = collect(source, window=settings.fetch_window, wait=wait)
    if "service" in samples and samples["service"].notna().any():
        return Gathered(_only(samples, settings), None, "The database holds a replayed recording, labels included.")
    note = ""
    inventory: pd.DataFrame | None = None
    try:
        inventory = cluster_inventory(settings)
        samples = enrich(samples, inventory)
    except PodlabError as error:
        note = f"Names alone had to do, there is no inventory of the cluster: {error}."
    samples, report = label_samples(samples, inventory, LabelRules(services=settings.services))
    return Gathered(_only(samples, settings), report, note)


def _only(samples: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Keep the containers of the services asked for, all where none is named."""
    if not settings.services:
        return samples
    kept = samples[samples["service"].isin(settings.services)] if "service" in samples else samples[:0]
    if kept.empty:
        raise InputError(f"no container of {', '.join(settings.services)}", where="services")
    return kept.reset_index(drop=True)
