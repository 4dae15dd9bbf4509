"""A token that is rotated, has run out, or may not watch."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from podlab.kubernetes import client
from podlab.kubernetes.client import connect
from tests.support.certificates import make_certificate
from tests.support.informer import TOKEN, InformerHarness
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod

NEW_TOKEN = "another-token-of-the-watcher"


def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)

        def rotate() -> None:
            del api.tokens[TOKEN]
            api.tokens[NEW_TOKEN] = "watcher"
            api.write_kubeconfig(tmp_path / "kubeconfig", NEW_TOKEN)
            api.store.put("pods", make_pod("web"))

        harness.run(rotate, lambda: None)
        assert harness.told() == [("added", "web")]
        assert harness.verbs() == ["list", "watch", "watch"]
        assert (harness.connections, harness.informer.status.errors) == (2, 1)


def test_one_that_has_run_out_is_tried_with_patience_until_there_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with KubeApi() as api, caplog.at_level(logging.DEBUG):
        harness = InformerHarness(api, tmp_path)
        del api.tokens[TOKEN]
        harness.run(*[lambda: None] * 6, lambda: api.tokens.update({TOKEN: "watcher"}))
        assert harness.pauses[:7] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30]
        assert harness.verbs() == ["list", "watch"]
        assert harness.informer.status.synced
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "does not accept the credentials (401)" in warnings[0].getMessage()
        assert TOKEN not in caplog.text


def test_a_missing_right_is_named_until_it_is_granted(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api._rights.clear()
        errors: list[str | None] = []

        def look(*verbs: str) -> None:
            errors.append(harness.informer.status.last_error)
            api.allow("watcher", verbs, ["pods"])

        harness.run(lambda: look("list"), lambda: look("watch"))
        assert [str(error).partition(" (403)")[0].partition(": ")[2] for error in errors] == [
            "no right to list pods in all namespaces", "no right to watch pods in all namespaces"
        ]  # fmt: skip
        assert harness.informer.status.last_error is None
        assert harness.verbs() == ["list", "list", "watch", "watch"]


def test_no_more_rights_are_used_than_list_and_watch(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        harness.run(api.store.compact, lambda: None)
        assert {(request.verb, request.resource) for request in api.requests} == {("list", "pods"), ("watch", "pods")}


def test_credentials_that_cannot_be_read_are_looked_for_again(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        kubeconfig = (tmp_path / "kubeconfig").read_text()
        (tmp_path / "kubeconfig").unlink()
        harness.run(lambda: None, lambda: (tmp_path / "kubeconfig").write_text(kubeconfig))
        assert harness.verbs() == ["list", "watch"]
        assert (harness.connections, harness.informer.status.errors) == (3, 2)


def test_in_a_pod_the_token_that_kubernetes_put_there_anew_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, authority = make_certificate(tmp_path)
    authority.rename(tmp_path / "ca.crt")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    with KubeApi(certificate) as api:
        address = urlsplit(api.url)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
        monkeypatch.setattr(client, "SERVICE_ACCOUNT", tmp_path)
        harness = InformerHarness(api, tmp_path)
        harness.informer._connect = lambda: connect(access="inside")

        def rotate() -> None:
            (tmp_path / "token").write_text(NEW_TOKEN, encoding="utf-8")
            api.tokens = {NEW_TOKEN: "watcher"}
            api.store.put("pods", make_pod("web"))

        harness.run(rotate, lambda: None)
        assert harness.told() == [("added", "web")]
        assert harness.verbs() == ["list", "watch", "watch"]
        assert harness.informer.status.errors == 1
