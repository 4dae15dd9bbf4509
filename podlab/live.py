"""Samples of a live database, with what the cluster knows of their containers, as the settings describe both.

For the notebooks also out of recordings, and labelled.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from podlab.config import Settings
from podlab.data.catalogue import CONTAINER_KEY
from podlab.data.labels import LabelReport, LabelRules, apply_labels, label_containers
from podlab.data.recordings import read_training
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError, PodlabError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import enrich, list_kubelets, read_inventory
from podlab.plugins import SOURCES
from podlab.progress import Progress
from podlab.sources.collect import collect
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.kubelet import KubeletClient, KubeletSource
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_client import PrometheusApi
from podlab.sources.protocol import LiveSource

log = logging.getLogger(__name__)

#: How long a kubelet may take for a whole answer.
_KUBELET_S: Final = 10.0


def live_source(
    settings: Settings, *, timeout_s: float | None = None, columns: Collection[str] | None = None
) -> LiveSource:
    """Make the source that the setting ``metrics_source`` names; the caller closes it.

    Raises InputError if there is no such source, or a secret, the certificates or the environment's proxies cannot be
    used. ``timeout_s`` is how long to wait for an answer, ``metrics_timeout`` by default; ``columns`` are the metrics
    to fetch, by default all that the source holds.
    """
    wait_s = settings.metrics_timeout.total_seconds() if timeout_s is None else timeout_s
    source: LiveSource = SOURCES.load(settings.metrics_source)(settings, timeout_s=wait_s, columns=columns)
    return source


def influxdb_source(settings: Settings, *, timeout_s: float, columns: Collection[str] | None) -> LiveSource:
    """Make the source ``influxdb``."""
    database = influx_database(settings, timeout_s=timeout_s)
    return InfluxSource(database, cluster=settings.cluster, columns=columns)


def prometheus_source(settings: Settings, *, timeout_s: float, columns: Collection[str] | None) -> LiveSource:
    """Make the source ``prometheus``."""
    api = prometheus_api(settings, timeout_s=timeout_s)
    return PrometheusSource(api, cluster=settings.cluster, columns=columns, labels=dict(settings.prometheus_labels))


def prometheus_api(settings: Settings, *, timeout_s: float) -> PrometheusApi:
    """Make the client that the settings describe; raises InputError if a secret or the certificates cannot be read."""
    return PrometheusApi(
        settings.prometheus_url, settings.prometheus_user, settings.secret("prometheus_password"),
        settings.secret("prometheus_token"), tenant=settings.prometheus_tenant, ca_file=settings.prometheus_ca_file,
        timeout_s=timeout_s,
    )  # fmt: skip


def influx_database(settings: Settings, *, timeout_s: float = 60.0) -> InfluxDatabase:
    """Make the database that the settings describe; raises InputError if a secret cannot be read."""
    return InfluxDatabase(
        settings.influxdb_url, settings.influxdb_database, settings.influxdb_user,
        settings.secret("influxdb_password"), timeout_s,
        settings.secret("influxdb_token"), settings.influxdb_ca_file,
    )  # fmt: skip


def kubelet_source(settings: Settings, *, timeout_s: float, columns: Collection[str] | None) -> LiveSource:
    """Make the source ``kubelet``, with the credentials for the API server, by which kubelets check them."""
    connection = connect(settings.kubernetes_endpoint, settings.kubernetes_access)
    shown = connection.credentials
    interval_s = settings.kubelet_interval.total_seconds()
    client = KubeletClient(
        shown.headers, authority=str(settings.kubelet_ca_file or shown.authority or "") or None,
        verify=settings.kubelet_verify, certificate=shown.certificate, key=shown.key,
        # A node that takes longer is asked again rather than waited for.
        timeout_s=min(timeout_s, max(2 * interval_s, _KUBELET_S)),
    )  # fmt: skip

    def let_go() -> None:
        client.close()
        connection.close()

    window_s = max(settings.fetch_window, settings.training_interval).total_seconds() + 2 * interval_s
    return KubeletSource(
        lambda: list_kubelets(connection), client.get, cluster=settings.cluster, interval_s=interval_s,
        window_s=window_s, columns=columns, let_go=let_go,
    ).start()  # fmt: skip


def cluster_inventory(settings: Settings) -> pd.DataFrame:
    """List what runs in the settings' cluster; see :func:`podlab.kubernetes.inventory.read_inventory`."""
    connection = connect(settings.kubernetes_endpoint, settings.kubernetes_access)
    return read_inventory(connection, cluster=settings.cluster)


def observe_cluster(
    settings: Settings, *, progress: Progress | None = None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Fetch the samples of the last ``fetch_window``, and what runs in the cluster.

    Kubelets keep no past: they are watched for as long. Raises InputError or PodlabError if the source cannot be read.

    Returns
    -------
    samples : DataFrame
        With what the cluster knows of each container.
    inventory : DataFrame or None
        From :func:`cluster_inventory`; None where the cluster cannot be asked.
    """
    samples = _collect(settings, progress)
    try:
        known = cluster_inventory(settings)
    except PodlabError as error:
        log.warning("labels, images and owners are not known: %s", error)
        return samples, None
    return enrich(samples, known), known


def _collect(settings: Settings, progress: Progress | None = None) -> pd.DataFrame:
    with closing(live_source(settings)) as live:
        wait = timedelta(0) if live.has_past else settings.fetch_window
        return collect(live, window=settings.fetch_window, wait=wait, progress=progress)


def label_samples(
    samples: pd.DataFrame, inventory: pd.DataFrame | None, rules: LabelRules
) -> tuple[pd.DataFrame, LabelReport]:
    """Label samples by what they and the cluster say of each container.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table, with the inventory's uids where there is an inventory
        (:func:`podlab.kubernetes.inventory.enrich`).
    inventory : DataFrame or None
        From :func:`cluster_inventory`; without it there are no Kubernetes labels and owners to go by.

    Returns
    -------
    samples : DataFrame
        With ``service`` and ``deployment``; values that were there stay.
    report : LabelReport
        What was labelled how, and what not.
    """
    key = [column for column in (*INSTANCE_KEY, "image") if column in samples]
    containers = samples[key].drop_duplicates(ignore_index=True)
    if inventory is not None:
        # A row without the inventory's uid is of a pod that is gone, and whose labels nobody knows.
        known = inventory[[*CONTAINER_KEY, "pod_labels", "owner_kind", "owner_name"]]
        containers = containers.merge(known.drop_duplicates(list(CONTAINER_KEY)), how="left", on=list(CONTAINER_KEY))
    report = label_containers(containers, rules)
    return apply_labels(samples, report), report


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
    samples = _collect(settings)
    if "service" in samples and samples["service"].notna().any():
        return Gathered(_only(samples, settings), None, "The database holds a replayed recording, labels included.")
    note, inventory = "", None
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
