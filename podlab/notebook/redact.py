"""What a notebook writes: without the values of secrets, and without text that no file can hold.

The kernel of a run imports this module for :func:`pack`, so it imports little itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from podlab.secret_text import forms

HIDDEN: Final = "**********"
#: A notebook's structure, and base64 of compressed pixels: a short secret found in them by chance would spoil the file.
KEPT: Final = frozenset({"cell_type", "id", "image/jpeg", "image/png", "output_type"})

#: Half of a character of UTF-16 by itself.
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def secret_values() -> tuple[str, ...]:
    """Return the secrets of the settings in every form in which they could turn up in a text, longest first.

    Raises InputError if the settings are no good.
    """
    from podlab.config import Settings, is_secret, load_settings

    settings = load_settings()
    found = {secret for name in Settings.model_fields if is_secret(name) and (secret := settings.secret(name))}
    return tuple(sorted(found.union(*map(forms, found)), key=len, reverse=True))


def redact_text(text: str, secrets: Sequence[str]) -> str:
    """Replace every secret in a text."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def redact(value: Any, secrets: Sequence[str]) -> Any:
    """Replace every secret in all texts of a nested value.

    Parameters
    ----------
    value : object
        Made of dicts, lists, texts, numbers, booleans and ``None``, such as a notebook or what goes into a JSON file.
    secrets : sequence of str
        From :func:`secret_values`.

    Returns
    -------
    object
        A copy of the same shape, dicts of the same class. Keys stay, and so do the values of :data:`KEPT`.
    """
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, list | tuple):
        return [redact(part, secrets) for part in value]
    if isinstance(value, dict):
        return type(value)((key, part if key in KEPT else redact(part, secrets)) for key, part in value.items())
    return value


def pack(message: Any) -> bytes:
    r"""Write a kernel's message as JSON; a lone surrogate, which no UTF-8 text can hold, is shown as ``\udcff``.

    Paths that are not UTF-8 are full of them. Jupyter's own packer would leave the whole output out, and print a
    traceback into the terminal.

    Examples
    --------
    >>> pack({"text": "a\udcff"})
    b'{"text": "a\\\\udcff"}'
    """
    from jupyter_client.session import json_packer

    return json_packer(_escape(message))


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, dict):
        return {_escape(key): _escape(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(part) for part in value]
    return value
