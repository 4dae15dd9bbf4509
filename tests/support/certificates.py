"""Throw-away certificates for servers on loopback."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(path: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key into one PEM file (needs openssl)."""
    key = path.with_suffix(".key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=podlab-test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path
