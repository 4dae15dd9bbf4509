"""Whose certificates are believed: a setting's, else the environment's, else the system's; what faults of TLS mean."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from podlab.errors import InputError

#: What OpenSSL looks at, both at once; and what stands for it where only requests or curl was told.
_OPENSSL: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_VERIFY_FAILED: Final = "CERTIFICATE_VERIFY_FAILED"
_NO_TLS: Final = re.compile(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG")
_WANTS_CERTIFICATE: Final = re.compile(r"ALERT_CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|ALERT_HANDSHAKE_FAILURE")


class TlsFault(NamedTuple):
    """What a fault of TLS means, and what can be done about it."""

    message: str
    hint: str


def trusted_authorities(
    ca_file: Path | None, setting: str, environment: Mapping[str, str] | None = None
) -> ssl.SSLContext:
    """Load the authorities by which a server's certificate is checked.

    Parameters
    ----------
    ca_file : Path, optional
        These alone, where it is given.
    setting : str
        What ``ca_file`` is called among the settings, for errors.
    environment : mapping of str to str, optional
        May name others in ``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``; the
        process' own by default. Without any, the system's and those that come with Python's packages.

    Raises
    ------
    InputError
        If the file or folder named cannot be used.
    """
    if ca_file is not None:
        try:
            return ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise InputError(f"cannot be used: {_reason(error)}", where=f"{setting} {ca_file}") from None
    environment = os.environ if environment is None else environment
    named = [v for v in _OPENSSL if environment.get(v)] or [v for v in _OTHERS if environment.get(v)][:1]
    if not named:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for variable in named:
        path = environment[variable]
        try:
            if Path(path).is_file():
                context.load_verify_locations(cafile=path)
            elif any(Path(part).is_dir() for part in path.split(os.pathsep)):
                context.load_verify_locations(capath=path)
            else:
                raise FileNotFoundError(2, "No such file or directory")
        except OSError as error:
            what = f"{path!r} cannot be used: {_reason(error)}"
            raise InputError(what, where=variable, hint=f"unset or correct it, or set {setting}") from None
    return context


def explain_tls(said: str, *, prefix: str) -> TlsFault | None:
    """Say what a library's words of TLS mean; None where they are of something else.

    Parameters
    ----------
    said : str
        Such as ``[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)``.
    prefix : str
        How the server's settings begin, such as ``influxdb``.
    """
    if "[SSL" not in said:
        return None
    why = said.rpartition("] ")[2].partition(" (_ssl")[0]
    if _VERIFY_FAILED in said:
        why = why.removeprefix("certificate verify failed: ")
        hint = f"set {prefix}_ca_file to its authority's certificate"
        if "mismatch" in why:
            hint = f"set {prefix}_url to a name that the certificate is for"
        elif "expired" in why:
            hint = "renew its certificate, or set the clock of this machine"
        elif "not yet valid" in why:
            hint = "set the clock of this machine, or of the one that made the certificate"
        return TlsFault(f"the server cannot be trusted: {why}", hint)
    if _NO_TLS.search(said):
        return TlsFault(f"the server speaks no TLS there: {why}", f"write http:// in {prefix}_url, or its TLS port")
    if _WANTS_CERTIFICATE.search(said):
        hint = f"set {prefix}_url to an address that asks for a token or a password instead of a certificate"
        return TlsFault(f"the server takes no connection without a client's certificate: {why}", hint)
    return TlsFault(f"no TLS connection to the server: {why}", f"check {prefix}_url and the server's TLS settings")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds no certificates"
    return error.strerror or "it holds no certificates"
