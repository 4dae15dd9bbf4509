"""The kinds that the test API server keeps, where they are found, and what their writers may do."""

from __future__ import annotations

from dataclasses import dataclass

import kubernetes


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes
    ----------
    resource, kind, group, version
        Its names; the core group has none.
    namespaced : bool
        Whether its objects are in namespaces.
    create_on_update : bool
        Whether a PUT makes what is not there.
    unconditional_update : bool
        Whether a PUT may leave out the version that it replaces.
    """

    resource: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    create_on_update: bool = False
    unconditional_update: bool = True

    @property
    def api_version(self) -> str:
        """Group and version, as in an object's ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """The resource with its group, as messages name it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def path(self) -> str:
        """Where the kind is found."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    @property
    def model(self) -> type:
        """The official client's description of it."""
        name = {"events": "CoreV1Event"}.get(self.resource, f"V1{self.kind}")
        return getattr(kubernetes.client, name)  # type: ignore[no-any-return]


KINDS = {
    kind.resource: kind
    for kind in (
        Kind("pods", "Pod"),
        Kind("nodes", "Node", namespaced=False),
        Kind("events", "Event", create_on_update=True),
        Kind("leases", "Lease", "coordination.k8s.io", create_on_update=True, unconditional_update=False),
        Kind("selfsubjectaccessreviews", "SelfSubjectAccessReview", "authorization.k8s.io", namespaced=False),
    )
}
