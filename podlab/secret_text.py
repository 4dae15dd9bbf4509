"""Secrets as text: brought into the form that a request may carry, and kept out of what is shown."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from podlab.errors import InputError

_HIDDEN: Final = "***"
#: Shorter ones occur in ordinary words, and removing them would give them away.
_SHORTEST: Final = 4


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


def redact(text: str, secrets: Iterable[str | None]) -> str:
    """Take secrets out of a text of others: each as it is, and as the parts of a header that hold it.

    Examples
    --------
    >>> redact("Illegal header value b'Bearer abc'", ["abc"])
    "Illegal header value b'Bearer ***'"
    """
    for secret in sorted((s for s in secrets if s and len(s) >= _SHORTEST), key=len, reverse=True):
        for form in (secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()):
            text = text.replace(form, _HIDDEN)
    return text


def _stripped(value: str, where: str, kind: str) -> str:
    value = value.strip().removeprefix("\ufeff").strip()
    if not value:
        raise InputError(f"the {kind} is empty", where=where)
    return value
