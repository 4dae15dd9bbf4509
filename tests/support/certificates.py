"""Throw-away certificates for servers on loopback."""

from __future__ import annotations

from pathlib import Path

import trustme


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 with its key, and the authority that alone vouches for it, as PEM files."""
    authority = trustme.CA()
    server, trusted = folder / "server.pem", folder / "authority.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(trusted))
    return server, trusted
