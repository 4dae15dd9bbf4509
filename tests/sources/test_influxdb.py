"""InfluxSource on points written as a real Telegraf writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.telegraf import read_docker_tags
from tests.support.influxd import Influxd

START = datetime(2026, 1, 1, tzinfo=UTC)
START_S = int(START.timestamp())
POD = "host=n1,namespace=shop,node_name=n1,pod_name=web-0"

Fetch = Callable[..., pd.DataFrame]


@pytest.fixture
def fetch(influxd: Influxd, database: str) -> Fetch:
    """Write lines whose times are seconds after the start; fetch ten minutes."""

    def write_and_fetch(*lines: str) -> pd.DataFrame:
        stamped = [line.rsplit(" ", 1) for line in lines]
        text = "\n".join(f"{rest} {int((START_S + float(second)) * 10**9)}" for rest, second in stamped)
        influxd.write(database, text.encode())
        source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader), cluster="blue")
        return source.fetch(START, START + timedelta(minutes=10))

    return write_and_fetch


def container(second: float, value: int = 5, name: str = "app", tags: str = POD) -> str:
    fields = f"cpu_usage_nanocores={value}i,memory_rss_bytes={value}i,rootfs_used_bytes=7i,rootfs_capacity_bytes=9i"
    return f"kubernetes_pod_container,container_name={name},{tags} {fields} {second}"


def blkio(second: float, uid: str, value: int = 3, device: str = "total") -> str:
    name = f"k8s_app_web-0_shop_{uid}_0"
    fields = f"io_service_bytes_recursive_read={value}i,io_service_bytes_recursive_write={value}i"
    return f"docker_container_blkio,container_name={name},device={device},host=n1 {fields} {second}"


def test_volumes_of_a_pod_are_summed_even_when_stamped_apart(fetch: Fetch) -> None:
    got = fetch(
        *(container(second) for second in (0, 10, 20)),
        *(f"kubernetes_pod_volume,volume_name=a,{POD} used_bytes=1i {second}" for second in (0, 10, 20)),
        *(f"kubernetes_pod_volume,volume_name=b,{POD} used_bytes=10i {second}" for second in (1, 11)),
    )
    assert got["volume_used_bytes"].tolist() == [11, 11, 1]


def test_a_measurement_that_paused_leaves_gaps_and_no_repeats(fetch: Fetch) -> None:
    got = fetch(
        *(container(second) for second in range(0, 60, 10)),
        *(f"kubernetes_pod_network,{POD} rx_bytes={second}i,tx_bytes=1i {second}" for second in (1, 11, 41)),
    )
    assert got["rx_bytes"].tolist() == [1, 11, pd.NA, pd.NA, 41, pd.NA]


def test_what_belongs_to_the_first_row_may_lie_just_before_the_span(fetch: Fetch) -> None:
    got = fetch(container(0), container(10), f"kubernetes_pod_network,{POD} rx_bytes=4i -2")
    assert got["rx_bytes"].tolist() == [4, pd.NA]


def test_docker_tells_the_uid_and_so_pods_of_one_name(fetch: Fetch) -> None:
    got = fetch(
        *(container(second) for second in (0, 10, 20, 100, 110, 120)),
        *(blkio(second, "old") for second in (11, 21)),
        *(blkio(second, "new", 8) for second in (111, 121)),
        blkio(121, "new", 99, device="8:0"),
    )
    assert got["pod_uid"].value_counts().to_dict() == {"old": 3, "new": 3}
    by_time = got.sort_values("time")
    assert by_time["pod_uid"].tolist() == ["old"] * 3 + ["new"] * 3
    assert by_time["io_read_bytes"].tolist() == [pd.NA, 3, 3, pd.NA, 8, 8]


def test_without_docker_io_is_absent_and_uid_is_missing(fetch: Fetch) -> None:
    got = fetch(container(0), container(10))
    assert not {"io_read_bytes", "rx_bytes", "volume_used_bytes"} & set(got.columns)
    assert got["pod_uid"].isna().all()
    assert got["started_at"].isna().all()


def test_an_all_zero_first_row_is_missing_and_a_later_zero_is_not(fetch: Fetch) -> None:
    got = fetch(container(0, 0), container(10, 6), container(20, 0), container(0, 4, name="other"))
    app = got[got["container"] == "app"]
    assert app["memory_rss_bytes"].fillna(-1).tolist() == [-1, 6, 0]
    assert app["cpu_usage_nanocores"].fillna(-1).tolist() == [-1, 6, 0]
    assert app["rootfs_used_bytes"].tolist() == [7, 7, 7]


def test_negative_values_are_missing(fetch: Fetch) -> None:
    got = fetch(container(0, 1), container(10, -3))
    assert got["memory_rss_bytes"].fillna(-1).tolist() == [1, -1]


def test_values_that_wrapped_below_0_are_missing(fetch: Fetch, caplog: pytest.LogCaptureFixture) -> None:
    network = [f"kubernetes_pod_network,{POD} rx_bytes={rx},tx_bytes=3.0 {at}" for at, rx in ((0, 7.0), (10, 2.0**64))]
    got = fetch(container(0), container(10), *network)
    assert got["rx_bytes"].fillna(-1).tolist() == [7, -1]
    assert got["tx_bytes"].tolist() == [3, 3]
    assert "1 values of rx_bytes are below 0 or beyond 2**63" in caplog.text


def test_cluster_comes_from_the_tag_or_the_setting(fetch: Fetch) -> None:
    got = fetch(container(0), container(0, tags=f"cluster=red,{POD}"))
    assert got["cluster"].tolist() == ["blue", "red"]


def test_rows_without_a_pod_are_left_out(fetch: Fetch) -> None:
    got = fetch(container(0), "kubernetes_pod_container,container_name=kubelet,node_name=n1 memory_rss_bytes=1i 0")
    assert got["pod"].tolist() == ["web-0"]


def test_a_field_that_someone_turned_into_floats(fetch: Fetch) -> None:
    got = fetch(container(0), f"kubernetes_pod_network,{POD} rx_bytes=12,tx_bytes=3.0 0")
    assert got["rx_bytes"].tolist() == [12]


def test_fetch_has_no_end_beyond_until(fetch: Fetch) -> None:
    got = fetch(container(0), container(599), container(600))
    assert got["time"].tolist() == [pd.Timestamp(START), pd.Timestamp(START) + pd.Timedelta(599, "s")]


def test_password_shows_nowhere(influxd: Influxd) -> None:
    source = InfluxSource(InfluxDatabase(influxd.url, "db", "user", "the-password"))
    assert "the-password" not in f"{source.name} {source!r} {source.database!r}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("k8s_app_web-0_shop_uid1_2", ("red", "shop", "web-0", "app", "uid1")),
        ("postgres", None),
        ("k8s_a_b", None),
    ],
)
def test_docker_names(name: str, expected: tuple[str, ...] | None) -> None:
    assert read_docker_tags(("red", name, "", "", "", "")) == expected
