"""The rights that manifests grant, given to a user of the test API server."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.kubeapi import KubeApi
from tests.support.kustomize import Object


def rights_of(objects: Iterable[Object], account: str) -> set[tuple[str, str, str | None]]:
    """List what a service account may do: verb, resource and namespace (None: everywhere)."""
    objects = list(objects)
    roles = {(each["kind"], each["metadata"]["name"]): each for each in objects if each["kind"].endswith("Role")}
    found = set()
    for binding in objects:
        if not any(subject["name"] == account for subject in binding.get("subjects", [])):
            continue
        role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        namespace = binding["metadata"]["namespace"] if binding["kind"] == "RoleBinding" else None
        for rule in role["rules"]:
            found |= {(verb, resource, namespace) for verb in rule["verbs"] for resource in rule["resources"]}
    return found


def grant(api: KubeApi, objects: Iterable[Object], account: str, token: str) -> None:
    """Make the service account a user who has these rights and no others."""
    user = f"system:serviceaccount:podlab:{account}"
    api.tokens[token] = user
    for verb, resource, namespace in rights_of(objects, account):
        api.allow(user, [verb], [resource], namespace)
