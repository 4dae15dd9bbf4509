"""Taking the values of secrets out of everything that is about to be written."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from podlab.config import Settings, is_secret, load_settings

HIDDEN: Final = "**********"
#: What makes a notebook's structure, and base64 of compressed pixels, which holds no text: a short secret found in
#: them by chance would spoil the file.
KEPT: Final = frozenset({"cell_type", "id", "image/jpeg", "image/png", "output_type"})


_QUOTED: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: repr(text)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    html.escape,
    quote,
    lambda text: quote(text, safe=""),
)


def secret_values() -> tuple[str, ...]:
    """Return the secrets of the settings in every form in which they could turn up in a text, longest first.

    Raises
    ------
    InputError
        If the settings are no good.
    """
    settings = load_settings()
    forms = {secret for name in Settings.model_fields if is_secret(name) and (secret := settings.secret(name))}
    for _ in range(2):  # a text may show a text that shows the secret
        forms |= {quoted(form) for form in forms for quoted in _QUOTED}
    return tuple(sorted(forms, key=len, reverse=True))


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
