"""Which source the settings give, and that whoever takes it can close it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from podlab.config import MetricsSource, load_settings
from podlab.errors import InputError
from podlab.live import live_source
from podlab.sources.influxdb import InfluxSource
from podlab.sources.kubelet import KubeletSource
from podlab.sources.prometheus import PrometheusSource
from tests.support.kubeapi import KubeApi


def test_the_setting_chooses_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_METRICS_SOURCE", "influxdb")
    settings = load_settings(influxdb_url="http://db.example:8086", influxdb_database="metrics")
    with closing(live_source(settings, timeout_s=3.0)) as source:
        assert isinstance(source, InfluxSource)
        assert source.name == "http://db.example:8086, database 'metrics'"
        assert source.database.timeout_s == 3.0


def test_prometheus_is_asked_as_the_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    monkeypatch.setenv("PODLAB_PROMETHEUS_TOKEN_FILE", str(token))
    monkeypatch.setenv("PODLAB_PROMETHEUS_TENANT", "shop")
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", "cluster=east, team=a=b")
    settings = load_settings(metrics_source="prometheus", prometheus_url="https://mimir.example/prometheus/")
    with closing(live_source(settings, timeout_s=3.0)) as source:
        assert isinstance(source, PrometheusSource)
        assert source.name == "https://mimir.example/prometheus, tenant 'shop', cluster='east', team='a=b'"
        assert (source.reader.api.token, source.reader.api.timeout_s) == ("hunter2", 3.0)
        assert "hunter2" not in repr(source.reader)


def test_each_source_of_the_settings_can_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with KubeApi() as api:
        api.add_user("t0ken")
        monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "kubeconfig", "t0ken")))
        made = {MetricsSource.INFLUXDB: InfluxSource, MetricsSource.PROMETHEUS: PrometheusSource}
        made |= {MetricsSource.KUBELET: KubeletSource}
        assert set(made) == set(MetricsSource)
        for name, kind in made.items():
            with closing(live_source(load_settings(metrics_source=name))) as source:
                assert isinstance(source, kind)


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_METRICS_SOURCE", "carbon")
    with pytest.raises(
        InputError,
        match="METRICS_SOURCE: 'carbon' is not a source of metrics; known are influxdb, ",
    ):
        load_settings()
