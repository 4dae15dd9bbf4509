"""Bundles that someone meddled with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from podlab.model import bundle
from tests.support.models import small_identifier, small_library

PEM: Final = serialization.Encoding.PEM
PKCS8: Final = serialization.PrivateFormat.PKCS8


def write_bundle(folder: Path, *, detectors: bool = False) -> Path:
    """A sound bundle."""
    bundle.save(small_identifier(), folder, name="small", library=small_library() if detectors else None)
    return folder


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the manifest after a change to it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put other bytes into a file, and make the manifest agree with them, as an attacker would."""
    (folder / name).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    change_manifest(folder, lambda manifest: manifest["files"].update({name: entry}))


def write_keys(folder: Path, name: str = "key", curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """Make a private key, and its public one."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public
