"""Each right is asked for by itself, and the missing one is named with the rule that grants it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from podlab.config import Settings, load_settings
from podlab.doctor import check_cluster, rights_for
from tests.deploy.conftest import DEPLOY
from tests.support.kubeapi import KubeApi
from tests.support.kustomize import render
from tests.support.rbac import grant, rights_of

TOKEN = "t0ken"
ACCOUNT = "podlab-watcher"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with KubeApi() as server:
        server.tokens[TOKEN] = "reader"
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "kubeconfig", TOKEN)))
        yield server


def kubelet_settings() -> Settings:
    return load_settings(metrics_source="kubelet", watch_lease="podlab/podlab-watcher")


@pytest.mark.parametrize(
    ("folder", "chosen"),
    [
        ("base", {}),
        ("overlays/annotate", {"watch_sinks": "log,event,annotation"}),
        ("overlays/kubelet", {"metrics_source": "kubelet"}),
    ],
)
def test_what_the_manifests_grant_is_all_that_is_needed(api: KubeApi, folder: str, chosen: dict[str, str]) -> None:
    settings = load_settings(watch_lease="podlab/podlab-watcher", **chosen)
    objects = render(DEPLOY / folder)
    grant(api, objects, ACCOUNT, TOKEN)
    findings = check_cluster(settings)
    assert [finding.subject for finding in findings if finding.needed and not finding.ok] == []
    asked = {(right.verb, right.resource) for right in rights_for(settings) if right.needed}
    granted = {(verb, resource) for verb, resource, _ in rights_of(objects, ACCOUNT)}
    assert asked <= granted
    assert granted - asked <= {("get", "nodes/metrics")}  # only block I/O


@pytest.mark.parametrize(
    ("missing", "needed"), [("watch pods", True), ("get nodes/stats", True), ("get nodes/metrics", False)]
)
def test_a_missing_right_is_named_with_its_rule(api: KubeApi, missing: str, needed: bool) -> None:
    for right in rights_for(kubelet_settings()):
        if f"{right.verb} {right.resource}" != missing:
            api.allow("reader", [right.verb], [right.resource], right.namespace or None)
    [bad] = [finding for finding in check_cluster(kubelet_settings()) if not finding.ok]
    assert (bad.subject, bad.needed) == (f"right: {missing}", needed)
    rule = yaml.safe_load(bad.hint.partition("role ")[2])
    verb, resource = missing.split()
    assert rule == {"apiGroups": [""], "resources": [resource], "verbs": [verb]}
    assert (DEPLOY.parent / bad.hint.split()[3].rstrip(",")).is_file()


@pytest.mark.parametrize(
    ("watched", "own", "wanted"),
    [
        ("", None, {("list", ""), ("watch", ""), ("create", "")}),
        ("shop", None, {("list", "shop"), ("watch", "shop"), ("create", "shop")}),
        ("shop", "podlab/w-1/u", {("list", "shop"), ("watch", "shop"), ("create", "shop"), ("create", "podlab")}),
        # Several are seen only by listing all.
        ("shop,bank", None, {("list", ""), ("watch", ""), ("create", "shop"), ("create", "bank")}),
    ],
)
def test_rights_in_the_watched_namespaces_are_enough(
    api: KubeApi, watched: str, own: str | None, wanted: set[tuple[str, str]]
) -> None:
    settings = load_settings(watch_namespaces=watched, watch_pod=own)
    asked = {(right.verb, right.namespace) for right in rights_for(settings) if right.resource in ("pods", "events")}
    assert asked == wanted
    for verb, namespace in wanted:
        api.allow("reader", [verb], ["pods", "events"], namespace or None)
    findings = [each for each in check_cluster(settings) if "pods" in each.subject or "events" in each.subject]
    assert all(finding.ok for finding in findings)
    assert len(findings) == len(wanted)


def test_a_missing_right_in_one_namespace_needs_no_cluster_role(api: KubeApi) -> None:
    [bad, *_] = [each for each in check_cluster(load_settings(watch_namespaces="shop")) if not each.ok]
    assert bad.hint.startswith("add to a Role of the user's in namespace shop: {apiGroups")
    assert "kubectl apply" not in bad.hint


def test_no_way_to_a_cluster_is_one_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    [finding] = check_cluster(load_settings())
    assert (finding.ok, finding.needed) == (False, True)
    assert "no such file" in finding.message


def test_a_token_that_is_refused_is_one_finding(api: KubeApi) -> None:
    api.tokens.clear()
    [finding] = check_cluster(load_settings())
    assert "does not accept the credentials (401)" in finding.message
