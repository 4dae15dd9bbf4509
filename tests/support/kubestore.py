"""The objects behind the test API server: versions, snapshots, selectors and pages as Kubernetes documents them.

https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource versions, lists in chunks),
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and .../field-selectors/.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Test = Callable[[Object], bool]

KINDS = {"pods": "Pod", "nodes": "Node"}
_FIELDS = {
    "pods": (
        "metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
        "spec.serviceAccountName", "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "nodes": ("metadata.name", "spec.unschedulable"),
}  # fmt: skip
_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)?\s*(?P<present>[\w./-]+)"
    r"|(?P<key>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)"
    r"|(?P<set_key>[\w./-]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^()]*)\))\s*"
)
_TOO_OLD_LIST = "The resourceVersion for the provided list is too old."
_TOO_OLD_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


class StatusError(Exception):
    """A refusal, to be answered as an object of kind ``Status``."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, continue_token: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        metadata = {"continue": continue_token} if continue_token else {}
        self.body: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": message,
            "reason": reason, "code": code,
        }  # fmt: skip
        if details:
            self.body["details"] = details


@dataclass(frozen=True)
class Change:
    """One write; the history of them is what a watch would replay."""

    version: int
    resource: str
    key: str
    after: Object | None


@dataclass
class Store:
    """Objects by resource and key, with every version since the last compaction."""

    version: int = 1000
    oldest: int = 0
    history: list[Change] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, resource: str, body: Object) -> Object:
        """Create or replace an object; it gets the next version and, where new, a uid and a creation time."""
        stored = copy.deepcopy(body)
        metadata = stored["metadata"]
        with self.lock:
            before = self._at(resource, self.version).get(_key(stored))
            self.version += 1
            if before is not None:
                metadata.setdefault("uid", before["metadata"]["uid"])
            metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.version}/{_key(stored)}")))
            metadata.setdefault("creationTimestamp", "2026-01-05T08:00:00Z")
            metadata["resourceVersion"] = str(self.version)
            self.history.append(Change(self.version, resource, _key(stored), stored))
        return copy.deepcopy(stored)

    def delete(self, resource: str, name: str, namespace: str = "") -> None:
        """Remove an object."""
        with self.lock:
            self.version += 1
            self.history.append(Change(self.version, resource, f"{namespace}/{name}", None))

    def compact(self) -> None:
        """Forget all versions but the present one, as the server does every five minutes."""
        with self.lock:
            self.oldest = self.version

    def get(self, resource: str, name: str, namespace: str = "") -> Object:
        """Return one object as it is now."""
        found = self._at(resource, self.version).get(f"{namespace}/{name}")
        if found is None:
            details = {"name": name, "kind": resource}
            raise StatusError(404, "NotFound", f'{resource} "{name}" not found', details)
        return found

    def list(self, resource: str, namespace: str | None, params: Mapping[str, str]) -> Object:
        """Answer a list request with one page."""
        matches_labels = parse_label_selector(params.get("labelSelector", ""))
        matches_fields = parse_field_selector(params.get("fieldSelector", ""), resource)
        limit = int(params.get("limit") or 0)
        with self.lock:
            version, start = self._version_and_start(params)
            objects = self._at(resource, version)
        prefix = "" if namespace is None else f"{namespace}/"
        keys = sorted(key for key in objects if key.startswith(prefix) and key >= start)
        items: list[Object] = []
        left = len(keys)
        for key in keys:
            if limit and len(items) == limit:
                break
            left -= 1
            if matches_labels(objects[key]) and matches_fields(objects[key]):
                items.append(objects[key])
        metadata: Object = {"resourceVersion": str(version)}
        if left:
            # Whether the rest matches is not known yet, so that the last page may be empty.
            metadata["continue"] = _encode_token(version, keys[-left])
            if not (params.get("labelSelector") or params.get("fieldSelector")):
                metadata["remainingItemCount"] = left
        return {"kind": f"{KINDS[resource]}List", "apiVersion": "v1", "metadata": metadata, "items": items}

    def _at(self, resource: str, version: int) -> dict[str, Object]:
        objects: dict[str, Object] = {}
        for change in self.history:
            if change.version > version or change.resource != resource:
                continue
            if change.after is None:
                objects.pop(change.key, None)
            else:
                objects[change.key] = change.after
        return objects

    def _version_and_start(self, params: Mapping[str, str]) -> tuple[int, str]:
        """Tell which version is asked for, and from which key on."""
        wanted, match, token = (
            params.get(name, "") for name in ("resourceVersion", "resourceVersionMatch", "continue")
        )
        _check_match(wanted, match, token)
        if token:
            if wanted not in ("", "0"):
                raise StatusError(400, "BadRequest", "specifying resource version is not allowed when using continue")
            version, start = _decode_token(token)
            if version == -1:
                return self.version, start
            if version < self.oldest:
                raise StatusError(410, "Expired", _TOO_OLD_TOKEN, continue_token=_encode_token(-1, start))
            return version, start
        if wanted in ("", "0"):
            return self.version, ""
        asked = int(wanted)
        if asked > self.version:
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            message = f"Too large resource version: {asked}, current: {self.version}"
            raise StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
        # With a limit and no match given, a version is meant exactly: a legacy that the documentation keeps.
        if match == "Exact" or (not match and params.get("limit")):
            if asked < self.oldest:
                raise StatusError(410, "Expired", _TOO_OLD_LIST)
            return asked, ""
        return self.version, ""


def parse_label_selector(text: str) -> Test:
    """Read equality- and set-based requirements; an object must meet all of them."""
    tests = []
    for part in re.split(r",(?![^()]*\))", text) if text.strip() else []:
        found = _REQUIREMENT.fullmatch(part)
        if found is None:
            raise StatusError(400, "BadRequest", f"unable to parse requirement: {part!r}")
        tests.append(_label_test(found))
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def parse_field_selector(text: str, resource: str) -> Test:
    """Read requirements on the fields that the resource supports."""
    wanted = []
    for part in text.split(",") if text else []:
        found = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*", part)
        if found is None or found[1] not in _FIELDS[resource]:
            name = found[1] if found else part
            what = f'Unable to find "{resource}" that match label selector "", field selector "{text}"'
            raise StatusError(400, "BadRequest", f"{what}: field label not supported: {name}")
        wanted.append((found[1].split("."), found[2] != "!=", found[3]))

    def value_of(obj: Object, path: list[str]) -> str:
        here: Any = obj
        for part in path:
            here = (here or {}).get(part)
        return str(here).lower() if isinstance(here, bool) else str(here or "")

    return lambda obj: all((value_of(obj, path) == value) is equal for path, equal, value in wanted)


def _label_test(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    if found["present"]:
        return lambda labels: (found["present"] in labels) is (found["absent"] is None)
    if found["key"]:
        key, wanted, positive = found["key"], {found["value"]}, found["op"] != "!="
    else:
        key, positive = found["set_key"], found["set_op"] == "in"
        wanted = {value.strip() for value in found["values"].split(",")}
    # An object without the label meets every negative requirement.
    return lambda labels: (key in labels and labels[key] in wanted) is positive


def _check_match(wanted: str, match: str, token: str) -> None:
    faults = (
        (bool(wanted) and not wanted.isdecimal(), f"resourceVersion: Invalid value: {wanted!r}"),
        (bool(match) and bool(token), "resourceVersionMatch is forbidden when continue is provided"),
        (bool(match) and not wanted, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (match not in ("", "Exact", "NotOlderThan"), f"resourceVersionMatch: Unsupported value: {match!r}"),
        (match == "Exact" and wanted == "0", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    )
    for wrong, message in faults:
        if wrong:
            raise StatusError(422, "Invalid", f"ListOptions.meta.k8s.io is invalid: {message}")


def _key(obj: Object) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _encode_token(version: int, start: str) -> str:
    body = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _decode_token(token: str) -> tuple[int, str]:
    try:
        body = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(body["rv"]), str(body["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise StatusError(400, "BadRequest", f"continue key is not valid: {error}") from error
