"""What a Kubernetes 1.36 kubelet on cgroup v1 answered, trimmed to three pods: every column that it holds is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.sources.kubelet import KubeletAddress, KubeletSource
from podlab.sources.kubelet_answers import SUMMARY, read_family

ANSWERS = Path(__file__).parent / "kubelet-1.36"
#: Its disks were counted for the whole node only, and cgroup v1 has no pressure.
NOT_HELD = {"io_read_bytes", "io_write_bytes", "io_read_operations", "io_write_operations"}
NOT_HELD |= {name for name, metric in CATALOGUE.items() if metric.family == "pressure"}


def answer(address: KubeletAddress, path: str) -> bytes:
    return (ANSWERS / ("stats-summary.json" if path == SUMMARY else "metrics-cadvisor.txt")).read_bytes()


@contextmanager
def fetched(summary: bytes | None = None) -> Iterator[pd.DataFrame]:
    def get(address: KubeletAddress, path: str) -> bytes:
        return summary if summary is not None and path == SUMMARY else answer(address, path)

    source = KubeletSource(lambda: [KubeletAddress("node1", "127.0.0.1", 1)], get, clock=lambda: 1_796_012_385.0)
    with closing(source):
        samples = source.fetch(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        yield samples.set_index(samples["pod"] + "/" + samples["container"])


def test_every_column_that_it_holds_is_given() -> None:
    with fetched() as samples:
        assert {name for name in MEASURED_METRICS if name in samples} == set(MEASURED_METRICS) - NOT_HELD
        limited = samples.loc["kv/main"]
        assert limited[sorted(set(MEASURED_METRICS) - NOT_HELD)].notna().all()
        # Of a container without a limit nothing is throttled.
        assert samples.loc["cache/side", ["cpu_periods", "cpu_throttled_periods"]].isna().all()


def test_values_are_those_of_cadvisor_to_the_last_digit() -> None:
    text = answer(KubeletAddress("node1", "", 1), "/metrics/cadvisor")
    with fetched() as samples:
        row = samples.loc["kv/main"]
        for name in ("processes", "threads", "memory_cache_bytes", "cpu_throttled_nanoseconds", "oom_events"):
            place = CATALOGUE[name].prometheus
            assert place is not None
            [series] = [
                each
                for each in read_family(text, place.name, where="here")
                if each.labels["pod"] == "kv" and each.labels["container"] == "main"
            ]
            assert row[name] == round(series.value * place.scale), name
            assert row["time"].value // 10**6 == series.time_ms
        [packets] = [
            each
            for each in read_family(text, "container_network_receive_packets_total", where="here")
            if each.labels["pod"] == "kv"
        ]
        assert row["rx_packets"] == packets.value


def test_each_part_has_its_own_age() -> None:
    with fetched() as samples:
        row = samples.loc["kv/main"]
        taken = {
            name: row["time"] - pd.Timedelta(row[f"{name}_age_seconds"], "s")
            for name in ("network", "filesystem", "volume")
        }
    assert taken["network"].floor("s") == pd.Timestamp("2026-11-30T04:19:41Z")
    assert taken["filesystem"] == pd.Timestamp("2026-11-30T04:19:40Z")
    assert taken["volume"] == pd.Timestamp("2026-11-30T04:18:23Z")


def test_pressure_is_given_where_a_node_has_any() -> None:
    summary = json.loads(answer(KubeletAddress("node1", "", 1), SUMMARY))
    # As on cgroup v2: the node waited, and one container did.
    summary["node"]["cpu"]["psi"]["some"]["total"] = 5_000_000
    kv = next(pod for pod in summary["pods"] if pod["podRef"]["name"] == "kv")
    kv["containers"][0]["io"]["psi"]["full"]["total"] = 1_234
    with fetched(json.dumps(summary).encode()) as samples:
        assert samples.loc["kv/main", "io_stalled_nanoseconds"] == 1_234_000
        assert samples.loc["cache/main", "cpu_waiting_nanoseconds"] == 0


def test_who_wants_the_original_metrics_only_gets_no_others() -> None:
    source = KubeletSource(
        lambda: [KubeletAddress("node1", "127.0.0.1", 1)], answer, columns=ORIGINAL_METRICS, clock=lambda: 1.8e9
    )
    with closing(source):
        samples = source.fetch(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert {name for name in MEASURED_METRICS if name in samples} == set(ORIGINAL_METRICS) - NOT_HELD
