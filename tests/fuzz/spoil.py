"""Damage of two kinds: to a document's values, and to its bytes. The same random numbers do the same damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Spoil = Callable[[random.Random], bytes]

#: What stands where something else should.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, -0.0, 1e-300, 1e18, 1e300, "", " ",
    "0", "-1", "1e400", "NaN", "nan", "+Inf", "null", "None", "\x00", "\ufeff", "ä\u2028€", "\ud7ff", "a\nb", 'a"b\\',
    "../../etc/passwd", "x" * 5000, "9" * 5000, "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    [], {}, [[]], [None], {"": None}, {"a": {"b": []}},
)  # fmt: skip


def spoil_values(document: Any, rng: random.Random) -> Any:
    """Change one to three places of a document of lists and dicts; the document itself stays."""
    for _ in range(rng.randint(1, 3)):
        document = _spoil_place(document, rng)
    return document


def _spoil_place(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        place = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        copy = value.copy()
        what = rng.random()
        if what < 0.08:
            del copy[place]
        elif what < 0.12 and isinstance(copy, list):
            copy.insert(place, value[place])
        elif what < 0.16 and isinstance(copy, dict):
            copy[str(rng.choice(ODD))[:40]] = copy.pop(place)
        else:
            copy[place] = _spoil_place(value[place], rng)
        return copy
    if rng.random() < 0.05:
        for _ in range(rng.choice([1, 5, 300])):
            value = [value]
        return value
    return rng.choice(ODD)


def spoil_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, repeat, swap or change some bytes."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, length = rng.randrange(len(made) + 1), rng.choice([1, 2, 4, 16, 200])
        match rng.randrange(6):
            case 0:
                del made[at:]
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = made[at : at + length] * rng.choice([1, 2, 50])
            case 3:
                made[at : at + 1] = rng.randbytes(1)
            case 4:
                made[at:at] = rng.choice([b"[" * 3000, b"{", b'"', b"\\", b"\n", b",", b"\xff\xfe", b"\x00", b"e999"])
            case 5:
                made[at : at + length] = rng.randbytes(length)
    return bytes(made)


def spoil_text(text: str, rng: random.Random) -> bytes:
    """Put odd words in the place of words of a text, or damage its bytes."""
    if rng.random() < 0.3:
        return spoil_bytes(text.encode(), rng)
    words = text.replace(",", " , ").split(" ")
    for _ in range(rng.randint(1, 3)):
        words[rng.randrange(len(words))] = str(rng.choice(ODD))
    return " ".join(words).replace(" , ", ",").encode("utf-8", "replace")
