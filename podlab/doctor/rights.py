"""The cluster: whether it is reached, and whether each right that the settings call for is granted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from podlab.config import MetricsSource, Settings
from podlab.doctor.finding import Finding, failure
from podlab.errors import PodlabError
from podlab.http import one_line
from podlab.kubernetes.client import ApiConnection, connect

_CLUSTER_S: Final = 10.0
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_CLUSTER: Final = "Kubernetes API"


class Right(NamedTuple):
    """What has to be granted, why, and where a rule for it stands."""

    verb: str
    resource: str
    why: str
    manifest: str
    needed: bool = True
    group: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{place}"

    @property
    def rule(self) -> str:
        """The rule of a Role that grants it, YAML on one line."""
        names = f", resourceNames: [{self.name}]" if self.name else ""
        return f'{{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [{self.verb}]{names}}}'


class _Status(msgspec.Struct):
    allowed: bool = False
    reason: str = ""


class _Review(msgspec.Struct):
    status: _Status


def rights_for(settings: Settings) -> Iterator[Right]:
    """List what the watcher asks of the API server and the kubelets, as it is set up."""
    base = "deploy/base/rbac.yaml"
    watched = tuple(name for name in settings.watch_namespaces if name not in settings.watch_excluded_namespaces)
    # One namespace is listed by itself; several are so only by listing all.
    listed = watched if len(watched) == 1 else ("",)
    for verb in ("list", "watch"):
        for namespace in listed:
            yield Right(verb, "pods", "to see who starts", base, namespace=namespace)
    for namespace in watched or ("",):
        if "event" in settings.watch_sinks:
            yield Right("create", "events", "to tell what was found", base, namespace=namespace)
        if "annotation" in settings.watch_sinks:
            annotate = "deploy/overlays/annotate/rbac.yaml"
            yield Right("patch", "pods", "to write onto the pods", annotate, namespace=namespace)
    if settings.watch_pod is not None and watched and settings.watch_pod.namespace not in watched:
        own = settings.watch_pod.namespace
        yield Right("create", "events", "to tell on podlab's own pod that no metrics come", base, False, namespace=own)
    if settings.watch_lease:
        namespace, _, name = settings.watch_lease.partition("/")
        lease = Right("create", "leases", "to choose who speaks", base, True, "coordination.k8s.io", namespace)
        yield lease
        for verb in ("get", "update"):
            yield lease._replace(verb=verb, name=name)
    kubelet = "deploy/overlays/kubelet/rbac.yaml"
    if settings.metrics_source == MetricsSource.KUBELET:
        yield Right("list", "nodes", "to find the kubelets", kubelet)
        yield Right("get", "nodes/stats", "for metrics", kubelet)
        yield Right("get", "nodes/metrics", "for block I/O", kubelet, needed=False)
    else:
        yield Right("list", "nodes", "for images' sizes in recordings; never a feature", kubelet, needed=False)


def look_at_cluster(settings: Settings) -> list[Finding]:
    """Reach the API server, and ask it of each right by a SelfSubjectAccessReview, which changes nothing."""
    try:
        connection = connect(settings.kubernetes_endpoint, settings.kubernetes_access, timeout_s=_CLUSTER_S)
    except PodlabError as error:
        return [failure(_CLUSTER, error)]
    try:
        findings = [_ask(connection, right) for right in rights_for(settings)]
    except PodlabError as error:
        return [failure(_CLUSTER, error)]
    finally:
        connection.close()
    return [Finding(_CLUSTER, True, f"{connection.host}, by {connection.origin}"), *findings]


def _ask(connection: ApiConnection, right: Right) -> Finding:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource,
        "namespace": right.namespace, "name": right.name,
    }  # fmt: skip
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    answer = connection.request("POST", _REVIEWS, review)
    try:
        status = msgspec.json.decode(answer, type=_Review).status
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = f"the answer about rights cannot be read: {one_line(str(error))}"
        raise PodlabError(what, where=connection.host) from None
    details = {"verb": right.verb, "resource": right.resource, "namespace": right.namespace}
    subject = f"right: {right}"
    if status.allowed:
        return Finding(subject, True, f"granted; {right.why}", needed=right.needed, details=details)
    reason = f": {one_line(status.reason)}" if status.reason else ""
    if right.namespace and not right.group:
        # The manifest would grant it in all namespaces.
        todo = f"add to a Role of the user's in namespace {right.namespace}: {right.rule}"
    else:
        todo = f"kubectl apply -f {right.manifest}, or add to the user's role {right.rule}"
    return Finding(subject, False, f"not granted{reason}; {right.why}", todo, right.needed, details)
