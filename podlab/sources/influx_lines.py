"""Samples as points in Telegraf's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, TIMES
from podlab.errors import InputError
from podlab.sources import influx_prometheus as prometheus_input
from podlab.sources import influx_schema as schema
from podlab.sources.line_protocol import format_fields, format_tags
from podlab.sources.prometheus_dialect import CADVISOR

_NS_PER_S: Final = 1_000_000_000
#: How many of ``jitter_s`` later than the containers' own a measurement is stamped.
_LATER: Final = {schema.NETWORK: 1, schema.VOLUME: 2, schema.BLKIO: 3}
#: A recording holds the sum over a pod's volumes, so one volume stands for all.
_VOLUME_NAME: Final = "all"
_NAMES: Final = ["cluster", "node", "namespace", "pod", "pod_uid", "container", "image"]
_POD: Final = ["cluster", "namespace", "pod"]


class PointWriter:
    """Writes rows of a samples table as lines of line protocol, one measurement a line.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    where : str
        The file it came from, for errors.
    jitter_s : float
        See :func:`podlab.sources.replay.replay`.

    Raises
    ------
    InputError
        If a name cannot be a tag, or if Telegraf's schema cannot tell two rows apart.
    """

    def __init__(self, samples: pd.DataFrame, *, where: str, jitter_s: float = 0.0) -> None:
        # Of names a recording need hold the pod's and the container's only.
        samples = samples.assign(**{name: None for name in _NAMES if name not in samples})
        _refuse_indistinct(samples, where)
        self._measurements = schema.measurements(samples.columns)
        self._later_ns = {name: round(times * jitter_s * _NS_PER_S) for name, times in _LATER.items()}
        names = samples[_NAMES].astype("object").where(samples[_NAMES].notna(), "")
        numbers, distinct = pd.factorize(pd.MultiIndex.from_frame(names))
        self._who = numbers
        self._tags = [
            {m.name: m.name + format_tags(_tags(m.name, named), where=where) for m in self._measurements}
            for named in (dict(zip(_NAMES, key, strict=True)) for key in distinct)
        ]
        self._time_ns = samples["time"].astype("int64").to_numpy()
        self._samples = samples
        self._scraped = [
            (columns, [self._scraped_head(dict(zip(_NAMES, key, strict=True)), per_pod, where) for key in distinct])
            for per_pod, columns in prometheus_input.written_columns(samples.columns).items()
        ]

    def lines(self, start: int, stop: int, *, shift_ns: int) -> list[str]:
        """Write the rows from ``start`` to before ``stop``, their times shifted by ``shift_ns``."""
        rows = slice(start, stop)
        who = self._who[rows].tolist()
        time_ns = (self._time_ns[rows] + shift_ns).tolist()
        lines = []
        for measurement in self._measurements:
            stamps = [ns + self._later_ns.get(measurement.name, 0) for ns in time_ns]
            present = {column: name for column, name in measurement.fields.items() if column in self._samples}
            values = [_plain(self._samples[column].iloc[rows], shift_ns) for column in present]
            for number, stamp, row in zip(who, stamps, zip(*values, strict=True), strict=False):
                fields = {name: value for name, value in zip(present.values(), row, strict=True) if value is not None}
                if fields:
                    lines.append(f"{self._tags[number][measurement.name]} {format_fields(fields)} {stamp}")
        for columns, heads in self._scraped:
            lines += self._scraped_lines(rows, columns, [heads[number] for number in who], time_ns)
        return lines

    @staticmethod
    def _scraped_head(named: Mapping[str, str], per_pod: bool, where: str) -> str:
        group = f"/kubepods/burstable/pod{named['pod_uid']}"
        own = {"id": f"{group}/pause", "interface": "eth0"}
        if not per_pod:
            own = {"id": f"{group}/{named['container']}", "container": named["container"], "image": named["image"]}
        tags = {name: named[name] for name in ("cluster", "namespace", "pod")} | {"host": named["node"]} | own
        return prometheus_input.ALL_IN_ONE + format_tags(tags, where=where)

    def _scraped_lines(self, rows: slice, columns: list[str], heads: list[str], time_ns: list[int]) -> list[str]:
        """Write what the ``prometheus`` input would, in one point of all metrics of a container or pod."""
        age = AGES.get(CATALOGUE[columns[0]].family)
        if age in self._samples:
            age_ns = (self._samples[age].iloc[rows].fillna(0.0).to_numpy() * _NS_PER_S).round().astype(np.int64)
            time_ns = (np.array(time_ns) - age_ns).tolist()
        values = []
        for column in columns:
            given = self._samples[column].iloc[rows]
            scaled = given.astype("Float64").to_numpy(np.float64, na_value=np.nan) / CADVISOR.places[column].scale
            values.append([None if gone else value for value, gone in zip(scaled.tolist(), given.isna(), strict=True)])
        names = [CADVISOR.places[column].name for column in columns]
        lines = []
        for head, stamp, row in zip(heads, time_ns, zip(*values, strict=True), strict=True):
            fields = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            if fields:
                lines.append(f"{head} {format_fields(fields)} {stamp}")
        return lines


def _tags(measurement: str, named: Mapping[str, str]) -> dict[str, str]:
    node = named["node"]
    if measurement == schema.BLKIO:
        image, _, version = named["image"].rpartition(":")
        name = schema.docker_name(named["container"], named["pod"], named["namespace"], named["pod_uid"])
        labels = {label: named[column] for column, label in schema.DOCKER_LABELS.items()}
        about = {
            "engine_host": node,
            "container_image": image or version,
            "container_version": version if image else "",
        }
        tags = {schema.CONTAINER_TAG: name, "device": "total", **about, **labels}
    else:
        tags = {schema.NODE_TAG: node, schema.NAMESPACE_TAG: named["namespace"], schema.POD_TAG: named["pod"]}
        if measurement == schema.VOLUME:
            tags[schema.VOLUME_TAG] = _VOLUME_NAME
        elif measurement != schema.NETWORK:
            tags[schema.CONTAINER_TAG] = named["container"]
    return {schema.CLUSTER_TAG: named["cluster"], "host": node, **tags}


def _plain(values: pd.Series, shift_ns: int) -> list[Any]:
    """Bring a column to what line protocol knows; None where a value is missing."""
    missing = values.isna().to_numpy(dtype=bool)
    name = str(values.name)
    plain: list[Any]
    if name in TIMES:
        plain = (values.astype("int64") + shift_ns).tolist()
    elif name in CATALOGUE:
        # Telegraf writes integers; a gauge's fraction is less than its unit.
        whole = values.round() if values.dtype == np.float64 else values
        plain = whole.fillna(0).astype("int64").tolist()
    elif values.dtype == "boolean":
        plain = values.fillna(False).astype(bool).tolist()
    else:
        plain = values.astype("object").tolist()
    return [None if gone else value for gone, value in zip(missing.tolist(), plain, strict=True)]


def _refuse_indistinct(samples: pd.DataFrame, where: str) -> None:
    """Refuse rows that would become one point, of which the last would win."""
    twins = samples.duplicated([*_POD, "container", "time"])
    if not twins.any():
        per_pod = [c for c in samples if str(c) in CATALOGUE and CATALOGUE[str(c)].per == "pod"]
        shared = samples[samples.duplicated([*_POD, "time"], keep=False)].dropna(subset=per_pod)
        twins = ~shared.duplicated([*_POD, "time", *per_pod]) & shared.duplicated([*_POD, "time"])
        samples = shared
    if twins.any():
        row = samples[twins].iloc[0]
        raise InputError(
            f"pod {row['pod']!r} stands twice at {row['time']}, with different values",
            where=where,
            hint="Telegraf's schema tells pods apart by name alone: replay their recordings into different databases",
        )
