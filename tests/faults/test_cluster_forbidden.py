"""403: a right is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.kubernetes.client import connect
from podlab.kubernetes.errors import ForbiddenError
from podlab.kubernetes.inventory import read_inventory
from tests.support.kubeapi import KubeApi


@pytest.mark.parametrize(
    ("namespaces", "place"),
    [(None, "in all namespaces"), (["shop"], "in namespace 'shop'")],
)
def test_the_error_names_verb_resource_and_user(tmp_path: Path, namespaces: list[str] | None, place: str) -> None:
    with KubeApi() as api:
        api.tokens["hush-hush"] = "system:serviceaccount:podlab:watcher"
        connection = connect(kubeconfig=api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush"))
        with pytest.raises(ForbiddenError) as error:
            read_inventory(connection, namespaces=namespaces)
        message = str(error.value)
        assert f"no right to list pods {place} (403)" in message
        assert 'User "system:serviceaccount:podlab:watcher" cannot list resource "pods"' in message
        assert "grant the verb 'list' on that resource" in message
        assert "hush" not in message
        assert error.value.exit_code == 2
        assert len(api.requests) == 1
