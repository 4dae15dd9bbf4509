"""Golden files: JSON that is compared with what podlab does today, or written anew where that is wanted."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
FIXTURES = HERE / "fixtures"
#: Set by ``python -m tests.contract --write``.
WRITE_VARIABLE = "CONTRACT_WRITE"
TOLERANCE = 1e-6
_MOST_SHOWN = 20


def check(name: str, found: object, *, tolerance: float = TOLERANCE) -> None:
    """Compare with the golden file of that name; numbers may differ by the tolerance.

    With ``CONTRACT_WRITE`` set the file is written instead.
    """
    path = GOLDEN / f"{name}.json"
    found = json.loads(json.dumps(found, allow_nan=False))
    if os.environ.get(WRITE_VARIABLE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    moved = differences(json.loads(path.read_text(encoding="utf-8")), found, tolerance=tolerance)
    listed = "\n".join(moved[:_MOST_SHOWN])
    assert not moved, f"{len(moved)} differences from {path.name} (python -m tests.contract --write):\n{listed}"


def differences(old: Any, new: Any, *, tolerance: float, where: str = "") -> list[str]:
    """List each place where two JSON values differ, as ``path: old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = [f"{where}/{key}: is gone" for key in old if key not in new]
        found += [f"{where}/{key}: is new" for key in new if key not in old]
        for key in old:
            if key in new:
                found += differences(old[key], new[key], tolerance=tolerance, where=f"{where}/{key}")
        return found
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return [f"{where}: {len(old)} elements -> {len(new)}"]
        pairs = enumerate(zip(old, new, strict=True))
        return [each for n, (a, b) in pairs for each in differences(a, b, tolerance=tolerance, where=f"{where}/{n}")]
    if _is_number(old) and _is_number(new):
        same = math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance)
    else:
        same = type(old) is type(new) and old == new
    return [] if same else [f"{where}: {old!r} -> {new!r}"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shape_of(value: Any) -> Any:
    """Replace each value by its type's name; a list by the one shape that covers all its elements."""
    if isinstance(value, dict):
        return {key: shape_of(part) for key, part in value.items()}
    if isinstance(value, list):
        merged: list[Any] = []
        for part in value:
            merged = [_merge(merged[0], shape_of(part))] if merged else [shape_of(part)]
        return merged
    return "null" if value is None else type(value).__name__


def _merge(one: Any, other: Any) -> Any:
    """Give the shape that covers two: of objects all keys, of values both types."""
    if isinstance(one, dict) and isinstance(other, dict):
        merged = {}
        for key in [*one, *(key for key in other if key not in one)]:
            both = key in one and key in other
            merged[key] = _merge(one[key], other[key]) if both else one.get(key, other.get(key))
        return merged
    if isinstance(one, list) and isinstance(other, list):
        return [_merge(one[0], other[0])] if one and other else one or other
    if one == other:
        return one
    names = {
        part for each in (one, other) for part in (each.split("|") if isinstance(each, str) else [json.dumps(each)])
    }
    return "|".join(sorted(names))
