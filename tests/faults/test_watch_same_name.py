"""A pod deleted and made anew under its name, as StatefulSets do: another uid, another pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod


@pytest.mark.parametrize("forgotten", [False, True], ids=["by watch", "by list"])
def test_the_old_one_goes_before_the_new_one_comes(tmp_path: Path, forgotten: bool) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("db-0", uid="old"))
        harness = InformerHarness(api, tmp_path)

        def remake() -> None:
            api.store.delete("pods", "db-0", "default")
            api.store.put("pods", make_pod("db-0", uid="new"))
            if forgotten:
                api.store.compact()

        harness.run(remake, lambda: None)
        told = [(change.kind, change.pod.uid) for change in harness.changes]
        assert told == [("added", "old"), ("gone", "old"), ("added", "new")]
        assert harness.informer.status.lists == 1 + forgotten


def test_the_same_without_word_of_the_deletion(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("db-0", uid="old"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: api.store.put("pods", make_pod("db-0", uid="new")))
        told = [(change.kind, change.pod.uid) for change in harness.changes]
        assert told == [("added", "old"), ("gone", "old"), ("added", "new")]
