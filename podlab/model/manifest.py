"""The manifest: what a bundle says about itself, read without trust; and that as a bill of materials."""

from __future__ import annotations

import hashlib
import re
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

import podlab
from podlab.errors import InputError
from podlab.files import explain_os_error, names_inside
from podlab.model.signature import MOST_SIGNATURE_BYTES, SIGNATURE, verify_files

#: What is written. Format 1 has no detectors, format 2 has them; both store forests and calibrations at greater length.
FORMAT = 3
FORMATS = (1, 2, FORMAT)
MANIFEST = "manifest.json"
CARD = "MODEL_CARD.md"
#: What a model and its files may be called: one plain name, no path.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: No file of a model comes near these; a larger one is not read.
_MOST_MANIFEST_BYTES = 4 * 2**20
_MOST_FILE_BYTES = 2**30
_MOST_FILES = 64
_REMEDY = "fit the model again or fetch it anew"


class FileEntry(msgspec.Struct, forbid_unknown_fields=True):
    """One file of the bundle."""

    sha256: str
    size_bytes: int


class RecordingEntry(msgspec.Struct, forbid_unknown_fields=True):
    """One file that the model was trained on."""

    name: str
    sha256: str
    size_bytes: int


class BaseEntry(msgspec.Struct, forbid_unknown_fields=True):
    """The model that an adapted one comes from, by its digest."""

    name: str
    sha256: str
    recordings: list[RecordingEntry]


class Manifest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest's fields; the README of a bundle is its model card."""

    format: int
    name: str
    created: str
    podlab: str
    libraries: dict[str, str]
    services: list[str]
    columns: list[str]
    horizons_s: list[float]
    seed: int
    recordings: list[RecordingEntry]
    scores: dict[str, Any]
    files: dict[str, FileEntry]
    base: BaseEntry | None = None


@dataclass(frozen=True, repr=False)
class BundleInfo:
    """What a bundle says about itself."""

    folder: Path  # where it is
    digest: str  # SHA-256 of the manifest, which names the whole model
    manifest: dict[str, Any]  # its manifest
    card: str  # its model card, Markdown

    def __repr__(self) -> str:
        return f"BundleInfo({self.name!r}, {len(self.services)} services, digest {self.digest[:12]}, in {self.folder})"

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.manifest["name"])

    @property
    def created(self) -> str:
        """When it was made, ISO 8601, UTC."""
        return str(self.manifest["created"])

    @property
    def services(self) -> tuple[str, ...]:
        """What it can identify."""
        return tuple(self.manifest["services"])

    def to_json(self) -> dict[str, object]:
        """Give the object that commands print."""
        return {"folder": str(self.folder), "digest": self.digest, **self.manifest}


def describe(folder: Path, manifest: bytes, card: bytes) -> BundleInfo:
    """Make the description of a bundle from the bytes of its manifest and card."""
    decoded = msgspec.json.decode(manifest)
    return BundleInfo(folder, hashlib.sha256(manifest).hexdigest(), decoded, card.decode("utf-8", "replace"))


def read_bundle(folder: Path, key_file: Path | None = None) -> tuple[BundleInfo, dict[str, bytes]]:
    """Read all files of a bundle, each once, and check them against the manifest, and the key's signature of them."""
    manifest, written = read_manifest(folder)
    where = str(folder)
    # Kubernetes mounts a ConfigMap as links into a folder of its own, whose name begins with two dots.
    inside = {path.name for path in folder.iterdir() if not path.name.startswith("..")}
    if odd := sorted(inside - {MANIFEST, SIGNATURE, *manifest.files}):
        raise InputError(f"{odd[0]} does not belong to the model", where=where, hint="remove it")
    files = {}
    for name, entry in manifest.files.items():
        files[name] = _read_file(folder / name, _MOST_FILE_BYTES)
        if len(files[name]) != entry.size_bytes or hashlib.sha256(files[name]).hexdigest() != entry.sha256:
            raise InputError("was changed: its digest is not the manifest's", where=f"{where}/{name}", hint=_REMEDY)
    if key_file is not None:
        verify_files({**files, MANIFEST: written}, read_signature(folder), key_file, where=where)
    return describe(folder, written, files[CARD]), files


def read_signature(folder: Path) -> bytes | None:
    """Read a bundle's signature as it is; None: it has none."""
    path = folder / SIGNATURE
    return _read_file(path, MOST_SIGNATURE_BYTES) if path.exists() else None


def read_manifest(folder: Path) -> tuple[Manifest, bytes]:
    """Read and check a manifest; give it and its bytes."""
    where = str(folder / MANIFEST)
    if not folder.is_dir():
        hint = f"make one: podlab fit data/recordings/first.parquet --out {folder}; or name another with --model"
        raise InputError("no such model", where=str(folder), hint=hint)
    written = _read_file(folder / MANIFEST, _MOST_MANIFEST_BYTES)
    try:
        loose = msgspec.json.decode(written)
        number = loose.get("format") if isinstance(loose, dict) else None
        if isinstance(number, bool) or number not in FORMATS:
            what = f"format {number!r} is not known, only {', '.join(map(str, FORMATS))}"
            raise InputError(what, where=where, hint="use the podlab that wrote it")
        manifest = msgspec.convert(loose, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"is not a manifest: {error}", where=where, hint=_REMEDY) from None
    names = [manifest.name, *manifest.files]
    if odd := [name for name in names if not NAME.fullmatch(name) or name in (MANIFEST, SIGNATURE)]:
        raise InputError(f"{odd[0]!r} is not a valid name for a model or its file", where=where, hint=_REMEDY)
    if CARD not in manifest.files or len(manifest.files) > _MOST_FILES:
        raise InputError("names no model card, or too many files", where=where, hint=_REMEDY)
    return manifest, written


def _read_file(path: Path, most_bytes: int) -> bytes:
    """Read a plain file of the bundle; through a link only within its folder, as Kubernetes mounts a ConfigMap."""
    try:
        # The links of a ConfigMap may turn at any time, so the end of the way is found once and then read.
        plain = path.resolve()
        status = (plain if plain.is_relative_to(path.parent.resolve()) else path).lstat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is not a plain file", where=str(path), hint=_REMEDY)
        if status.st_size > most_bytes:
            raise InputError(f"is larger than {most_bytes} bytes", where=str(path), hint=_REMEDY)
        return plain.read_bytes()
    except FileNotFoundError:
        raise InputError("is missing", where=str(path), hint=_REMEDY) from None
    except RuntimeError:  # links that lead in a circle
        raise InputError("is not a plain file", where=str(path), hint=_REMEDY) from None
    except OSError as error:
        raise explain_os_error(error, path) from error


def refuse_to_overwrite(folder: Path) -> None:
    """Never replace anything but an older bundle: a folder given by mistake would be lost.

    Raises InputError if the folder holds something else.
    """
    inside = names_inside(folder)
    if not inside:
        return
    try:
        listed = {MANIFEST, SIGNATURE, *read_manifest(folder)[0].files}
    except InputError:
        listed = set()
    if not inside <= listed:
        raise InputError("holds something else than a model", where=str(folder), hint="choose another folder")


#: CycloneDX with a model card, an ML-BOM: https://cyclonedx.org/capabilities/mlbom.
SPECIFICATION: Final = "1.6"


def make_bom(
    component: Mapping[str, object], components: list[dict[str, object]], *, made_at: str, digest: str
) -> dict[str, object]:
    """Make a CycloneDX document; the same for the same content.

    Parameters
    ----------
    component : mapping
        What it is about.
    components : list of dict
        What that consists of.
    made_at : str
        ISO 8601.
    digest : str
        Of the content, which the document's serial number follows from.
    """
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, digest).urn,
        "version": 1,
        "metadata": {
            "timestamp": made_at,
            "tools": {"components": [{"type": "application", "name": "podlab", "version": podlab.__version__}]},
            "component": dict(component),
        },
        "components": components,
    }


def describe_model(info: BundleInfo) -> dict[str, object]:
    """Describe a bundle: what it was trained on and with, how well it works, and what it consists of.

    ``info`` is from :func:`podlab.model.bundle.verify`.
    """
    manifest = info.manifest
    recordings = [*manifest["recordings"], *((manifest.get("base") or {}).get("recordings") or ())]
    data = [
        {
            "type": "data", "bom-ref": f"data:{each['sha256']}", "name": each["name"],
            "hashes": [{"alg": "SHA-256", "content": each["sha256"]}],
            "data": [{"type": "dataset", "name": each["name"]}],
        }
        for each in {each["sha256"]: each for each in recordings}.values()
    ]  # fmt: skip
    files = [
        {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": each["sha256"]}],
        }
        for name, each in manifest["files"].items()
    ]
    libraries = [
        {"type": "library", "bom-ref": f"library:{name}", "name": name, "version": version}
        for name, version in {"podlab": manifest["podlab"], **manifest["libraries"]}.items()
    ]
    card = {
        "modelParameters": {
            "task": "classification",
            "architectureFamily": "ensemble of tree-based classifiers by observation window",
            "datasets": [{"ref": each["bom-ref"]} for each in data],
            "inputs": [{"format": column} for column in manifest["columns"]],
            "outputs": [{"format": f"probability of {service}"} for service in manifest["services"]],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_scores(manifest["scores"]))},
        "considerations": {
            "useCases": ["Identify the service of a container from its monitoring metrics"],
            "technicalLimitations": [
                "Knows only these services, in configurations and on machines like those of its recordings; containers "
                "that differ from all of them are reported as unknown, similar ones may not be."
            ],
        },
    }
    model = {
        "type": "machine-learning-model", "bom-ref": f"model:{info.digest}", "name": info.name,
        "version": info.digest[:12], "hashes": [{"alg": "SHA-256", "content": info.digest}], "modelCard": card,
    }  # fmt: skip
    components: list[dict[str, object]] = [*data, *libraries, *files]
    return make_bom(model, components, made_at=info.created, digest=info.digest)


def _scores(scores: Mapping[str, Any], path: str = "") -> Any:
    """Give every number among nested scores, with its place as the type."""
    for name, value in scores.items():
        where = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _scores(value, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield {"type": where, "value": str(value)}
