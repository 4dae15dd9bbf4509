"""Samples for the notebooks from recordings, from a real InfluxDB, and from a Kubernetes API."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from podlab.config import MetricsSource, Settings, load_settings
from podlab.data.catalogue import LABELS
from podlab.data.recordings import write_recording
from podlab.errors import InputError
from podlab.live import gather
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_node, make_pod
from tests.support.synthetic import make_samples


@pytest.fixture
def of_database(influxd: Influxd, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", influxd.reader[1])
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    return load_settings(
        influxdb_url=influxd.url, influxdb_database=database, influxdb_user=influxd.reader[0], fetch_window="8h"
    )


def test_a_recording_brings_its_labels(tmp_path: Path) -> None:
    samples = make_samples(deployments_per_service=1, seconds=5)
    write_recording(samples, tmp_path / "a.parquet")
    gathered = gather("recording", load_settings(), recordings=[tmp_path / "a.parquet"])
    assert gathered.samples is not None
    assert gathered.samples.equals(samples)
    assert gathered.labels is None
    some = gather("recording", load_settings(services="redis,nginx"), recordings=[tmp_path / "a.parquet"])
    assert some.samples is not None
    assert set(some.samples["service"]) == {"nginx", "redis"}
    with pytest.raises(InputError, match="services: no container of cassandra"):
        gather("recording", load_settings(services="cassandra"), recordings=[tmp_path / "a.parquet"])


def test_a_live_database_is_labelled_by_the_rules(of_database: Settings, influxd: Influxd) -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=10)
    samples["pod"] = samples["service"] + "-" + samples["deployment"].str[-1]
    bare = samples.drop(columns=list(LABELS), errors="ignore").assign(image="example.test/app:1")
    target = InfluxDatabase(influxd.url, of_database.influxdb_database, *influxd.admin)
    replay(bare, target, now=True)
    settings = of_database.model_copy(update={"services": ("nginx", "mysql")})
    gathered = gather("influxdb", settings)
    assert gathered.samples is not None
    assert gathered.labels is not None
    assert "there is no inventory" in gathered.note
    found = gathered.samples[["pod", "service"]].drop_duplicates()
    assert all(pod.startswith(service) for pod, service in found.itertuples(index=False))
    assert gathered.labels.service.value_counts().to_dict() == {"mysql": 2, "nginx": 2}
    assert len(gathered.labels.ambiguous) == len(gathered.labels.unlabelled) == 0


def test_a_replayed_recording_keeps_its_labels(of_database: Settings, influxd: Influxd) -> None:
    target = InfluxDatabase(influxd.url, of_database.influxdb_database, *influxd.admin)
    replay(make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=10), target, now=True)
    gathered = gather("influxdb", of_database)
    assert gathered.samples is not None
    assert set(gathered.samples["deployment"]) == {"nginx-0", "mysql-0"}
    assert gathered.labels is None


def test_a_cluster_tells_what_runs_and_how_it_would_be_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubeApi() as api:
        api.add_user("token")
        api.store.put("nodes", make_node())
        api.store.put(
            "pods", make_pod("shop-1", images={"main": "nginx:1"}, labels={"app.kubernetes.io/name": "nginx"})
        )
        api.store.put("pods", make_pod("worker-x", images={"main": "example.test/worker:1"}))
        monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "kubeconfig", "token")))
        gathered = gather("cluster", load_settings(services="nginx,mysql"))
    assert gathered.samples is None
    assert gathered.labels is not None
    report = gathered.labels
    assert (report.service.dropna().to_list(), report.how.dropna().to_list()) == (["nginx"], ["kubernetes label"])
    assert (len(report.ambiguous), len(report.unlabelled)) == (0, 1)


class _Live:
    """A source that has what it was given the time for."""

    name = "live"

    def __init__(self, settings: Settings) -> None:
        self.kind = settings.metrics_source
        self.has_past = self.kind is not MetricsSource.KUBELET

    def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
        assert self.has_past or until - since >= timedelta(seconds=1.9), "nobody waited for it"
        return make_samples(("nginx",), deployments_per_service=1, seconds=5).assign(cluster=str(self.kind))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("source", MetricsSource)
def test_the_parameter_tells_the_source_whatever_the_setting(
    source: MetricsSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setattr("podlab.live.live_source", _Live)
    for setting in MetricsSource:
        gathered = gather(str(source), load_settings(metrics_source=setting, fetch_window="1s"))
        assert gathered.samples is not None
        assert set(gathered.samples["cluster"]) == {str(source)}


def test_other_sources_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="unknown source 'graphite'; choose one of recording, influxdb,"):
        gather("graphite", load_settings())
