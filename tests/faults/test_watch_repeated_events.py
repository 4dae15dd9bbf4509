"""Events that come twice, or after the end of their pod."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi


def line(kind: str, version: int, uid: str = "u", node: str = "n") -> bytes:
    pod = '{"metadata":{"namespace":"a","name":"web","uid":"%s","resourceVersion":"%d"},"spec":{"nodeName":"%s"}}'
    return f'{{"type":"{kind}","object":{pod % (uid, version, node)}}}\n'.encode()


def tell(tmp_path: Path, *lines: bytes) -> InformerHarness:
    """Let a watch tell the lines, and then let one more begin."""
    with KubeApi() as api:
        api.faults.append(Fault(body=b"".join(lines), verb="watch"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None)
        return harness


def test_a_duplicate_added_is_told_once(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("ADDED", 1001), line("ADDED", 1001), line("ADDED", 1001))
    assert harness.told() == [("added", "web")]
    assert harness.verbs() == ["list", "watch", "watch"]


def test_an_added_of_what_has_changed_since_does_not_undo_the_change(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("ADDED", 1001), line("MODIFIED", 1002, node="m"), line("ADDED", 1001))
    assert [change.pod.node for change in harness.changes] == ["n", "m"]
    assert harness.informer.status.errors == 0


def test_an_added_of_what_is_known_with_news_is_a_change(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("ADDED", 1001), line("ADDED", 1002, node="m"))
    assert harness.told() == [("added", "web"), ("changed", "web")]


def test_a_modified_after_the_deleted_does_not_bring_the_pod_back(tmp_path: Path) -> None:
    """It says that something is wrong, so that a list has to tell what is true."""
    harness = tell(tmp_path, line("ADDED", 1001), line("DELETED", 1003), line("MODIFIED", 1002))
    assert harness.told() == [("added", "web"), ("gone", "web")]
    assert harness.verbs() == ["list", "watch", "list", "watch"]
    assert harness.informer.status.errors == 1


def test_a_deleted_of_what_is_not_known_or_gone_is_nothing(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("DELETED", 1001), line("ADDED", 1002), line("DELETED", 1003), line("DELETED", 1003))
    assert harness.told() == [("added", "web"), ("gone", "web")]
    assert harness.verbs() == ["list", "watch", "watch"]


def test_a_deleted_of_the_pod_before_leaves_its_namesake_alone(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("ADDED", 1001), line("ADDED", 1003, "v"), line("DELETED", 1002))
    assert [(change.kind, change.pod.uid) for change in harness.changes[:3]] == [
        ("added", "u"), ("gone", "u"), ("added", "v"),
    ]  # fmt: skip
    assert len(harness.changes) == 3


def test_a_modified_of_the_pod_before_is_nothing(tmp_path: Path) -> None:
    harness = tell(tmp_path, line("ADDED", 1003, "v"), line("MODIFIED", 1002, "u", "m"))
    assert [(change.kind, change.pod.uid) for change in harness.changes] == [("added", "v")]
