"""Label and field selectors of the test API server.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and .../field-selectors/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.kubestatus import Object, StatusError

Test = Callable[[Object], bool]

_FIELDS = {
    "pods": (
        "metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
        "spec.serviceAccountName", "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "nodes": ("metadata.name", "spec.unschedulable"),
    "events": (
        "metadata.name", "metadata.namespace", "involvedObject.kind", "involvedObject.namespace",
        "involvedObject.name", "involvedObject.uid", "reason", "type", "reportingComponent",
    ),
    "leases": ("metadata.name", "metadata.namespace"),
}  # fmt: skip
_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)?\s*(?P<present>[\w./-]+)"
    r"|(?P<key>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)"
    r"|(?P<set_key>[\w./-]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^()]*)\))\s*"
)


def matcher(resource: str, params: Mapping[str, str]) -> Test:
    """Make the test that an object must pass to be listed or watched."""
    matches_labels = parse_label_selector(params.get("labelSelector", ""))
    matches_fields = parse_field_selector(params.get("fieldSelector", ""), resource)
    return lambda obj: matches_labels(obj) and matches_fields(obj)


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
