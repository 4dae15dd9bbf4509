"""Telegraf's schema in InfluxDB: which measurement, tags and fields hold which column of the samples table.

The metrics' places come from the catalogue. The tags are those of Telegraf's ``kubernetes`` and ``docker`` inputs:
https://docs.influxdata.com/telegraf/v1/input-plugins/kubernetes/ and .../docker/. ``cluster`` is a global tag that
an operator may have set (``[global_tags]``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from podlab.data.catalogue import AGES, CATALOGUE, LABELS
from podlab.sources.influx_agents import AGENT_TAG
from podlab.sources.influx_http import quote_identifier

CONTAINER: Final = "kubernetes_pod_container"
NETWORK: Final = "kubernetes_pod_network"
VOLUME: Final = "kubernetes_pod_volume"
BLKIO: Final = "docker_container_blkio"
#: What Telegraf does not carry; written by a replay only, read where it is there.
IDENTITY: Final = "podlab_container"

CLUSTER_TAG: Final = "cluster"
NODE_TAG: Final = "node_name"
NAMESPACE_TAG: Final = "namespace"
POD_TAG: Final = "pod_name"
SCRAPED_POD_TAG: Final = "pod"
CONTAINER_TAG: Final = "container_name"
VOLUME_TAG: Final = "volume_name"
#: Labels that the kubelet gives each Docker container, and Telegraf keeps as tags unless told otherwise.
DOCKER_LABELS: Final = {
    "namespace": "io.kubernetes.pod.namespace",
    "pod": "io.kubernetes.pod.name",
    "container": "io.kubernetes.container.name",
    "pod_uid": "io.kubernetes.pod.uid",
}
#: Docker's name of a container that the kubelet started. No part may hold an underscore in Kubernetes.
_DOCKER_NAME: Final = re.compile(
    r"k8s_(?P<container>[^_]*)_(?P<pod>[^_]*)_(?P<namespace>[^_]*)_(?P<pod_uid>[^_]*)_\d+", re.DOTALL
)

#: What a replay writes besides labels; files' inodes and the age of values no input of Telegraf tells.
_CARRIED: Final = (
    "pod_uid", "image", "started_at", "image_size_bytes", "rootfs_inodes_used", *AGES.values()
)  # fmt: skip

_POD_TAGS: Final = (CLUSTER_TAG, NODE_TAG, NAMESPACE_TAG, POD_TAG)


@dataclass(frozen=True)
class Measurement:
    """One measurement, as far as podlab reads it.

    Attributes
    ----------
    name : str
        Its name in InfluxDB.
    tags : tuple of str
        The tags that tell its series apart.
    fields : dict of str to str
        Column of the samples table -> field.
    only : dict of str to str
        Tag values that a row must have.
    without : dict of str to tuple of str
        Tag values, of plain letters, that no row may have.
    """

    name: str
    tags: tuple[str, ...]
    fields: dict[str, str]
    only: dict[str, str] = field(default_factory=dict)
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tags_asked_for(self) -> tuple[str, ...]:
        """The tags, and last whose agent's the rows are where that is none of them."""
        return self.tags if AGENT_TAG in self.tags else (*self.tags, AGENT_TAG)

    def query(self, pods: Collection[str] | None = None) -> str:
        """InfluxQL for all series in ``$since <= time < $until``, each agent's by itself.

        The values of ``only`` are bound by tag name.

        Parameters
        ----------
        pods : collection of str, optional
            Only series of pods with one of these names. The server finds them in its index, and reads no others.
        """
        fields = ", ".join(quote_identifier(name) for name in self.fields.values())
        tags = ", ".join(quote_identifier(tag) for tag in self.tags_asked_for)
        only = "".join(f" AND {quote_identifier(tag)} = ${tag}" for tag in self.only)
        only += "".join(
            f" AND {quote_identifier(tag)} != '{value}'" for tag, values in self.without.items() for value in values
        )
        only += "" if pods is None else f" AND ({self._of(pods)})"
        return (
            f"SELECT {fields} FROM {quote_identifier(self.name)} WHERE time >= $since AND time < $until{only}"  # noqa: S608
            f" GROUP BY {tags}"
        )

    def _of(self, pods: Collection[str]) -> str:
        # Every character of meaning is written as its number: no name can end the pattern or the statement.
        names = "|".join(re.sub(r"[^A-Za-z0-9-]", lambda found: rf"\x{{{ord(found[0]):x}}}", name) for name in pods)
        for tag in (POD_TAG, SCRAPED_POD_TAG):
            if tag in self.tags:
                return f"{quote_identifier(tag)} =~ /^(?:{names})$/"
        label, name = quote_identifier(DOCKER_LABELS["pod"]), quote_identifier(CONTAINER_TAG)
        return f"{label} =~ /^(?:{names})$/ OR {name} =~ /^k8s_[^_]*_(?:{names})_/"


def measurements(columns: Collection[str]) -> list[Measurement]:
    """List the measurements that hold some of ``columns``; the containers' own always stands first."""

    def fields_of(measurement: str) -> dict[str, str]:
        places = {column: metric.influxdb for column, metric in CATALOGUE.items() if metric.influxdb is not None}
        return {c: place[1] for c, place in places.items() if place[0] == measurement and c in columns}

    # Rows are counted by the containers' measurement: without a field of it there is no row.
    container = fields_of(CONTAINER) or {"memory_working_set_bytes": "memory_working_set_bytes"}
    docker_tags = (CLUSTER_TAG, CONTAINER_TAG, *DOCKER_LABELS.values())
    others = [
        Measurement(NETWORK, _POD_TAGS, fields_of(NETWORK)),
        Measurement(VOLUME, (*_POD_TAGS, VOLUME_TAG), fields_of(VOLUME)),
        Measurement(BLKIO, docker_tags, fields_of(BLKIO), only={"device": "total"}),
        Measurement(
            IDENTITY,
            (*_POD_TAGS, CONTAINER_TAG),
            {column: column for column in (*_CARRIED, *LABELS)},
        ),
    ]
    return [Measurement(CONTAINER, (*_POD_TAGS, CONTAINER_TAG), container), *(m for m in others if m.fields)]


def docker_name(container: str, pod: str, namespace: str, pod_uid: str) -> str:
    """Name a container as the kubelet names it for Docker.

    Examples
    --------
    >>> docker_name("web", "shop-1", "default", "0a1b")
    'k8s_web_shop-1_default_0a1b_0'
    """
    return f"k8s_{container}_{pod}_{namespace}_{pod_uid}_0"


def read_docker_tags(tags: tuple[str, ...]) -> tuple[str, str, str, str, str] | None:
    """Tell which container a series of :data:`BLKIO` is about.

    Parameters
    ----------
    tags : tuple of str
        Values of that measurement's tags, in their order.

    Returns
    -------
    tuple of str or None
        Cluster, namespace, pod, container and uid; None for a container that Kubernetes did not start.
    """
    cluster, name, *labels = tags
    given = dict(zip(DOCKER_LABELS, labels, strict=True))
    if not (given["pod"] and given["container"]):
        match = _DOCKER_NAME.fullmatch(name)
        if match is None:
            return None
        given = match.groupdict()
    return cluster, given["namespace"], given["pod"], given["container"], given["pod_uid"]
