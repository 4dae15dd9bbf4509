"""What a fetch of 600 s of 1,000 pods from Prometheus costs: podlab beside the usual ways, client and server together.

Run it with ``python -m benchmarks.fetch_prometheus`` (``--victoria`` for VictoriaMetrics). It starts its own server and
fills it as cAdvisor and kube-state-metrics would. CPU time is measured, because it hardly depends on what else the
machine does; of several runs the least counts. The peers ask for the same metrics and leave off where podlab goes on:
they do not tell lives, scrapers or pause containers apart, nor join anything.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from benchmarks.fetch import INTERVAL_S, SPAN_S, START, measure
from benchmarks.measure import has_peer
from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.data.samples import check_samples
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.remote_write import series_of, write_series
from tests.support.prometheusd import ANY_AGE, Prometheusd, running_prometheus, running_victoria

NAMES = sorted({place.name for c in ORIGINAL_METRICS if (place := CATALOGUE[c].prometheus) is not None})
UNTIL = START + pd.Timedelta(SPAN_S, "s")


def containers(pods: int) -> pd.DataFrame:
    """Make samples of this many pods, of one container each."""
    rng = np.random.default_rng(0)
    times = START + pd.to_timedelta(np.arange(SPAN_S // INTERVAL_S) * INTERVAL_S, unit="s")
    who = pd.DataFrame(
        {
            "node": [f"node-{n % 20}" for n in range(pods)],
            "namespace": [f"team-{n % 30}" for n in range(pods)],
            "pod": [f"shop-{n:04d}-7c9f8d" for n in range(pods)],
            "pod_uid": [f"{n:08x}-0f95-4a6f-8c64-c72c45d5bb88" for n in range(pods)],
            "container": "main",
            "image": "registry.example/shop:1",
            "started_at": START,
        }
    )
    table = who.loc[who.index.repeat(len(times))].reset_index(drop=True).assign(time=np.tile(times, pods))
    for column in ORIGINAL_METRICS:
        level = np.repeat(rng.integers(1, 10**9, pods), len(times))
        growth = np.tile(np.arange(len(times)), pods) * rng.integers(1, 10**4, len(level))
        grown = np.maximum.accumulate(growth.reshape(pods, -1), axis=1).ravel()
        table[column] = level + (grown if CATALOGUE[column].kind == "counter" else growth % 10**6)
    return check_samples(table, where="benchmark")


def peers(server: Prometheusd) -> dict[str, Callable[[], int]]:
    """Name the contenders."""
    bare = httpx.Client(base_url=server.url, timeout=60)
    span = {"start": START.timestamp(), "end": UNTIL.timestamp() - 1, "step": INTERVAL_S}

    def podlab() -> int:
        source = PrometheusSource(server.api(), columns=ORIGINAL_METRICS)
        samples = source.fetch(START.to_pydatetime(), UNTIL.to_pydatetime())
        assert not samples["rx_bytes"].isna().any()
        return len(samples)

    def rows_to_pandas() -> int:
        frames = {}
        for name in NAMES:
            result = bare.get("/api/v1/query_range", params={"query": name, **span}).json()["data"]["result"]
            frames[name] = pd.DataFrame(
                [{**each["metric"], "time": t, "value": float(v)} for each in result for t, v in each["values"]]
            )
        return len(frames["container_memory_rss"])

    found = {"podlab, joined and checked": podlab, "JSON, a dict for each value": rows_to_pandas}
    if has_peer("prometheus_api_client"):
        found["prometheus-api-client, MetricRangeDataFrame"] = by_api_client(server.url)
    return found


def by_api_client(url: str) -> Callable[[], int]:
    """Give the way of the package for it."""
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    client = PrometheusConnect(url=url)

    def fetch() -> int:
        frames = {
            name: MetricRangeDataFrame(
                client.get_metric_range_data(
                    name, start_time=START.to_pydatetime(), end_time=UNTIL.to_pydatetime(),
                    chunk_size=timedelta(seconds=SPAN_S),
                )
            )
            for name in NAMES
        }  # fmt: skip
        return len(frames["container_memory_rss"])

    return fetch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--victoria", action="store_true", help="VictoriaMetrics instead of Prometheus")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        running = (
            running_victoria(Path(folder)) if arguments.victoria else running_prometheus(Path(folder), "", *ANY_AGE)
        )
        with running as server:
            write_series(series_of(containers(arguments.pods)), server.api())
            server.settle()
            contenders = peers(server)
            # Turn by turn, so that whatever else the machine does strikes all alike.
            runs = [
                {name: measure(work, server.pid) for name, work in contenders.items()} for _ in range(arguments.repeats)
            ]
    results = {}
    for name in contenders:
        total_s, client_s, rows = min(run[name] for run in runs)
        results[name] = {"client_s": client_s, "server_s": total_s - client_s, "total_s": total_s, "rows": rows}
    ours = next(iter(results.values()))["total_s"]
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{SPAN_S} s of {arguments.pods} pods each {INTERVAL_S} s: CPU seconds, least of {arguments.repeats} runs")
    print(f"{'':45} {'client':>7} {'server':>7} {'both':>7} {'ratio':>6} {'rows':>8}")
    for name, r in results.items():
        figures = f"{r['client_s']:7.2f} {r['server_s']:7.2f} {r['total_s']:7.2f} {r['total_s'] / ours:6.1f}"
        print(f"{name:45} {figures} {r['rows']:8.0f}")


if __name__ == "__main__":
    main()
