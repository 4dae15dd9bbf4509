"""How a notebook's kernel writes its messages. The kernel imports this module, so it imports little itself."""

from __future__ import annotations

import re
from typing import Any

from jupyter_client.session import json_packer

#: Half of a character of UTF-16 by itself, as paths that are not UTF-8 are full of.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def pack(message: Any) -> bytes:
    r"""Write a message as JSON; a lone surrogate, which no UTF-8 text can hold, is shown as ``\udcff``.

    Jupyter's own way would leave the whole output out and print a traceback into the terminal.

    Parameters
    ----------
    message : object
        What Jupyter sends.

    Examples
    --------
    >>> pack({"text": "a\udcff"})
    b'{"text": "a\\\\udcff"}'
    """
    return json_packer(_escape(message))


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, dict):
        return {_escape(key): _escape(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(part) for part in value]
    return value
