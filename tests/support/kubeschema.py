"""Checks an object against the official client's models: every key known, every value of its type, nothing missing."""

from __future__ import annotations

import re
from typing import Any

import kubernetes

_PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
}


def check_object(value: Any, model: type, *, where: str) -> None:
    """Assert that ``value`` is what ``model`` describes; the assertion's message names the place."""
    assert isinstance(value, dict), f"{where}: not an object"
    names = {key: attribute for attribute, key in model.attribute_map.items()}  # type: ignore[attr-defined]
    types = model.openapi_types  # type: ignore[attr-defined]
    for key, content in value.items():
        assert key in names, f"{where}: {key} is unknown to {model.__name__}"
        _check(content, types[names[key]], f"{where}: {key}")
    # The model's own setters refuse what must not be missing, and values that are not among the allowed ones.
    model(**{names[key]: content for key, content in value.items()})


def _check(value: Any, kind: str, where: str) -> None:
    if of_list := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        assert isinstance(value, list), f"{where}: not a list"
        for number, item in enumerate(value):
            _check(item, of_list[1], f"{where}[{number}]")
    elif of_dict := re.fullmatch(r"[Dd]ict[(\[](\w+), (.*)[)\]]", kind):
        assert isinstance(value, dict), f"{where}: not an object"
        for key, item in value.items():
            assert isinstance(key, _PLAIN[of_dict[1]]), f"{where}: {key}"
            _check(item, of_dict[2], f"{where}.{key}")
    elif kind == "datetime":
        # RFC 3339 with any number of digits after the second; the API server itself writes null for a time that is not.
        if value is None:
            return
        assert isinstance(value, str), f"{where}: not a time"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value), f"{where}: not a time"
    elif kind in _PLAIN:
        assert isinstance(value, _PLAIN[kind]), f"{where}: {value!r} is not {kind}"
        assert kind != "int" or not isinstance(value, bool), f"{where}: {value!r} is not {kind}"
    else:
        check_object(value, getattr(kubernetes.client, kind), where=where)
