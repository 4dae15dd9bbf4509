"""Secrets as text: brought into the form that a request may carry, and kept out of what is shown."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from podlab.errors import InputError

_HIDDEN: Final = "***"
#: Shorter ones occur in ordinary words, and removing them would give them away.
_SHORTEST: Final = 4
_STARS: Final = re.compile(r"\*{4,}")
_QUOTED: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: repr(text)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    html.escape,
    lambda text: quote(text, errors="replace"),
    lambda text: quote(text, safe="", errors="replace"),
)
#: What stands between bytes in hexadecimal.
_BETWEEN_BYTES: Final = ("", " ", ":", "-", "%", "\\x", ", 0x", " 0x", ",0x")
_URL_SAFE: Final = str.maketrans("+/", "-_")


def clean_token(value: str, *, where: str) -> str:
    r"""Take off the line end that a token often comes with; refuse what no header may hold, without showing it.

    Raises InputError, for the setting or file ``where``, if nothing is left, or a blank, a control character or a
    letter beyond ASCII is in it.

    Examples
    --------
    >>> clean_token("abc\n", where="PODLAB_PROMETHEUS_TOKEN")
    'abc'
    """
    value = _stripped(value, where, "token")
    if not (value.isascii() and value.isprintable()) or " " in value:
        what = "the token holds a character that no token may hold, such as a blank or a line end"
        raise InputError(what, where=where, hint="give the token alone, without 'Bearer' or 'Token' before it")
    return value


def clean_password(value: str, *, where: str) -> str:
    """Take off blanks and line ends around a password; refuse one that has a control character inside.

    Raises InputError if nothing is left, or a line end or another control character is in it.
    """
    value = _stripped(value, where, "password")
    if not value.isprintable():
        raise InputError("the password holds a line end or another control character", where=where)
    return value


def forms(secret: str) -> set[str]:
    """List how a secret may be written in a text of others: quoted, escaped, in hexadecimal, or as a part of base64."""
    data = secret.encode("utf-8", "surrogatepass")
    found = {secret}
    for _ in range(2):  # a text may show a text that shows the secret
        found |= {quoted(form) for form in found for quoted in _QUOTED}
    for digits in (data.hex(" "), data.hex(" ").upper()):
        found |= {digits.replace(" ", between) for between in _BETWEEN_BYTES}
    for before in range(3):
        # Behind one or two other bytes all characters are others, and the outermost hold bits of what is around.
        packed = base64.b64encode(b"\0" * before + data).decode()
        end = -3 if packed.endswith("==") else -2 if packed.endswith("=") else len(packed)
        core = packed[before + 1 if before else 0 : end]
        found |= {core, core.translate(_URL_SAFE)}
    return {form for form in found if len(form) >= _SHORTEST}


def redact_bytes(content: bytes, secrets: Iterable[str | None]) -> bytes:
    r"""Overwrite secrets with as many stars: what counts lengths, such as msgpack, can still be read.

    Examples
    --------
    >>> redact_bytes(b"\xa8Token ab12", ["ab12"])
    b'\xa8Token ****'
    """
    known = tuple(sorted({secret for secret in secrets if secret and len(secret) >= _SHORTEST}))
    return _pattern(known).sub(lambda found: b"*" * len(found[0]), content) if known else content


def redact(text: str, secrets: Iterable[str | None]) -> str:
    """Take secrets out of a text of others, however they are written (:func:`forms`).

    Examples
    --------
    >>> redact("Illegal header value b'Bearer abc1'", ["abc1"])
    "Illegal header value b'Bearer ***'"
    """
    hidden = redact_bytes(text.encode("utf-8", "surrogatepass"), secrets).decode("utf-8", "surrogatepass")
    return shorten_stars(hidden)


def shorten_stars(text: str) -> str:
    """Let what was overwritten not tell how long it is."""
    return _STARS.sub(_HIDDEN, text)


@lru_cache(maxsize=32)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[bytes]:
    found = {form.encode("utf-8", "surrogatepass") for secret in secrets for form in forms(secret)}
    return re.compile(b"|".join(re.escape(form) for form in sorted(found, key=len, reverse=True)))


def _stripped(value: str, where: str, kind: str) -> str:
    value = value.strip().removeprefix("\ufeff").strip()
    if not value:
        raise InputError(f"the {kind} is empty", where=where)
    return value
