"""No API server for a while, as when its node is restarted."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod


def test_it_is_tried_with_patience_until_it_is_back(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("web"))
        harness = InformerHarness(api, tmp_path)
        kubeconfig = tmp_path / "kubeconfig"
        there = kubeconfig.read_text(encoding="utf-8")
        kubeconfig.write_text(there.replace(api.url, "http://127.0.0.1:1"), encoding="utf-8")
        errors: list[str | None] = []

        def come_back() -> None:
            errors.append(harness.informer.status.last_error)
            kubeconfig.write_text(there, encoding="utf-8")

        harness.run(*[lambda: None] * 3, come_back)
        assert harness.pauses == [0.8, 1.6, 3.2, 6.4, 12.8]
        assert "cannot be reached" in str(errors)
        assert harness.told() == [("added", "web")]
        assert harness.verbs() == ["list", "watch"]


def test_what_is_known_stays_known_while_it_is_away_and_across_its_restart(tmp_path: Path) -> None:
    """No pod is reported as gone, so that the samples kept of it stay; what ended meanwhile is found at once."""
    with KubeApi() as api:
        api.store.put("pods", make_pod("stays"))
        api.store.put("pods", make_pod("ends"))
        harness = InformerHarness(api, tmp_path)
        kubeconfig = tmp_path / "kubeconfig"
        there = kubeconfig.read_text(encoding="utf-8")
        told: list[list[tuple[str, str]]] = []

        def go_away() -> None:
            told.append(harness.told())
            kubeconfig.write_text(there.replace(api.url, "http://127.0.0.1:1"), encoding="utf-8")
            harness.informer._disconnect()

        def restart() -> None:
            told.append(harness.told())
            api.store.delete("pods", "ends", "default")
            api.store.compact()
            kubeconfig.write_text(there, encoding="utf-8")
            harness.verbs()

        harness.run(go_away, *[lambda: None] * 9, restart)
        assert told == [[("added", "ends"), ("added", "stays")], []]
        assert harness.told() == [("gone", "ends")]
        assert harness.verbs() == ["watch", "list", "watch"]
