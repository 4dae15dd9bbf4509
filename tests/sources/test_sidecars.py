"""A pod with an injected sidecar: each source gives both containers as their own, and each is identified rightly."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.importing import import_files
from podlab.importing.mapping import Mapping, units_of
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.sources.test_prometheus import fetch as fetch_prometheus
from tests.sources.test_round_trip import fetch_all
from tests.support.influxd import Influxd
from tests.support.kubelet import running_cluster
from tests.support.models import small_identifier
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples
from tests.support.watching import starting_together

SIDECAR = "istio-proxy"
OWN = ["pod", "container", "pod_uid", "started_at"]


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    """Pods whose own container is an nginx, and in which a redis was injected that restarted once.

    An init container with ``restartPolicy: Always`` starts before the others, and its restart leaves theirs alone.
    """
    made = starting_together(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=24, seed=9))
    made = made.assign(time=made["time"].dt.floor("s") + pd.Timedelta("400ms"))
    made = made.assign(started_at=made["started_at"].dt.floor("s")).drop_duplicates(["pod", "time"])
    per_pod = [name for name in MEASURED_METRICS if name in made and CATALOGUE[name].per == "pod"]
    mains, others = (made[made["service"] == service] for service in ("nginx", "redis"))
    parts = [mains]
    for (pod, main), (_, other) in zip(mains.groupby("pod"), others.groupby("pod"), strict=True):
        first = other.drop(columns=per_pod).merge(main[["time", *per_pod]], on="time")
        names = {"pod": pod, "pod_uid": main["pod_uid"].iloc[0], "node": main["node"].iloc[0], "image": "istio/proxyv2"}
        again = first.iloc[:11].assign(time=first["time"].iloc[:11] + pd.Timedelta("12s")).drop(columns=per_pod)
        again = again.merge(main[["time", *per_pod]], on="time")
        begins = first["started_at"].iloc[0]
        parts += [
            one.assign(container=SIDECAR, started_at=begins + pd.Timedelta(later), **names)
            for one, later in ((first.iloc[:11], "0s"), (again, "12s"))
        ]
    return check_samples(pd.concat(parts), where="sidecars")


def check(samples: pd.DataFrame, got: pd.DataFrame) -> None:
    """Each container has its own samples and its own start, and is what it is."""
    known = got.assign(started_at=got["started_at"].dt.floor("s").dt.as_unit("ns"))
    assert known.groupby(OWN).size().to_dict() == samples.groupby(OWN).size().to_dict()
    key = [*OWN, "time"]
    for name in ("memory_rss_bytes", "cpu_usage_core_nanoseconds", "rx_bytes"):
        both = known[[*key, name]].merge(samples[[*key, name]], on=key)
        assert len(both) == len(samples)
        assert (both[f"{name}_x"] // 1 == both[f"{name}_y"] // 1).all(), name
    found = {(each.pod, each.container, each.service) for each in small_identifier().identify(known, horizon_s=10.0)}
    own = zip(samples["pod"], samples["container"], strict=True)
    assert found == {(pod, container, "redis" if container == SIDECAR else "nginx") for pod, container in own}


def test_of_influxdb(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    check(samples, fetch_all(samples, influxd, database))


@pytest.mark.parametrize("server", ["prometheusd", "victoria"])
def test_of_prometheus(samples: pd.DataFrame, server: str, request: pytest.FixtureRequest) -> None:
    running: Prometheusd = request.getfixturevalue(server)
    check(samples, fetch_prometheus(running, samples, running.write(samples)))


def test_of_the_kubelets(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(24, every_s=0.5)
        check(samples, cluster.fetch())


def test_of_an_imported_table(samples: pd.DataFrame, tmp_path: Path) -> None:
    told = samples.drop(columns=["service", "deployment", "variant", "version"])
    told.to_csv(tmp_path / "pods.csv", index=False)
    names = ["cluster", "node", "namespace", "pod", "pod_uid", "container", "image", "started_at"]
    measured = [name for name in told if name in CATALOGUE]
    mapping = Mapping.model_validate(
        {
            "time": {"column": "time"},
            "identity": {name: name for name in names},
            "column": [{"name": name, "metric": name, "unit": units_of(CATALOGUE[name].unit)[0]} for name in measured],
        }
    )
    check(samples, import_files([tmp_path / "pods.csv"], mapping).samples)
