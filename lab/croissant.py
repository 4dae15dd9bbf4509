"""Recordings described in Croissant, so that others can find and load them without podlab.

Croissant 1.0 (MLCommons, http://mlcommons.org/croissant/1.0) is JSON-LD on schema.org's vocabulary: which files there
are, with their digests, and which records they hold, column by column.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from podlab.data.catalogue import AGES, CATALOGUE
from podlab.data.draws import KNOB_PREFIX, draws_file, read_draws
from podlab.data.recordings import fingerprint
from podlab.errors import InputError

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.0"
LICENSE: Final = "https://spdx.org/licenses/Apache-2.0.html"
_PREFIXES: Final = {
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
#: Terms of Croissant that the description may use without their prefix.
_TERMS: Final = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_DESCRIPTION: Final = (
    "Monitoring metrics of containers, sampled each second from their start, of services that run in real containers "
    "under real load. One row is one container at one instant. Meant for telling which service runs in a container "
    "and for anomaly detection; split by deployment, profile or site, never by row."
)
#: What the columns mean that are no metrics.
_MEANINGS: Final = {
    "time": "When the value was taken (UTC).",
    "cluster": "Free name of the cluster.",
    "node": "Node that the pod runs on.",
    "namespace": "Namespace of the pod.",
    "pod": "Name of the pod.",
    "pod_uid": "Tells two pods of one name apart.",
    "container": "Name of the container in its pod.",
    "image": "Image as in the pod's specification.",
    "started_at": "The container's start (UTC).",
    "service": "Label: what runs in the container.",
    "deployment": "Label: one independent start of one configuration; its rows never stand on both sides of a split.",
    "variant": "Label: load pattern and configuration, parted by a slash.",
    "version": "Label: the service's version.",
    "site": "Label: the site at which it was recorded.",
    "profile": "Label: quantised values of the knobs that matter most.",
    "anomaly": "Label: true within an injected fault's interval.",
    "anomaly_kind": "Label: which fault, or which normal event.",
    "role": "Label: what it was recorded for: known (training), unknown, faults or normal (tests).",
}
#: Lines of a data card's first table that say what a recording is.
_TOLD: Final = ("recorded", "services", "site", "deployments", "each")


def describe(recordings: Sequence[Path], folder: Path, *, url: str = ".") -> dict[str, Any]:
    """Describe recordings.

    Parameters
    ----------
    recordings : sequence of Path
        Parquet files, each with its data card (``NAME.md``) beside it, and a table of draws where there is one.
    folder : Path
        Where the description will lie; addresses of files are relative to it.
    url : str
        Web page of the recordings; by default the description's own folder.

    Returns
    -------
    dict
        JSON-LD, the same for the same files.

    Raises
    ------
    InputError
        If a file cannot be read, or a card tells another digest than its recording has.
    """
    files, records = [], []
    published = pd.Timestamp(0, tz="UTC")
    for path in sorted(recordings):
        digest, size = fingerprint(path)
        schema, last = _read_parquet(path)
        published = max(published, last)
        told = _read_card(path, digest)
        files.append(_file(path, folder, "application/x-parquet", f"Samples. {told}", digest, size))
        draws = draws_file(path)
        records.append(_samples(path, schema, draws if draws.is_file() else None))
    for path in dict.fromkeys(draws_file(path) for path in sorted(recordings)):
        if path.is_file():
            about = "What was drawn for each deployment of the recordings of this name."
            files.append(_file(path, folder, "text/csv", about, *fingerprint(path)))
            records.append(_draws(path))
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "podlab-recordings",
        "description": _DESCRIPTION,
        "license": LICENSE,
        "url": url,
        "citeAs": "@misc{podlab, author={The podlab authors}, title={Recordings of podlab's lab}}",
        "creator": {"@type": "sc:Organization", "name": "The podlab authors"},
        "datePublished": f"{published:%Y-%m-%d}",
        "version": "1.0.0",
        "keywords": ["Kubernetes", "containers", "monitoring", "time series", "anomaly detection"],
        "isLiveDataset": False,
        "distribution": files,
        "recordSet": records,
    }


def _context() -> dict[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        **_PREFIXES,
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        **{term: f"cr:{term}" for term in _TERMS},
    }


def _read_parquet(path: Path) -> tuple[pa.Schema, pd.Timestamp]:
    """Give the columns, and the last instant."""
    try:
        schema = pq.read_schema(path)
        last = pc.max(pq.read_table(path, columns=["time"])["time"]).as_py()
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f"not a recording in Parquet: {error}", where=str(path)) from error
    return schema, pd.Timestamp(last)


def _read_card(path: Path, digest: str) -> str:
    """Say in a sentence what a recording's card tells of it."""
    card = path.with_suffix(".md")
    try:
        text = card.read_text(encoding="utf-8")
    except OSError:
        raise InputError("no data card", where=str(card), hint="a recording and its card belong together") from None
    lines = dict(re.findall(r"^\| ([^|]+?) \| (.+?) \|$", text, flags=re.MULTILINE))
    if lines.get("SHA-256", "").strip("`") != digest:
        raise InputError(
            f"the card tells another SHA-256 than {path.name} has", where=str(card),
            hint="take the card that was written with the recording",
        )  # fmt: skip
    superseded = "Superseded. " if "*Superseded*" in text else ""
    return superseded + "; ".join(f"{name}: {lines[name]}" for name in _TOLD if name in lines) + "."


def _file(path: Path, folder: Path, kind: str, description: str, digest: str, size: int) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "description": description,
        "contentUrl": Path(os.path.relpath(path, folder)).as_posix(),
        "contentSize": f"{size} B",
        "encodingFormat": kind,
        "sha256": digest,
    }


def _samples(path: Path, schema: pa.Schema, draws: Path | None) -> dict[str, Any]:
    fields = [_field(path, column.name, _meaning(column.name), _type_of(column.type)) for column in schema]
    for field in fields:
        if field["name"] == "deployment" and draws is not None:
            field["references"] = {"field": {"@id": f"{draws.stem}/deployment"}}
    return {
        "@type": "cr:RecordSet",
        "@id": path.stem,
        "name": path.stem,
        "description": "One row is one container at one instant, a missing value is unknown and never 0.",
        "key": [{"@id": f"{path.stem}/{name}"} for name in ("pod_uid", "container", "started_at", "time")],
        "field": fields,
    }


def _draws(path: Path) -> dict[str, Any]:
    table = read_draws(path)
    types = {"i": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}
    fields = []
    for name, values in table.items():
        column = str(name)
        knob = column.removeprefix(KNOB_PREFIX)
        about = f"Knob {knob} of the services that have it." if knob != column else f"{column.replace('_', ' ')}."
        fields.append(_field(path, column, about, types.get(values.dtype.kind, "sc:Text")))
    return {
        "@type": "cr:RecordSet",
        "@id": path.stem,
        "name": path.stem,
        "description": "One row is one deployment and what was drawn for it.",
        "key": {"@id": f"{path.stem}/deployment"},
        "field": fields,
    }


def _field(path: Path, column: str, description: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{path.stem}/{column}",
        "name": column,
        "description": description,
        "dataType": kind,
        "source": {"fileObject": {"@id": path.name}, "extract": {"column": column}},
    }


def _meaning(column: str) -> str:
    if column in CATALOGUE:
        metric = CATALOGUE[column]
        whole = ", of the whole pod" if metric.per == "pod" else ""
        unit = "a count" if metric.unit == "1" else metric.unit
        return f"Metric ({metric.family}): {metric.kind} in {unit}{whole}."
    for family, age in AGES.items():
        if column == age:
            return f"How much older than time the {family} values are, in seconds."
    return _MEANINGS.get(column, column)


def _type_of(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
