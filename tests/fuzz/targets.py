"""What is fuzzed: each reader of something foreign, with something sound to damage.

A target gets random numbers and reads what it damaged with them. It may raise PodlabError, which is a line for the
user; anything else is a fault, and so is a value that cannot be.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE
from podlab.data.recordings import read_recording, write_recording
from podlab.errors import PodlabError
from podlab.importing import import_files, read_mapping
from podlab.kubernetes.client import ApiConnection, no_credentials
from podlab.kubernetes.inventory import read_inventory
from podlab.kubernetes.objects import PodEvent, decode_event, watched
from podlab.model import bundle
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.run import read_notebook
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.kubelet_answers import add_cadvisor, read_summary, stored_columns
from podlab.sources.prometheus_client import QueryError, read_matrix, read_names, read_refusal
from podlab.sources.telegraf import CONTAINER, measurements
from tests.fuzz.spoil import ODD, spoil_bytes, spoil_text, spoil_values
from tests.support.bundles import replace_file, write_bundle
from tests.support.synthetic import make_samples

Target = Callable[[random.Random], None]

_KUBELET = Path(__file__).parents[1] / "sources" / "kubelet-1.36"
_SINCE = pd.Timestamp("2026-01-05T08:00:00Z")


def _encoded(document: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return spoil_bytes(json.dumps(document).encode(), rng)
    return json.dumps(spoil_values(document, rng)).encode("utf-8", "replace")


@cache
def _samples() -> pd.DataFrame:
    return make_samples(("nginx", "redis"), deployments_per_service=1, seconds=12)


def _check(samples: pd.DataFrame) -> None:
    """No sample holds a value that cannot be."""
    assert samples["time"].notna().all()
    assert not samples.duplicated(["cluster", "namespace", "pod", "pod_uid", "container", "started_at", "time"]).any()
    for name in samples.select_dtypes("number"):
        values = samples[name].dropna().astype("float64")
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name


def prometheus(rng: random.Random) -> None:
    """The answers of Prometheus' API."""
    labels = {"__name__": "container_cpu_usage_seconds_total", "pod": "web-1", "namespace": "shop", "container": "main"}
    values = [[1767600000 + n, str(n)] for n in range(3)]
    result = [{"metric": {**labels, "pod": f"web-{n}"}, "values": values} for n in range(2)]
    body = _encoded({"status": "success", "data": {"resultType": "matrix", "result": result}}, rng)
    read_refusal(body)
    for read in (read_names, read_matrix):
        try:
            found = read(body, where="fuzz")
        except (PodlabError, QueryError):
            continue
        if read is read_matrix:
            assert len(found.series) == len(found.time_ms) == len(found.value)
            assert np.isfinite(found.value).all()
            assert (np.abs(found.time_ms) < 10**13).all()


class _Influx(InfluxSource):
    """A source whose answers come from here."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(InfluxDatabase("http://127.0.0.1:1", "telegraf"))
        self._rng = rng
        self._spoiled = rng.choice([CONTAINER, "kubernetes_pod_network", ""])

    def _query(self, text: str, bound: dict[str, object]) -> bytes:
        found = [m for m in measurements(self.columns) if f'"{m.name}"' in text]
        if not found:
            return msgspec.msgpack.encode({"results": [{"series": []}]})
        [measurement] = found[:1]
        tags = {tag: "" if tag == "cluster" else f"{tag}-1" for tag in measurement.tags}
        start = _SINCE.value
        rows = [[start + n * 10**10, *[n * 1000 for _ in measurement.fields]] for n in range(4)]
        series = [{"name": measurement.name, "tags": tags, "values": rows}]
        series[0]["columns"] = ["time", *measurement.fields.values()]
        document = {"results": [{"statement_id": 0, "series": series}]}
        if self._spoiled not in (measurement.name, ""):
            return msgspec.msgpack.encode(document)
        if self._rng.random() < 0.5:
            return _encoded(document, self._rng)
        try:
            packed = msgspec.msgpack.encode(spoil_values(document, self._rng))
        except (OverflowError, RecursionError, msgspec.EncodeError):  # what msgpack itself cannot hold
            packed = msgspec.msgpack.encode(document)
        return spoil_bytes(packed, self._rng) if self._rng.random() < 0.3 else packed


def influxdb(rng: random.Random) -> None:
    """The answers of InfluxDB, as msgpack and as JSON."""
    source = _Influx(rng)
    try:
        _check(source.fetch(_SINCE, _SINCE + pd.Timedelta(minutes=1)))
    finally:
        source.close()


@cache
def _kubelet_answers() -> tuple[Any, str]:
    summary = json.loads((_KUBELET / "stats-summary.json").read_text())
    summary["pods"] = summary["pods"][:3]
    lines = (_KUBELET / "metrics-cadvisor.txt").read_text().splitlines()
    return summary, "\n".join(lines[:120]) + "\n"


def kubelet(rng: random.Random) -> None:
    """A kubelet's summary, and cAdvisor's metrics."""
    summary, cadvisor = _kubelet_answers()
    told = stored_columns(CATALOGUE)
    reading = read_summary(_encoded(summary, rng) if rng.random() < 0.6 else json.dumps(summary).encode(), "n", told)
    add_cadvisor(reading, spoil_text(cadvisor, rng), "n", tolerance_s=30.0)
    assert (reading.numbers >= -1).all()
    assert (reading.time_ns > 0).all()


@dataclass(frozen=True)
class _Api(ApiConnection):
    """An API server that answers from here."""

    answers: list[bytes]

    def request(self, *_: object, **__: object) -> bytes:
        return self.answers.pop(0) if self.answers else b'{"items": []}'


def api_server(rng: random.Random) -> None:
    """Lists of pods and nodes, and events of a watch."""
    state = {"running": {"startedAt": "2026-01-05T08:00:00Z"}}
    meta = {"name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "17", "labels": {"app": "web"}}
    owner = {"kind": "ReplicaSet", "name": "web-5d", "controller": True}
    containers = [{"name": "main", "image": "nginx:1.25"}]
    status = {"phase": "Running", "containerStatuses": [{"name": "main", "image": "nginx:1.25", "state": state}]}
    pod = {
        "metadata": {**meta, "ownerReferences": [owner]}, "status": status,
        "spec": {"containers": containers, "initContainers": [{"name": "i", "restartPolicy": "Always"}]},
    }  # fmt: skip
    node = {"metadata": {"name": "n"}, "status": {"images": [{"names": ["nginx:1.25"], "sizeBytes": 7}]}}
    try:
        event = decode_event(_encoded({"type": "ADDED", "object": pod}, rng))
        if isinstance(event, PodEvent):
            watched(event.object)
    except PodlabError:
        pass
    answers = [_encoded({"metadata": {"resourceVersion": "17"}, "items": [one]}, rng) for one in (node, pod)]
    read_inventory(_Api(no_credentials("http://127.0.0.1:1"), "fuzz", 1.0, answers))


_MAPPING = """
[time]
column = "time"
format = "unix-s"
[identity]
namespace = {value = "shop"}
pod = "pod"
container = {file = "^([a-z]+)"}
[labels]
service = "service"
[[column]]
name = "cpu"
metric = "cpu_usage_core_nanoseconds"
unit = "s"
[[column]]
name = "mem"
metric = "memory_usage_bytes"
unit = "KiB"
"""


def mapping(rng: random.Random) -> None:
    """A mapping for an import."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mapping.toml"
        path.write_bytes(spoil_text(_MAPPING.replace("\n", " \n "), rng))
        read_mapping(path)


def imports(rng: random.Random) -> None:
    """Files that are imported: CSV and JSON lines."""
    rows = [{"time": 1767600000 + n, "pod": "web-1", "service": "web", "cpu": n, "mem": 4000 + n} for n in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mapping.toml").write_text(_MAPPING)
        if rng.random() < 0.5:
            path = Path(folder) / "metrics.csv"
            text = pd.DataFrame(rows).to_csv(index=False, sep=rng.choice(",;\t"))
            if rng.random() < 0.3:
                text = "".join(f"#default,{rng.choice(ODD)}\n,{text}".replace("\n1", "\n,1") for _ in range(2))
            path.write_bytes(spoil_text(text, rng))
        else:
            path = Path(folder) / "metrics.jsonl"
            path.write_bytes(b"\n".join(_encoded(row, rng) for row in rows))
        _check(import_files([path], read_mapping(Path(folder) / "mapping.toml")).samples)


@cache
def _recordings() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("one.parquet", "one.csv")]
        write_recording(_samples(), paths[0])
        _samples().head(6).to_csv(paths[1], index=False)
        return {path.name: path.read_bytes() for path in paths}


def recordings(rng: random.Random) -> None:
    """Recordings, Parquet and CSV."""
    with tempfile.TemporaryDirectory() as folder:
        name, content = rng.choice(list(_recordings().items()))
        path = Path(folder) / name
        path.write_bytes(spoil_bytes(content, rng) if name.endswith("parquet") else spoil_text(content.decode(), rng))
        _check(read_recording([path]))


@cache
def _bundle() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = write_bundle(Path(folder) / "model", detectors=True)
        return {path.name: path.read_bytes() for path in made.iterdir()}


def bundles(rng: random.Random) -> None:
    """A model of which one file was changed and the manifest made to agree."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _bundle().items():
            (Path(folder) / name).write_bytes(content)
        name = rng.choice(sorted(_bundle()))
        content = _bundle()[name]
        if name.endswith(".json") and rng.random() < 0.7:
            content = json.dumps(spoil_values(json.loads(content), rng)).encode("utf-8", "replace")
        else:
            content = spoil_bytes(content, rng)
        if name == "manifest.json":
            (Path(folder) / name).write_bytes(content)
        else:
            replace_file(Path(folder), name, content)
        loaded = bundle.load(Path(folder))
        for answer in loaded.identifier.identify(_samples()):
            assert 0 <= answer.confidence <= 1


_NOTEBOOK = {
    "cells": [{
        "cell_type": "code", "execution_count": None, "id": "a", "metadata": {"tags": ["parameters"]}, "outputs": [],
        "source": "seed: int = 0\nrecordings: list[str] = ['a']\nshare: float | None = None\nquick = False\nname = 'x'",
    }],
    "metadata": {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
    "nbformat": 4, "nbformat_minor": 5,
}  # fmt: skip


def notebooks(rng: random.Random) -> None:
    """Notebooks, their parameters, and the values given for them."""
    document = _NOTEBOOK
    if rng.random() < 0.5:
        [cell] = document["cells"]  # type: ignore[misc]
        source = spoil_text(cell["source"].replace("\n", " \n "), rng).decode("utf-8", "replace")
        document = {**document, "cells": [{**cell, "source": source.replace(" \n ", "\n")}]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.ipynb"
        path.write_bytes(_encoded(document, rng) if rng.random() < 0.5 else json.dumps(document).encode())
        known = read_parameters(read_notebook(path), where="fuzz")
    given = {rng.choice([*known, "other"]): rng.choice(ODD) for _ in range(2)}
    parse_parameters(known, given, where="fuzz")


TARGETS: dict[str, Target] = {
    each.__name__: each
    for each in (prometheus, influxdb, kubelet, api_server, imports, mapping, recordings, bundles, notebooks)
}


def attempt(name: str, seed: int) -> None:
    """Read one damaged thing; raises what is no PodlabError."""
    with suppress(PodlabError, QueryError):
        TARGETS[name](random.Random(f"{name} {seed}"))
