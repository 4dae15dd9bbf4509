"""A model on disk: a folder with a manifest, the model's files and a card for people.

The manifest names every file with its size and SHA-256, so its own SHA-256 names the whole model. Reading checks all
of that before anything else, and runs no code from the files.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

import podlab
from podlab.detect import DetectorLibrary
from podlab.detect import storage as detectors
from podlab.errors import InputError
from podlab.files import atomic_file, atomic_folder, refuse_inputs, refuse_unwritable
from podlab.identify.identifier import Identifier
from podlab.identify.storage import from_files, to_files
from podlab.model.manifest import (
    CARD,
    FORMAT,
    MANIFEST,
    NAME,
    BaseEntry,
    BundleInfo,
    FileEntry,
    Manifest,
    RecordingEntry,
    describe,
    read_bundle,
    read_manifest,
    read_signature,
    refuse_to_overwrite,
)
from podlab.model.signature import SIGNATURE, sign_files

__all__ = [
    "CARD",
    "MANIFEST",
    "PREVIOUS",
    "SIGNATURE",
    "Bundle",
    "BundleInfo",
    "add_scores",
    "list_models",
    "load",
    "promote",
    "refuse_target",
    "save",
    "sign",
    "verify",
]

log = logging.getLogger(__name__)

#: Appended to the name of the folder in use: where the bundle that was replaced is kept.
PREVIOUS = "-previous"

_LIBRARIES = ("numpy", "pandas", "scikit-learn")


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle that was read whole."""

    info: BundleInfo  # what it says about itself
    identifier: Identifier  # the model, which signs its answers with ``name@digest``
    #: The detectors by service; None where the bundle has none.
    library: DetectorLibrary | None = None

    def __repr__(self) -> str:
        return f"Bundle({self.info.name!r}, {len(self.info.services)} services, digest {self.digest[:12]})"

    @property
    def manifest(self) -> dict[str, Any]:
        """Its manifest."""
        return self.info.manifest

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return self.info.digest


def save(
    identifier: Identifier,
    folder: Path | str,
    *,
    name: str,
    recordings: Sequence[Path | str] = (),
    scores: Mapping[str, object] | None = None,
    created: datetime | None = None,
    library: DetectorLibrary | None = None,
    base: BundleInfo | None = None,
) -> BundleInfo:
    """Write a model as a bundle; an older bundle there is replaced when the new one is complete.

    Parameters
    ----------
    identifier : Identifier
        The model.
    folder : Path
        Where the bundle shall be.
    name : str
        What answers call the model.
    recordings : sequence of Path
        The files and data sets it was trained on; their names and digests are kept.
    scores : mapping, optional
        What was measured, as JSON values.
    created : datetime, optional
        By default now.
    library : DetectorLibrary, optional
        The detectors by service.
    base : BundleInfo, optional
        The bundle that the model was adapted from.

    Raises
    ------
    InputError
        If the name is unusable, ``folder`` holds something else than a bundle, it cannot be written, or the library
        has parts that cannot be stored.
    """
    from podlab.data.recordings import fingerprint  # who only loads models never needs it

    folder = Path(folder)
    refuse_target(folder, name)
    files = to_files(identifier)
    if library is not None:
        files |= detectors.to_files(library)
    manifest = Manifest(
        format=FORMAT,
        name=name,
        created=(created or datetime.now(UTC)).isoformat(timespec="seconds"),
        podlab=podlab.__version__,
        libraries={"python": platform.python_version(), **_versions()},
        services=list(identifier.services),
        columns=list(identifier.columns),
        horizons_s=[each.length_s for each in identifier.windows if each.kind == "startup"],
        seed=identifier.seed,
        recordings=[RecordingEntry(Path(path).name, *fingerprint(path)) for path in recordings],
        scores=dict(scores or {}),
        files={},
        base=None if base is None else BaseEntry(
            base.name, base.digest, msgspec.convert(base.manifest["recordings"], list[RecordingEntry])
        ),
    )  # fmt: skip
    return _write(folder, manifest, files, library)


def refuse_target(folder: Path, name: str) -> None:
    """See before a model is trained whether :func:`save` could write it.

    Raises InputError if the name is unusable, or the folder holds something else than a bundle or cannot be made.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a valid name for a model", hint="use letters, digits, '.', '-' and '_'")
    refuse_to_overwrite(folder)
    refuse_unwritable(folder)


def add_scores(folder: Path, scores: Mapping[str, object]) -> BundleInfo:
    """Add to a bundle what was measured of its model since; its digest changes.

    Raises InputError if the folder is no sound bundle, or cannot be written.

    Parameters
    ----------
    folder : Path
        The bundle.
    scores : mapping
        JSON values; those of the same name are replaced.
    """
    library = load(folder).library
    manifest, _ = read_manifest(folder)
    files = {name: content for name, content in read_bundle(folder)[1].items() if name != CARD}
    manifest.scores = {**manifest.scores, **scores}
    return _write(folder, manifest, files, library)


def _write(folder: Path, manifest: Manifest, files: dict[str, bytes], library: DetectorLibrary | None) -> BundleInfo:
    """Write the files with their card and the manifest, all or nothing."""
    files = {**files, CARD: _write_card(manifest, library).encode()}
    manifest.files = {
        file: FileEntry(hashlib.sha256(content).hexdigest(), len(content)) for file, content in sorted(files.items())
    }
    written = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    _write_files({**files, MANIFEST: written}, folder)
    return describe(folder, written, files[CARD])


def load(folder: Path | str, *, key_file: Path | None = None) -> Bundle:
    """Read a bundle after checking every digest.

    Parameters
    ----------
    folder : Path
    key_file : Path, optional
        A public key; only a bundle that it signed is read.

    Raises
    ------
    InputError
        If the folder is no bundle, is of another format, was changed, is not signed by the key, or holds no usable
        model; says which and where.
    """
    folder = Path(folder)
    info, files = read_bundle(folder, key_file)
    # Formats 1 and 2 say by their number whether there are detectors; since then a model may have them.
    promised = {1: (), 2: detectors.FILES}
    own = promised.get(info.manifest["format"], [name for name in detectors.FILES if name in files])
    identifier = from_files({name: files[name] for name in files if name not in (CARD, *own)}, where=str(folder))
    if list(identifier.services) != info.manifest["services"] or list(identifier.columns) != info.manifest["columns"]:
        what = "manifest and model have different services or columns"
        raise InputError(what, where=str(folder), hint="fit the model again")
    library = detectors.from_files(files, services=identifier.services, where=str(folder)) if own else None
    scores = info.manifest["scores"]
    identifier.scores = scores
    identifier.model = f"{info.name}@{info.digest}"
    return Bundle(info, identifier, library)


def sign(folder: Path, key_file: Path) -> BundleInfo:
    """Sign a bundle with a private key; its digest stays, and an older signature is replaced.

    Raises InputError if the folder is no sound bundle or cannot be written, or the file is no private key.
    """
    info, files = read_bundle(folder)
    signature = sign_files({**files, MANIFEST: (folder / MANIFEST).read_bytes()}, key_file, name=info.name)
    with atomic_file(folder / SIGNATURE) as temporary:
        temporary.write_bytes(signature)
    return info


def verify(folder: Path | str) -> BundleInfo:
    """Check every digest of a bundle; raises as :func:`load` does."""
    return read_bundle(Path(folder))[0]


def list_models(root: Path) -> list[BundleInfo]:
    """Find the bundles in a folder, by name; broken ones are left out with a warning.

    Raises InputError if there is no such folder.
    """
    if not root.is_dir():
        raise InputError("no such folder", where=str(root), hint="fit a model first")
    found = []
    for folder in sorted(path.parent for path in root.glob(f"*/{MANIFEST}")):
        try:
            found.append(verify(folder))
        except InputError as error:
            log.warning("%s", error)
    return found


def promote(folder: Path, target: Path) -> tuple[BundleInfo, BundleInfo | None]:
    """Replace the bundle in use by a copy of another one, byte for byte.

    The replaced bundle is kept next to it, in a folder of the same name with ``-previous`` appended; promoting that one
    undoes the change. A bundle that is incomplete, or that cannot be loaded, is not put into use. Raises InputError if
    ``folder`` is no sound bundle or is the one in use, or a folder to be replaced holds something else.

    Parameters
    ----------
    folder : Path
        The bundle to use.
    target : Path
        The folder in use, the setting ``model_path``.

    Returns
    -------
    tuple of (BundleInfo, BundleInfo or None)
        What is in use now, and what was before.
    """
    if folder.resolve() == target.resolve():
        raise InputError("is the model in use already", where=str(folder), hint="name another model, or --to")
    refuse_inputs(target, [folder])
    info = load(folder).info
    files = _all_files(folder)
    previous = target.with_name(target.name + PREVIOUS)
    for each in (target, previous):
        refuse_to_overwrite(each)
    before = verify(target) if target.exists() else None
    if before is not None and before.digest != info.digest:
        _write_files(_all_files(target), previous)
    _write_files(files, target)
    return info, before


def _all_files(folder: Path) -> dict[str, bytes]:
    signature = read_signature(folder)
    signed = {} if signature is None else {SIGNATURE: signature}
    return {**read_bundle(folder)[1], MANIFEST: (folder / MANIFEST).read_bytes(), **signed}


def _write_files(files: dict[str, bytes], target: Path) -> None:
    with atomic_folder(target) as new:
        for name, content in files.items():
            (new / name).write_bytes(content)


def _write_card(manifest: Manifest, library: DetectorLibrary | None) -> str:
    """Write the model card, Markdown."""
    detectors = "none: it cannot score"
    if library is not None:
        each = (f"{name} ({one.deployments} deployments, {one.rows} rows)" for name, one in library.detectors.items())
        detectors = f"{', '.join([*each, 'a pooled one'])}; thresholds set on normal rows only"
    recordings = _list_recordings(manifest.recordings)
    if (base := manifest.base) is not None:
        before = f"Adapted to them from the model {base.name}, digest `{base.sha256}`, which was trained on"
        recordings = f"{recordings}\n\n{before}\n\n{_list_recordings(base.recordings)}"
    horizons = ", ".join(f"{horizon:g} s" for horizon in manifest.horizons_s) or "none, steady-state segments only"
    scores = msgspec.json.format(msgspec.json.encode(manifest.scores), indent=2).decode()
    return f"""# {manifest.name}

Identifies the service of a container from its monitoring metrics. Trained by podlab {manifest.podlab} on
{manifest.created} with seed {manifest.seed}.

- Services: {", ".join(manifest.services)}
- Columns: {", ".join(manifest.columns)}
- Horizons since the start: {horizons}
- Anomaly detectors: {detectors}

The model knows only these services, in configurations and on machines like those of its recordings. Containers that
differ from all of them are reported as unknown; similar ones may not be. Names, images, labels and times are not used.

## Trained on

{recordings}

## Scores

```json
{scores}
```
"""


def _list_recordings(recordings: Sequence[RecordingEntry]) -> str:
    return "\n".join(f"- {each.name}, SHA-256 `{each.sha256}`" for each in recordings) or "- not named"


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
