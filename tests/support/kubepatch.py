"""The three ways of a PATCH on the test API server.

JSON patch (RFC 6902), JSON merge patch (RFC 7386), and strategic merge patch
(https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md).
"""

from __future__ import annotations

import copy
from typing import Any

from tests.support.kubestatus import Object, StatusError

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
#: By which key the items of a list are told apart; lists that are not named here are replaced.
_MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "conditions": "type", "ownerReferences": "uid", "addresses": "type", "imagePullSecrets": "name",
}  # fmt: skip
_MERGED_VALUES = ("finalizers",)


def apply_patch(obj: Object, content_type: str, patch: Any) -> Object:
    """Return the object as the patch wants it."""
    base = content_type.partition(";")[0].strip()
    if base == JSON_PATCH:
        return _apply_operations(copy.deepcopy(obj), patch)
    if base not in (MERGE_PATCH, STRATEGIC_PATCH):
        accepted = f"{JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}"
        what = "the body of the request was in an unknown format - accepted media types include: "
        raise StatusError(415, "UnsupportedMediaType", what + accepted)
    if not isinstance(patch, dict):
        raise StatusError(400, "BadRequest", "json: cannot unmarshal into Go value of type map[string]interface {}")
    merged: Object = (_merge if base == MERGE_PATCH else _merge_strategically)(copy.deepcopy(obj), patch)
    return merged


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _merge_strategically(target: Any, patch: Any, name: str = "") -> Any:
    if isinstance(patch, list) and name in _MERGE_KEYS:
        return _merge_items(list(target or []), patch, _MERGE_KEYS[name])
    if isinstance(patch, list) and name in _MERGED_VALUES:
        return [*(target or []), *(value for value in patch if value not in (target or []))]
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive not in (None, "merge", "replace", "delete"):
        raise StatusError(400, "BadRequest", f"Unknown patch type: {directive}")
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            place = key.partition("/")[2]
            merged[place] = [item for item in merged.get(place, []) if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_strategically(merged.get(key), value, key)
    return merged


def _merge_items(target: list[Any], patch: list[Any], key: str) -> list[Any]:
    for item in patch:
        if key not in item:
            raise StatusError(400, "BadRequest", f"map: {item} does not contain declared merge key: {key}")
        places = [place for place, old in enumerate(target) if old.get(key) == item[key]]
        if item.get("$patch") == "delete":
            target = [old for place, old in enumerate(target) if place not in places]
        elif places:
            target[places[0]] = _merge_strategically(target[places[0]], item)
        else:
            target.append(_merge_strategically({}, item))
    return target


def _apply_operations(obj: Any, operations: Any) -> Any:
    if not isinstance(operations, list):
        raise StatusError(400, "BadRequest", "json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    for operation in operations:
        try:
            obj = _apply_operation(obj, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {operation.get('op')}: {error}"
            raise StatusError(422, "Invalid", message) from error
    return obj


def _apply_operation(obj: Any, operation: Object) -> Any:
    kind, path = operation["op"], operation["path"]
    if kind in ("move", "copy"):
        value = copy.deepcopy(_find(obj, operation["from"]))
        if kind == "move":
            obj = _apply_operation(obj, {"op": "remove", "path": operation["from"]})
        return _apply_operation(obj, {"op": "add", "path": path, "value": value})
    if kind == "test":
        if _find(obj, path) != operation["value"]:
            raise ValueError(f"testing value {path} failed")
        return obj
    if kind not in ("add", "remove", "replace"):
        raise ValueError(f"unexpected kind: {kind}")
    if not path:
        return operation["value"]
    parent_path, _, last = path.rpartition("/")
    parent, last = _find(obj, parent_path), _unescape(last)
    if isinstance(parent, list):
        place = len(parent) if last == "-" and kind == "add" else int(last)
        if place not in range(len(parent) + (kind == "add")):
            raise IndexError(f"invalid index {last}")
        parent[place : place + (kind != "add")] = [] if kind == "remove" else [operation["value"]]
    elif kind == "add":
        parent[last] = operation["value"]
    elif last not in parent:
        raise KeyError(f"unable to {kind} nonexistent key: {last}")
    elif kind == "remove":
        del parent[last]
    else:
        parent[last] = operation["value"]
    return obj


def _find(obj: Any, path: str) -> Any:
    for part in path.split("/")[1:]:
        obj = obj[int(part)] if isinstance(obj, list) else obj[_unescape(part)]
    return obj


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
