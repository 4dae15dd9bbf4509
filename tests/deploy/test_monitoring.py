"""Alerts ask for metrics that the watcher has, and the operator scrapes the pods that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from podlab.watcher.runtime import Metrics
from tests.deploy.conftest import DEPLOY, Objects
from tests.support.debian import find_program
from tests.support.kustomize import render


def test_every_alert_asks_for_metrics_and_labels_that_there_are() -> None:
    [rules] = [each for each in render(DEPLOY / "monitoring") if each["kind"] == "PrometheusRule"]
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    metrics = Metrics()
    metrics.mismatch.labels("shop", "Deployment/web", "main", "nginx").set(1)
    metrics.claims.labels("mismatch").set(1)
    metrics.miner_like.labels("shop", "Deployment/web", "main").set(0.95)
    told = [each for family in metrics.registry.collect() for each in family.samples]
    names, known = {each.name for each in told}, {label for each in told for label in each.labels}
    assert {alert["alert"] for alert in alerts} >= {"PodlabIdentityMismatch", "PodlabUnwell"}
    for alert in alerts:
        asked = set(re.findall(r"\bpodlab_\w+", alert["expr"]))
        assert asked
        assert asked <= names, alert["alert"]
        grouped = re.findall(r"by \(([\w, ]+)\)", alert["expr"])
        assert {label for each in grouped for label in each.split(", ")} <= known
        assert set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"]))) <= {
            label for each in grouped for label in each.split(", ")
        }


def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    [rules] = [each for each in render(DEPLOY / "monitoring") if each["kind"] == "PrometheusRule"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules["spec"]))
    promtool = find_program("promtool", package="prometheus")
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yaml"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    alerts = sum(len(group["rules"]) for group in rules["spec"]["groups"])
    assert (done.returncode, f"{alerts} rules found" in done.stdout, done.stderr) == (0, True, "")


def test_the_operator_scrapes_the_watchers_pods_and_keeps_the_labels_of_workloads(objects: Objects) -> None:
    [monitor] = [each for each in render(DEPLOY / "monitoring") if each["kind"] == "PodMonitor"]
    [deployment] = objects("base", "Deployment")
    pod = deployment["spec"]["template"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= pod["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert endpoint["honorLabels"] is True
    assert monitor["metadata"]["namespace"] == deployment["metadata"]["namespace"]


def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path: Path) -> None:
    [rules] = [each for each in render(DEPLOY / "monitoring") if each["kind"] == "PrometheusRule"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules["spec"]))
    names = [rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    workload = 'namespace="shop",workload="Deployment/web",container="main"'
    # Two replicas, of which one leads; a sample each minute.
    well = {
        'podlab_leader{instance="a"}': "1x60", 'podlab_leader{instance="b"}': "0x60",
        'podlab_last_tick_timestamp_seconds{instance="a"}': "0+60x60", 'podlab_model_refused{instance="a"}': "0x60",
        'podlab_source_healthy{instance="a"}': "1x60", 'podlab_lag_seconds{instance="a"}': "5x60",
        'podlab_claims{instance="a",verdict="consistent"}': "99x60",
        'podlab_claims{instance="a",verdict="mismatch"}': "0x60",
    }  # fmt: skip
    cases: dict[str, dict[str, str]] = {
        "": {},
        "PodlabIdentityMismatch": {
            f'podlab_claim_mismatch{{instance="a",{workload},claim="nginx"}}': "1x60",
            f'podlab_claim_mismatch{{instance="b",{workload},claim="nginx"}}': "1x60",
        },
        "PodlabManyMismatches": {'podlab_claims{instance="a",verdict="mismatch"}': "9x60"},
        "PodlabMinerLike": {f'podlab_miner_like{{instance="a",{workload}}}': "0.95x60"},
        "PodlabUnwell": {'podlab_leader{instance="a"}': "0x60"},
        "PodlabModelRefused": {'podlab_model_refused{instance="a"}': "1x60"},
        "PodlabNoMetrics": {'podlab_source_healthy{instance="a"}': "0x60"},
    }
    assert set(cases) - {""} == set(names)
    tests = [
        {
            "name": case or "all is well", "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in (well | changed).items()],
            "promql_expr_test": [
                {
                    "expr": "sum by (alertname) (ALERTS{alertstate='firing'})", "eval_time": "45m",
                    "exp_samples": [{"labels": f'{{alertname="{case}"}}', "value": 1}] if case else [],
                }
            ],
        }
        for case, changed in cases.items()
    ]  # fmt: skip
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    promtool = find_program("promtool", package="prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests.yaml"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
