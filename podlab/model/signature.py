"""Signatures of bundles, so that a watcher can refuse a model that nobody trusted has signed.

The form is that of OpenSSF's model-signing with a key (version 1.0), so its command line verifies what podlab signs and
the other way round: an in-toto statement lists every file with its SHA-256, a DSSE envelope holds it with an ECDSA
signature, and a sigstore bundle, the file ``model.sig``, holds that (https://model.openssf.org,
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md). The key is one of the curves P-256, P-384 or P-521,
as PEM: no certificate, no service and no network are needed.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from podlab.errors import InputError
from podlab.files import explain_os_error

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

#: The signature's name in a bundle's folder.
SIGNATURE: Final = "model.sig"
MOST_SIGNATURE_BYTES: Final = 1_000_000
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
_MOST_KEY_BYTES: Final = 100_000
_MAKE_KEY: Final = (
    "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout"
)
_GET_KEY: Final = (
    "name the public key of who signed the model; of a private one it is made by: openssl ec -in key.pem -pubout"
)
_SIGN: Final = "podlab models sign FOLDER --key KEY, by somebody whose key you trust"


def sign_files(files: Mapping[str, bytes], key_file: Path, *, name: str) -> bytes:
    """Sign all files of a bundle.

    Raises InputError if the file is no such key.

    Parameters
    ----------
    files : mapping of str to bytes
        By name; without the signature.
    key_file : Path
        The private key, PEM, not encrypted.
    name : str
        What the signature calls the model.

    Returns
    -------
    bytes
        The content of ``model.sig``.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _read_key(key_file, private=True)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    resources = [
        {"name": file, "algorithm": "sha256", "digest": hashlib.sha256(files[file]).hexdigest()}
        for file in sorted(files)
    ]
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root_digest(resources)}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE],
            },
            "resources": resources,
        },
    }  # fmt: skip
    payload = msgspec.json.encode(statement)
    public = key.public_key()
    signed = key.sign(_envelope_content(payload), ec.ECDSA(_hash_of(public)))
    bundle = {
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _fingerprint(public)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64encode(payload).decode(), "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": b64encode(signed).decode(), "keyid": ""}],
        },
    }  # fmt: skip
    return msgspec.json.encode(bundle)


def verify_files(files: Mapping[str, bytes], signature: bytes | None, key_file: Path, *, where: str) -> None:
    """Check that a key signed exactly these files.

    Raises InputError if it did not: there is no signature, it is another key's, or the files are not those that were
    signed.

    Parameters
    ----------
    files : mapping of str to bytes
        By name; without the signature.
    signature : bytes or None
        The content of ``model.sig``; None: there is none.
    key_file : Path
        The public key, PEM.
    where : str
        The bundle's folder, for messages.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _read_key(key_file, private=False)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    if signature is None:
        raise InputError("is not signed, and only signed models are accepted here", where=where, hint=_SIGN)
    payload, signed, hint = _read_signature(signature, where)
    foreign = InputError(f"is signed by another key than {key_file}", where=where, hint=_SIGN)
    if hint and hint != _fingerprint(key):
        raise foreign
    try:
        key.verify(signed, _envelope_content(payload), ec.ECDSA(_hash_of(key)))
    except InvalidSignature:
        raise foreign from None
    listed = _read_statement(payload, where)
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if odd := sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name)):
        raise InputError(f"{odd[0]} is not what was signed", where=where, hint=_SIGN)


def _read_signature(signature: bytes, where: str) -> tuple[bytes, bytes, str]:
    """Read the envelope's payload, the signature of it, and the key's fingerprint."""
    try:
        bundle = msgspec.json.decode(signature)
        envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
        [only] = envelope["signatures"]
        if (bundle["mediaType"], envelope["payloadType"]) != (_BUNDLE_TYPE, _PAYLOAD_TYPE):
            raise ValueError("of another type")
        payload, signed = (b64decode(text, validate=True) for text in (envelope["payload"], only["sig"]))
        return payload, signed, str(material["publicKey"].get("hint") or "")
    except (msgspec.MsgspecError, RecursionError, LookupError, TypeError, ValueError, AttributeError):
        raise InputError(f"{SIGNATURE} is no signature with a key", where=where, hint=_SIGN) from None


def _read_statement(payload: bytes, where: str) -> dict[str, str]:
    """Read the digests by file that were signed."""
    try:
        statement = msgspec.json.decode(payload)
        [subject], resources = statement["subject"], statement["predicate"]["resources"]
        listed = {str(each["name"]): str(each["digest"]) for each in resources}
        sound = (
            (statement["_type"], statement["predicateType"]) == (_STATEMENT_TYPE, _PREDICATE_TYPE)
            and statement["predicate"]["serialization"]["method"] == "files"
            and all(each["algorithm"] == "sha256" for each in resources)
            and len(listed) == len(resources)
            and subject["digest"]["sha256"] == _root_digest(resources)
        )
    except (msgspec.MsgspecError, RecursionError, LookupError, TypeError, ValueError):
        sound = False
    if not sound:
        raise InputError(f"{SIGNATURE} does not list the SHA-256 of each file", where=where, hint=_SIGN)
    return listed


def _root_digest(resources: list[dict[str, Any]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()


def _envelope_content(payload: bytes) -> bytes:
    """Write what a DSSE envelope signs: its pre-authentication encoding."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _read_key(key_file: Path, *, private: bool) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise InputError("signatures need the package cryptography", hint="pip install 'podlab[signing]'") from None
    try:
        with key_file.open("rb") as file:
            content = file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise explain_os_error(error, key_file) from error
    kind, made = ("private", ec.EllipticCurvePrivateKey) if private else ("public", ec.EllipticCurvePublicKey)
    key: Any
    try:
        key = (
            serialization.load_pem_private_key(content, None) if private else serialization.load_pem_public_key(content)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: encrypted; another curve may be unsupported
        key = None
    if not isinstance(key, made) or key.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
        what = f"is no unencrypted {kind} key of the curves P-256, P-384 or P-521, as PEM"
        raise InputError(what, where=str(key_file), hint=_MAKE_KEY if private else _GET_KEY)
    return key


def _hash_of(key: ec.EllipticCurvePublicKey) -> Any:
    from cryptography.hazmat.primitives import hashes

    return {256: hashes.SHA256, 384: hashes.SHA384}.get(key.curve.key_size, hashes.SHA512)()


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()
