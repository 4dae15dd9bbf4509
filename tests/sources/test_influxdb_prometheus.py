"""What Telegraf's prometheus input, pointed at the kubelets, wrote into InfluxDB: in both layouts, alone and beside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.kubelet_answers import read_family
from tests.support.influxd import Influxd

ANSWER = (Path(__file__).parent / "kubelet-1.36" / "metrics-cadvisor.txt").read_bytes()
NOT_HELD = {"io_read_bytes", "io_write_bytes", "io_read_operations", "io_write_operations", "rootfs_used_bytes"}
NOT_HELD |= {name for name, metric in CATALOGUE.items() if metric.family in ("pressure", "volume")}
#: One of each container, 15 s apart.
ROUNDS = 3
BEGIN = pd.Timestamp("2026-11-30T04:19:00Z")


def families() -> Iterator[tuple[str, str]]:
    """Names and kinds."""
    for line in ANSWER.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            yield name, kind


def telegraf(version: int) -> list[str]:
    """Write each line as Telegraf does: tags without a value are left out, times are cAdvisor's."""
    lines = []
    for name, kind in families():
        for series in read_family(ANSWER, name, where="here"):
            tags = {"host": "telegraf-1", "url": "https://node1:10250/metrics/cadvisor", **series.labels}
            written = "".join(f",{tag}={value}" for tag, value in sorted(tags.items()) if value)
            measurement, field = (name, kind) if version == 1 else ("prometheus", name)
            for number in range(ROUNDS):
                time_ms = (series.time_ms or 1_796_012_377_000) + 15_000 * number
                lines.append(f"{measurement}{written} {field}={series.value!r} {time_ms}000000")
    return lines


def fetch(influxd: Influxd, database: str, lines: list[str], **options: object) -> pd.DataFrame:
    InfluxDatabase(influxd.url, database, *influxd.admin).write("\n".join(lines).encode())
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader), **options)  # type: ignore[arg-type]
    got = source.fetch(BEGIN, BEGIN + pd.Timedelta("120s"))
    return got.set_index(got["pod"] + "/" + got["container"])


@pytest.mark.parametrize("version", [1, 2])
def test_every_column_that_was_scraped_is_given(influxd: Influxd, database: str, version: int) -> None:
    got = fetch(influxd, database, telegraf(version))
    assert len(got) == 4 * ROUNDS
    told = {name for name, metric in CATALOGUE.items() if metric.prometheus is not None} | {"cpu_usage_nanocores"}
    assert {name for name in MEASURED_METRICS if name in got} == told - NOT_HELD
    # The sandbox was measured 15.1 s after its container, a round later.
    first = got.loc["kv/main"].iloc[1]
    assert first["threads"] == 5
    assert first["rx_packets"] == 1_802_882
    assert first["memory_page_faults"] == 2_635
    assert first["cpu_throttled_nanoseconds"] == 223_503
    assert first["started_at"] == pd.Timestamp("2026-11-30T04:13:43Z")
    assert first["network_age_seconds"] == pytest.approx(-0.128)
    assert first["pod_uid"] == "0cb202f6-3d80-4870-82e5-59a473249fd3"


@pytest.mark.parametrize("version", [1, 2])
def test_it_adds_to_what_the_kubernetes_input_tells(influxd: Influxd, database: str, version: int) -> None:
    own = [
        f"kubernetes_pod_container,container_name=main,host=telegraf-1,namespace=real,node_name=node1,pod_name=kv "
        f"memory_rss_bytes={number + 1}i {BEGIN.value + (26 + 15 * number) * 10**9}"
        for number in range(ROUNDS)
    ]
    network = [
        f"kubernetes_pod_network,host=telegraf-1,namespace=real,node_name=node1,pod_name=kv rx_bytes=1i,tx_bytes=1i "
        f"{BEGIN.value + (26 + 15 * number) * 10**9}"
        for number in range(ROUNDS)
    ]
    got = fetch(influxd, database, [*telegraf(version), *own, *network])
    assert list(got.index) == ["kv/main"] * ROUNDS
    assert got["memory_rss_bytes"].tolist() == [1, 2, 3]
    assert got["threads"].tolist() == [5] * ROUNDS
    # The network is scraped as a whole, with its own time.
    assert (got["rx_bytes"].dropna() == 191_600_524).all()
    taken = got["time"] - pd.to_timedelta(got["network_age_seconds"], unit="s")
    assert taken.dropna().dt.microsecond.eq(783_000).all()


def test_who_wants_the_original_metrics_only_gets_no_others(influxd: Influxd, database: str) -> None:
    got = fetch(influxd, database, telegraf(2), columns=ORIGINAL_METRICS)
    assert {name for name in MEASURED_METRICS if name in got} == set(ORIGINAL_METRICS) - NOT_HELD - {
        "logsfs_used_bytes"
    }


def test_only_the_pods_asked_for(influxd: Influxd, database: str) -> None:
    fetch(influxd, database, telegraf(1))
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    got = source.fetch(BEGIN, BEGIN + pd.Timedelta("120s"), pods=["kv", "nobody"])
    assert set(got["pod"]) == {"kv"}
    assert got["rx_bytes"].notna().any()


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_counted_per_pod_alone_makes_no_rows(influxd: Influxd, database: str, version: int) -> None:
    """As with ``namepass = ["container_network_*"]``: there is no container to whose row it would belong."""
    network = [line for line in telegraf(version) if "container_network_" in line]
    assert network
    with pytest.raises(InputError, match=r"the database has .*; missing are kubernetes_pod_container"):
        fetch(influxd, database, network)
    own = f"kubernetes_pod_container,container_name=main,namespace=real,pod_name=kv memory_rss_bytes=1i {BEGIN.value}"
    got = fetch(influxd, database, [*network, own])
    assert got["memory_rss_bytes"].tolist() == [1]
