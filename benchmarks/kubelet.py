"""What 600 s of 1,000 pods cost straight from the kubelets: podlab beside the usual parsers, in one run.

Run it with ``python -m benchmarks.kubelet``. 20 nodes with 50 pods each are asked every 10 s; all get the same answers,
made before, from memory: what the network and the kubelets themselves take is left out. CPU time is measured; some
rounds, and some nodes of the slow way, are taken for all, and of several runs the least counts.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
from prometheus_client.parser import text_string_to_metric_families

from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.sources.kubelet import KubeletAddress, KubeletSource
from podlab.sources.kubelet_answers import CADVISOR, SUMMARY

SPAN_S, INTERVAL_S, PODS_PER_NODE = 600, 10, 50
START = pd.Timestamp("2026-01-01T00:00:00Z")
#: cAdvisor exposes about 70 families of each container, podlab reads two.
FAMILIES = 70
WANTED = ("container_fs_reads_bytes_total", "container_fs_writes_bytes_total")
PATHS = (SUMMARY, CADVISOR)
#: The usual parsers read one node of so many.
_SHARE = 5
Answers = list[dict[tuple[str, str], bytes]]


def make_answers(pods: int, rounds: int) -> Answers:
    """Make what the kubelets say, by round, node and path."""
    return [
        {
            (f"node-{node}", path): make(node, number)
            for node in range(max(1, pods // PODS_PER_NODE))
            for path, make in ((SUMMARY, _summary), (CADVISOR, _cadvisor))
        }
        for number in range(rounds)
    ]


def _pods(node: int) -> list[tuple[str, str]]:
    return [
        (f"shop-{node * PODS_PER_NODE + n:04d}-7c9f8d", f"{node:08x}-0000-4000-8000-{n:012x}")
        for n in range(PODS_PER_NODE)
    ]


def _summary(node: int, number: int) -> bytes:
    taken = {"time": (START + pd.Timedelta(number * INTERVAL_S, "s")).strftime("%Y-%m-%dT%H:%M:%SZ")}
    level = 10_000_000 + 1000 * number
    filesystem = {**taken, "availableBytes": 10**10, "capacityBytes": 10**11, "usedBytes": level, "inodes": 10**6}
    pods = [
        {
            "podRef": {"name": pod, "namespace": "team", "uid": uid},
            "startTime": "2025-12-31T23:00:00Z",
            "containers": [{
                "name": "main", "startTime": "2025-12-31T23:00:00Z",
                "cpu": {**taken, "usageNanoCores": 7_000_000, "usageCoreNanoSeconds": level * 100},
                "memory": {**taken, "usageBytes": level, "workingSetBytes": level, "rssBytes": level,
                           "pageFaults": level, "majorPageFaults": 3},
                "rootfs": filesystem, "logs": filesystem, "swap": taken,
            }],
            "cpu": {**taken, "usageNanoCores": 7_000_000}, "memory": {**taken, "usageBytes": level},
            "network": {**taken, "name": "eth0", "rxBytes": level, "txBytes": level,
                        "interfaces": [{"name": "eth0", "rxBytes": level, "txBytes": level}]},
            "volume": [{**filesystem, "name": name} for name in ("data", "kube-api-access")],
            "ephemeral-storage": filesystem, "process_stats": {"process_count": 3},
        }
        for pod, uid in _pods(node)
    ]  # fmt: skip
    return json.dumps({"node": {"nodeName": f"node-{node}"}, "pods": pods}).encode()


def _cadvisor(node: int, number: int) -> bytes:
    taken_ms = START.value // 10**6 + number * INTERVAL_S * 1000 + 123
    lines = []
    for family in (*(f"container_metric_{n}_total" for n in range(FAMILIES - 2)), *WANTED):
        lines += [f"# HELP {family} Cumulative count.", f"# TYPE {family} counter"]
        for pod, uid in _pods(node):
            group = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"
            whose = f'image="registry.example/shop:1",name="{uid}",namespace="team",pod="{pod}"'
            value = 4096 * (number + 1)
            for container, scope in (("main", "/cri-containerd-main.scope"), ("", "/pause.scope"), ("", "")):
                labels = f'container="{container}",device="/dev/vda",id="{group}{scope}",{whose}'
                lines.append(f"{family}{{{labels}}} {value} {taken_ms}")
    return ("\n".join(lines) + "\n").encode()


def with_podlab(answers: Answers) -> int:
    """Ask all nodes in each round, keep what is new, and give it all as a checked table."""
    nodes = [KubeletAddress(node, "127.0.0.1", 1) for node, path in answers[0] if path == SUMMARY]
    now = itertools.count()
    current: dict[tuple[str, str], bytes] = {}
    at_s = [START.timestamp()]
    source = KubeletSource(
        lambda: nodes,
        lambda address, path: current[address.node, path],
        columns=ORIGINAL_METRICS,
        clock=lambda: at_s[0],
    )
    for each, number in zip(answers, now, strict=False):
        current, at_s[0] = each, START.timestamp() + number * INTERVAL_S
        source.poll()
    samples = source.fetch(datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    source.close()
    assert not samples[list(ORIGINAL_METRICS)].isna().any(axis=None)
    return len(samples)


def with_the_usual_parsers(answers: Answers) -> int:
    """Every fifth node by ``json.loads`` and the official parser, rows as dicts, one DataFrame in the end."""
    rows = []
    for each in answers:
        for (node, path), body in each.items():
            if path != SUMMARY or int(node.partition("-")[2]) % _SHARE:
                continue
            disks: dict[tuple[str, str, str], float] = {}
            for family in text_string_to_metric_families(each[node, CADVISOR].decode()):
                for sample in family.samples:
                    if sample.name in WANTED and sample.labels["container"]:
                        key = (sample.name, sample.labels["pod"], sample.labels["container"])
                        disks[key] = disks.get(key, 0.0) + sample.value
            rows += _rows(json.loads(body), disks)
    table = pd.DataFrame(rows)
    table["time"] = pd.to_datetime(table["time"])
    return len(table) * _SHARE


def _rows(summary: dict, disks: dict[tuple[str, str, str], float]) -> list[dict]:
    rows = []
    for pod in summary["pods"]:
        for container in pod["containers"]:
            own = {
                **container,
                "network": pod["network"],
                "volume": {"usedBytes": sum(v["usedBytes"] for v in pod["volume"])},
            }
            row = {"pod": pod["podRef"]["name"], "container": container["name"], "time": container["cpu"]["time"]}
            for name in ORIGINAL_METRICS:
                place = CATALOGUE[name].kubelet
                if place is not None:
                    section, _, field = place.replace("[]", "").partition(".")
                    row[name] = own[section][field]
            for name, wanted in zip(("io_read_bytes", "io_write_bytes"), WANTED, strict=True):
                row[name] = disks[wanted, row["pod"], row["container"]]
            rows.append(row)
    return rows


def cpu_seconds(work: Callable[[], int]) -> tuple[float, int]:
    """CPU time of this process for one run, and what it gave."""
    gc.collect()
    begun_s = time.process_time()
    rows = work()
    return time.process_time() - begun_s, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2, help="of 60; the figures are for all")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    answers = make_answers(arguments.pods, arguments.rounds)
    scale = SPAN_S / INTERVAL_S / arguments.rounds
    contenders = {"podlab": (with_podlab, 1), "json and prometheus_client": (with_the_usual_parsers, _SHARE)}
    runs = [
        {name: cpu_seconds(lambda work=work: work(answers)) for name, (work, _) in contenders.items()}
        for _ in range(arguments.repeats)
    ]
    results = {
        name: {"cpu_s": min(run[name][0] for run in runs) * scale * share, "rows": int(runs[0][name][1] * scale)}
        for name, (_, share) in contenders.items()
    }
    for result in results.values():
        result["ratio"] = result["cpu_s"] / results["podlab"]["cpu_s"]
    megabytes = {path: sum(len(body) for (_, at), body in answers[0].items() if at == path) / 1e6 for path in PATHS}
    if arguments.json:
        print(json.dumps({"megabytes_per_round": megabytes, "results": results}))
        return
    print(
        f"{SPAN_S} s of {arguments.pods} pods each {INTERVAL_S} s: CPU seconds, the least of {arguments.repeats} runs"
    )
    print(f"a round: {', '.join(f'{path} {size:.1f} MB' for path, size in megabytes.items())}")
    for name, result in results.items():
        print(f"{name:30} {result['cpu_s']:8.2f} {result['ratio']:7.1f} {result['rows']:8d} rows")


if __name__ == "__main__":
    main()
