"""Signed bundles: whoever holds the public key sees any change, and that another one signed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from podlab.errors import InputError
from podlab.model import bundle
from podlab.model.signature import SIGNATURE
from tests.support.bundles import PEM, PKCS8, write_bundle, write_keys

#: A signature of the contract's fixture that OpenSSF's model-signing 1.1.1 made, and its key.
OPENSSF = Path(__file__).parent / "openssf"
FIXTURE = Path(__file__).parents[1] / "contract/fixtures/model"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("small") / "small")


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    shutil.copytree(small, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_signed_bundle_loads_with_the_public_key_and_keeps_its_digest(
    folder: Path, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    private, public = write_keys(tmp_path, curve=curve)
    before = bundle.verify(folder).digest
    assert bundle.sign(folder, private).digest == before
    assert bundle.load(folder, key_file=public).digest == before
    assert bundle.load(folder).digest == before


def test_what_model_signing_signed_is_accepted_and_ours_has_its_form(folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(FIXTURE, theirs)
    shutil.copy(OPENSSF / SIGNATURE, theirs)
    bundle.load(theirs, key_file=OPENSSF / "key.pub")
    bundle.sign(folder, write_keys(tmp_path)[0])
    ours, expected = (json.loads((each / SIGNATURE).read_text()) for each in (folder, theirs))
    assert ours["mediaType"] == expected["mediaType"]
    assert ours["verificationMaterial"].keys() == expected["verificationMaterial"].keys()
    assert ours["dsseEnvelope"].keys() == expected["dsseEnvelope"].keys()


def resign(folder: Path) -> None:
    bundle.sign(folder, write_keys(folder.parent, "foreign")[0])


def change_byte(folder: Path) -> None:
    """Change a file, and the manifest with it, as an attacker would."""
    card, manifest = folder / bundle.CARD, folder / bundle.MANIFEST
    info = json.loads(manifest.read_text())
    card.write_text(card.read_text() + "!")
    content = card.read_bytes()
    info["files"][bundle.CARD] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    manifest.write_text(json.dumps(info))


def move_signature(folder: Path) -> None:
    """Give the bundle the signature of another one, by the right key."""
    shutil.copy(OPENSSF / SIGNATURE, folder)


def cut_signature(folder: Path) -> None:
    path = folder / SIGNATURE
    path.write_bytes(path.read_bytes()[:-20])


def forge_payload(folder: Path) -> None:
    path = folder / SIGNATURE
    told = json.loads(path.read_text())
    payload = told["dsseEnvelope"]["payload"]
    told["dsseEnvelope"]["payload"] = ("A" if payload[40] != "A" else "B").join((payload[:40], payload[41:]))
    path.write_text(json.dumps(told))


def unsign(folder: Path) -> None:
    (folder / SIGNATURE).unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (unsign, "is not signed"),
        (resign, "is signed by another key"),
        (change_byte, "is not what was signed"),
        (move_signature, "is signed by another key"),
        (cut_signature, "model.sig is no signature"),
        (forge_payload, "is signed by another key"),
    ],
)
def test_whatever_was_changed_is_refused_in_one_line(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    private, public = write_keys(tmp_path)
    bundle.sign(folder, private)
    change(folder)
    with pytest.raises(InputError, match=why) as refused:
        bundle.load(folder, key_file=public)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_signature_of_the_right_key_for_other_files_is_refused(folder: Path) -> None:
    shutil.copy(OPENSSF / SIGNATURE, folder)
    with pytest.raises(InputError, match="is not what was signed"):
        bundle.load(folder, key_file=OPENSSF / "key.pub")


def test_what_is_no_key_is_told_with_how_to_make_one(folder: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    other = tmp_path / "ed25519.pem"
    other.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    secret = tmp_path / "secret.pem"
    made = ec.generate_private_key(ec.SECP256R1())
    secret.write_bytes(made.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"word")))
    for key in (public, other, secret, folder / bundle.CARD):
        with pytest.raises(InputError, match=r"no unencrypted private key.*openssl ecparam"):
            bundle.sign(folder, key)
    assert not (folder / SIGNATURE).exists()
    with pytest.raises(InputError, match=r"none\.pem"):
        bundle.sign(folder, tmp_path / "none.pem")
    bundle.sign(folder, private)
    with pytest.raises(InputError, match="no unencrypted public key"):
        bundle.load(folder, key_file=private)


def test_a_signature_goes_along_when_a_model_is_promoted_and_ends_when_it_changes(folder: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    bundle.sign(folder, private)
    bundle.promote(folder, tmp_path / "default")
    bundle.load(tmp_path / "default", key_file=public)
    bundle.add_scores(tmp_path / "default", {"macro_f1": 0.5})
    with pytest.raises(InputError, match="is not signed"):
        bundle.load(tmp_path / "default", key_file=public)


def test_a_key_of_a_curve_that_is_not_supported_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    sm2 = tmp_path / "sm2.pub"
    sm2.write_text(
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEqi4xWp8arfJfGmXhi9efwPckJohV\n"
        "yRnTOfdajCu4C9u8cmHQdCkoednfVqpafRRg1s0j6BsaqN1R5RQ9+pbuEQ==\n"
        "-----END PUBLIC KEY-----\n"
    )
    bundle.sign(folder, write_keys(tmp_path)[0])
    with pytest.raises(InputError, match=r"sm2\.pub: is no unencrypted public key of the curves P-256"):
        bundle.load(folder, key_file=sm2)
