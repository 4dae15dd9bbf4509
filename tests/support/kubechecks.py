"""What the test API server refuses to store: shapes, names, labels and times that Kubernetes would refuse as well.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, .../labels/ and .../annotations/.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.kubekinds import Kind
from tests.support.kubeschema import check_object
from tests.support.kubestatus import Object, StatusError

_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(?=.{0,63}\Z)(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_NAME = re.compile(r"(?=.{1,63}\Z)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_MOST_ANNOTATION_BYTES = 256 * 1024
#: ``MicroTime`` is read with exactly six digits after the second.
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_MICRO_TIMES = (("eventTime",), ("series", "lastObservedTime"), ("spec", "acquireTime"), ("spec", "renewTime"))


def check_body(body: Any, kind: Kind, namespace: str | None, name: str | None) -> Object:
    """Return the body of a POST or PUT, with its namespace filled in.

    Unknown fields are refused, as with ``fieldValidation=Strict``; so are those that the kind must have.
    """
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        raise StatusError(400, "BadRequest", "the object provided is unrecognized: must be of type object")
    for key, expected in (("kind", kind.kind), ("apiVersion", kind.api_version)):
        if body.get(key, expected) != expected:
            raise StatusError(400, "BadRequest", f"the {key} in the data ({body[key]}) does not match ({expected})")
    metadata = body["metadata"]
    if kind.namespaced and metadata.setdefault("namespace", namespace) != namespace:
        what = "the namespace of the provided object does not match the namespace sent on the request"
        raise StatusError(400, "BadRequest", what)
    if name is not None and metadata.setdefault("name", name) != name:
        message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        raise StatusError(400, "BadRequest", message)
    try:
        check_object(body, kind.model, where=kind.kind)
    except (AssertionError, ValueError) as error:
        raise StatusError(400, "BadRequest", f"strict decoding error: {error}") from error
    for path in _MICRO_TIMES:
        value: Any = body
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not _MICRO_TIME.fullmatch(str(value)):
            raise StatusError(400, "BadRequest", f'parsing time "{value}": {".".join(path)} is no MicroTime')
    check_stored(body, kind)
    return {"kind": kind.kind, "apiVersion": kind.api_version, **body}


def check_stored(body: Object, kind: Kind) -> None:
    """Refuse an object, as a write would leave it, for what it says."""
    metadata = body["metadata"]
    faults = []
    name = metadata.get("name") or metadata.get("generateName")
    if not name:
        faults.append("metadata.name: Required value: name or generateName is required")
    elif not _SUBDOMAIN.fullmatch(name if metadata.get("name") else f"{name}x"):
        faults.append(f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain must consist of ...")
    for key, value in (metadata.get("labels") or {}).items():
        if not _is_qualified(key):
            faults.append(f"metadata.labels: Invalid value: {key!r}: name part must consist of ...")
        if not _LABEL_VALUE.fullmatch(value):
            faults.append(f"metadata.labels: Invalid value: {value!r}: a valid label must be an empty string or ...")
    annotations = metadata.get("annotations") or {}
    faults += [f"metadata.annotations: Invalid value: {key!r}" for key in annotations if not _is_qualified(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _MOST_ANNOTATION_BYTES:
        faults.append(f"metadata.annotations: Too long: must have at most {_MOST_ANNOTATION_BYTES} bytes")
    about = (body.get("involvedObject") or {}).get("namespace")
    if (
        kind.resource == "events"
        and about != metadata.get("namespace")
        and (about or metadata["namespace"]) != "default"
    ):
        faults.append(f"involvedObject.namespace: Invalid value: {about!r}: does not match event.namespace")
    duration_s = (body.get("spec") or {}).get("leaseDurationSeconds")
    if kind.resource == "leases" and duration_s is not None and duration_s <= 0:
        faults.append("spec.leaseDurationSeconds: Invalid value: must be greater than 0")
    if faults:
        message = f'{kind.kind} "{metadata.get("name", "")}" is invalid: {"; ".join(faults)}'
        raise StatusError(422, "Invalid", message, {"name": metadata.get("name", ""), "kind": kind.kind})


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return bool(_LABEL_NAME.fullmatch(name)) and (not slash or bool(_SUBDOMAIN.fullmatch(prefix)))
