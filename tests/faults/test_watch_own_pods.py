"""podlab's own pods are nothing it tells of; pods that only call themselves so elsewhere are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod

LABEL = {"app.kubernetes.io/name": "podlab-watcher"}


@pytest.mark.parametrize("listed", [True, False])
def test_only_podlabs_pods_in_its_own_namespace_are_left_out(listed: bool, tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path, own_namespace="podlab")

        def start() -> None:
            api.store.put("pods", make_pod("own", namespace="podlab", labels=LABEL))
            api.store.put(
                "pods", make_pod("database", namespace="podlab", labels={"app.kubernetes.io/name": "influxdb"})
            )
            api.store.put("pods", make_pod("guest", namespace="default", labels=LABEL))
            api.store.put("pods", make_pod("bare", namespace="podlab", labels={}))

        if listed:
            start()
            harness.run(lambda: None)
        else:
            harness.run(start, lambda: None)
        assert sorted(harness.told()) == [("added", "bare"), ("added", "database"), ("added", "guest")]
