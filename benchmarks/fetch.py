"""What a fetch of 600 s of 1,000 pods costs: podlab beside the usual ways, client and server together, in one run.

Run it with ``python -m benchmarks.fetch``. It starts its own InfluxDB server and fills it as Telegraf would. CPU time
is measured, because it hardly depends on what else the machine does; of several runs the least counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from influxdb import DataFrameClient, InfluxDBClient

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase, format_fields, format_tags
from podlab.sources.telegraf import BLKIO, CONTAINER, DOCKER_LABELS, NETWORK, VOLUME, docker_name, measurements
from tests.support.influxd import Influxd, running_influxd

SPAN_S = 600
INTERVAL_S = 10
START = pd.Timestamp("2026-01-01T00:00:00Z")
BOUNDS = f"time >= {START.value} AND time < {START.value + SPAN_S * 10**9}"
NAMES = (CONTAINER, NETWORK, VOLUME, BLKIO)
# The fields that Telegraf writes beside those podlab needs.
EXTRA_FIELDS = {
    CONTAINER: ("rootfs_available_bytes", "rootfs_capacity_bytes", "logsfs_available_bytes", "logsfs_capacity_bytes"),
    NETWORK: ("rx_errors", "tx_errors"),
    VOLUME: ("available_bytes", "capacity_bytes"),
    BLKIO: tuple(f"io_service_bytes_recursive_{kind}" for kind in ("async", "sync", "total"))
    + tuple(f"io_serviced_recursive_{kind}" for kind in ("async", "read", "sync", "total", "write")),
}  # fmt: skip


def telegraf_points(pods: int) -> Iterator[list[str]]:
    """Make the points of each pod, as Telegraf would write them."""
    rng = random.Random(0)
    known = {
        m.name: [*m.fields.values(), *EXTRA_FIELDS[m.name]] for m in measurements(ORIGINAL_METRICS) if m.name in NAMES
    }
    for number in range(pods):
        node, namespace, pod = f"node-{number % 20}", f"team-{number % 30}", f"shop-{number:04d}-7c9f8d"
        uid = f"{rng.getrandbits(128):032x}"
        base = {"host": node, "node_name": node, "namespace": namespace, "pod_name": pod}
        labels = dict(zip(DOCKER_LABELS.values(), (namespace, pod, "main", uid), strict=True))
        docker = {
            "host": node, "engine_host": node, "device": "total", "container_image": "shop", "container_version": "1",
            "container_name": docker_name("main", pod, namespace, uid), **labels,
        }  # fmt: skip
        tags = {
            CONTAINER: base | {"container_name": "main"}, NETWORK: base, VOLUME: base | {"volume_name": "data"},
            BLKIO: docker,
        }  # fmt: skip
        heads = {name: name + format_tags(tags[name], where="benchmark") for name in NAMES}
        levels = {(name, field): rng.randrange(1, 10**9) for name in NAMES for field in known[name]}
        yield [
            f"{heads[name]} {format_fields({f: levels[name, f] + rng.randrange(10**4) * step for f in known[name]})}"
            f" {START.value + (step * INTERVAL_S + place) * 10**9}"
            for step in range(SPAN_S // INTERVAL_S)
            for place, name in enumerate(NAMES)
        ]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its threads took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(pid: int) -> None:
    """Wait until the server has done what it does in the background."""
    for _ in range(20):
        before = cpu_seconds(pid)
        time.sleep(0.5)
        if cpu_seconds(pid) - before <= 0.01:
            return


def measure(work: Callable[[], int], pid: int) -> tuple[float, float, int]:
    """Run ``work`` once; return the CPU time of client and server together, that of the client, and the rows."""
    settle(pid)
    server_before, client_before = cpu_seconds(pid), time.process_time()
    rows = work()
    client_s = time.process_time() - client_before
    return client_s + cpu_seconds(pid) - server_before, client_s, rows


def peers(server: Influxd, database: str, pods: list[str]) -> dict[str, tuple[Callable[[], int], float]]:
    """Name the contenders, each with by how much its cost is to be multiplied."""
    host, port = server.url.removeprefix("http://").split(":")
    login = {"host": host, "port": int(port), "username": server.reader[0], "password": server.reader[1]}
    client = InfluxDBClient(**login, database=database)
    frames = DataFrameClient(**login, database=database)
    some = pods[:: max(1, len(pods) // 100)]

    def podlab() -> int:
        source = InfluxSource(InfluxDatabase(server.url, database, *server.reader), columns=ORIGINAL_METRICS)
        samples = source.fetch(START.to_pydatetime(), (START + pd.Timedelta(SPAN_S, "s")).to_pydatetime())
        assert not samples[list(ORIGINAL_METRICS)].isna().any(axis=None)
        return len(samples)

    def ask(text: str) -> pd.DataFrame:
        return pd.DataFrame(list(client.query(text).get_points()))

    def query_everything() -> int:
        found = {m: ask(f'SELECT * FROM "{m}" WHERE {BOUNDS}') for m in NAMES}
        return len(found[CONTAINER])

    def query_with_care() -> int:
        found = {}
        for m in (m for m in measurements(ORIGINAL_METRICS) if m.name in NAMES):
            fields, tags = (", ".join(f'"{name}"' for name in names) for names in (m.fields.values(), m.tags))
            result = client.query(f'SELECT {fields} FROM "{m.name}" WHERE {BOUNDS} GROUP BY {tags}')
            found[m.name] = pd.DataFrame([{**tags, **row} for (_, tags), rows in result.items() for row in rows])
        return len(found[CONTAINER])

    def data_frames() -> int:
        found = {m: frames.query(f'SELECT * FROM "{m}" WHERE {BOUNDS}')[m] for m in NAMES}
        return len(found[CONTAINER])

    def per_pod() -> int:
        rows = 0
        for pod in some:
            which = {m: f"\"{DOCKER_LABELS['pod'] if m == BLKIO else 'pod_name'}\" = '{pod}'" for m in NAMES}
            found = {m: ask(f'SELECT * FROM "{m}" WHERE {which[m]} AND {BOUNDS}') for m in NAMES}
            rows += len(found[CONTAINER])
        return rows

    scale = len(pods) / len(some)
    return {
        "podlab, joined and checked": (podlab, 1),
        "InfluxDBClient.query, SELECT *": (query_everything, 1),
        "InfluxDBClient.query, podlab's own questions": (query_with_care, 1),
        "DataFrameClient.query, SELECT *": (data_frames, 1),
        f"four queries per pod ({len(some)} pods, x {scale:g})": (per_pod, scale),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_influxd(Path(folder)) as server:
        database = server.new_database()
        for lines in telegraf_points(arguments.pods):
            server.write(database, "\n".join(lines).encode())
        pods = [f"shop-{number:04d}-7c9f8d" for number in range(arguments.pods)]
        contenders = peers(server, database, pods)
        # Turn by turn, so that whatever else the machine does strikes all alike.
        runs = [
            {name: measure(work, server.pid) for name, (work, _) in contenders.items()}
            for _ in range(arguments.repeats)
        ]
    results = {}
    for name, (_, scale) in contenders.items():
        total_s, client_s, rows = (value * scale for value in min(run[name] for run in runs))
        results[name] = {"client_s": client_s, "server_s": total_s - client_s, "total_s": total_s, "rows": rows}
    ours = next(iter(results.values()))["total_s"]
    for result in results.values():
        result["ratio"] = result["total_s"] / ours
    if arguments.json:
        print(json.dumps(results))
        return
    print(
        f"{SPAN_S} s of {arguments.pods} pods each {INTERVAL_S} s: CPU seconds, the least of {arguments.repeats} runs"
    )
    print(f"{'':45} {'client':>7} {'server':>7} {'both':>7} {'ratio':>6} {'rows':>8}")
    for name, r in results.items():
        figures = f"{r['client_s']:7.2f} {r['server_s']:7.2f} {r['total_s']:7.2f} {r['ratio']:6.1f}"
        print(f"{name:45} {figures} {r['rows']:8.0f}")


if __name__ == "__main__":
    main()
