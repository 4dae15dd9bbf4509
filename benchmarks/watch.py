"""What following a cluster's pods costs: podlab beside the official client and lightkube, in one run.

Run it with ``python -m benchmarks.watch``. A server in a process of its own sends the same pods, as large as real ones,
over HTTP: as a list in pages of 500, and as events of a watch. Each contender reads them as its users would: podlab by
its informer, which also compares each pod with its cache; the others by their list and watch calls, which only decode.
CPU time of the client's process counts. On a shared machine it still changes by half from one moment to the next, so
all take turns and the mean counts. Memory is what a process needs beyond what it has after its imports, with the pods
kept. What a pod of a page costs is also measured without HTTP: it is the part that the models make up.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from statistics import fmean
from urllib.parse import parse_qs, urlsplit

import msgspec
from kubernetes.client import ApiClient, Configuration, CoreV1Api, V1Pod
from kubernetes.watch import Watch

from benchmarks.measure import Work, extra_peak_bytes, has_peer
from podlab.kubernetes.client import connect
from podlab.kubernetes.informer import PodCache, PodInformer
from podlab.kubernetes.objects import Change, Page, Pod
from tests.support.kubehttp import Server
from tests.support.kuberealpod import make_real_pod
from tests.support.kubeschema import check_object

PAGE = 500
OURS, OFFICIAL, LIGHT = "podlab", "kubernetes", "lightkube"


def serve(pods: int, ready: object) -> None:
    """Send the pods, whoever asks; tell the port."""
    items = [make_real_pod(number) for number in range(pods)]
    check_object(items[0], V1Pod, where="benchmark")
    texts = [json.dumps(item, separators=(",", ":")).encode() for item in items]
    events = [b'{"type":"ADDED","object":%s}\n' % text for text in texts]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if "watch" in query:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if query.get("resourceVersion", "0") == "0":
                    for event in events:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.write(b"0\r\n\r\n")
                return
            # A selector asks for the watch alone: there is nothing to list.
            last = len(texts) if "labelSelector" not in query else 0
            start = int(query.get("continue", 0))
            end = min(last, start + PAGE)
            meta = {"resourceVersion": str(pods if last else 0)} | ({"continue": str(end)} if end < last else {})
            head = f'{{"kind":"PodList","apiVersion":"v1","metadata":{json.dumps(meta)},"items":['.encode()
            body = head + b",".join(texts[start:end]) + b"]}"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = Server(("127.0.0.1", 0), Handler)
    ready.send((server.server_address[1], sum(map(len, texts)) // pods))
    server.serve_forever()


@contextmanager
def serving(pods: int) -> Iterator[tuple[str, int]]:
    """Run the server; give its address and the mean size of a pod."""
    here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=serve, args=(pods, there))
    process.start()
    there.close()
    try:
        port, pod_bytes = here.recv()
        yield f"http://127.0.0.1:{port}", pod_bytes
    finally:
        process.terminate()
        process.join()


def by_podlab(url: str, pods: int, label_selector: str | None) -> object:
    """Follow the pods until all are known."""
    stop = threading.Event()
    known = 0

    def take(changes: list[Change]) -> None:
        nonlocal known
        known += len(changes)
        if known == pods:
            stop.set()

    informer = PodInformer(lambda: connect(url), take, label_selector=label_selector, page_size=PAGE)
    informer.run(stop)
    assert informer.status.errors == 0
    return informer


def official(url: str) -> CoreV1Api:
    return CoreV1Api(ApiClient(Configuration(host=url)))


def list_officially(url: str) -> object:
    core, token, found = official(url), None, []
    while token != "":
        page = core.list_pod_for_all_namespaces(limit=PAGE, **({"_continue": token} if token else {}))
        found += page.items
        token = page.metadata._continue or ""
    return found


def watch_officially(url: str, pods: int) -> object:
    events = Watch().stream(official(url).list_pod_for_all_namespaces, resource_version="0", timeout_seconds=600)
    count = sum(1 for event in events if event["object"].metadata.name)
    assert count == pods
    return count


def light_client(url: str) -> object:
    from lightkube import Client, KubeConfig
    from lightkube.config.models import Cluster, User

    return Client(config=KubeConfig.from_one(cluster=Cluster(server=url), user=User()).get())


def list_lightly(url: str) -> object:
    from lightkube.resources.core_v1 import Pod

    return list(light_client(url).list(Pod, namespace="*", chunk_size=PAGE))


def watch_lightly(url: str, pods: int) -> object:
    from lightkube.resources.core_v1 import Pod

    events = light_client(url).watch(Pod, namespace="*", resource_version="0")
    return sum(1 for _ in zip(range(pods), events, strict=False))


def decoders() -> dict[str, Callable[[bytes], object]]:
    """Name the contenders for a page that is in memory already; podlab compares its pods with what it knows as well."""
    client = ApiClient()
    found: dict[str, Callable[[bytes], object]] = {
        OURS: lambda body: PodCache().take_page(msgspec.json.decode(body, type=Page[Pod]).items),
        OFFICIAL: lambda body: client.deserialize(body.decode(), "V1PodList", "application/json"),
    }
    if has_peer(LIGHT):
        from lightkube.resources.core_v1 import Pod as LightPod

        found[LIGHT] = lambda body: [LightPod.from_dict(item) for item in json.loads(body)["items"]]
    return found


def peers(url: str, pods: int, events: int) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """Name the contenders: what lists, and what watches."""
    lists = {OURS: lambda: by_podlab(url, pods, None), OFFICIAL: lambda: list_officially(url)}
    watches = {OURS: lambda: by_podlab(url, events, "a"), OFFICIAL: lambda: watch_officially(url, events)}
    if has_peer(LIGHT):
        lists[LIGHT] = lambda: list_lightly(url)
        watches[LIGHT] = lambda: watch_lightly(url, events)
    return lists, watches


def mean_cpu_s(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Take turns; the quick ones run more often, to meet as many of the machine's moods as the slow one."""
    spent_s: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            for _ in range(1 if name == OFFICIAL else 5):
                before_s = time.process_time()
                work()
                spent_s[name].append(time.process_time() - before_s)
    return {name: fmean(each) for name, each in spent_s.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3, help="the official client lists for half a minute in each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    page = json.dumps({"items": [make_real_pod(number) for number in range(PAGE)]}, separators=(",", ":")).encode()
    alone = {name: lambda work=work: work(page) for name, work in decoders().items()}
    pod_s = mean_cpu_s(alone, options.rounds)
    with serving(options.events) as (url, _):
        event_s = mean_cpu_s(peers(url, options.events, options.events)[1], options.rounds)
    with serving(options.pods) as (url, pod_bytes):
        lists = peers(url, options.pods, options.pods)[0]
        memory_bytes = {name: extra_peak_bytes(work) for name, work in lists.items()}
        list_s = mean_cpu_s(lists, options.rounds)
    results = {
        name: {
            "pod_us": pod_s[name] * 1e6 / PAGE,
            "event_us": event_s[name] * 1e6 / options.events,
            "list_s": list_s[name],
            "list_memory_bytes": memory_bytes[name],
            "pod_ratio": pod_s[name] / pod_s[OURS],
            "event_ratio": event_s[name] / event_s[OURS],
            "list_ratio": list_s[name] / list_s[OURS],
            "memory_ratio": memory_bytes[name] / memory_bytes[OURS],
        }
        for name in lists
    }
    if options.json:
        print(json.dumps(results))
        return
    print(f"pods of {pod_bytes:,} bytes; an event of a watch, a list of {options.pods:,}: CPU time and memory")
    heads = ("us/event", "list, s", "list, MB", "us/pod alone")
    print(" " * 12 + "".join(f"{head:>13} {'ratio':>6}" for head in heads))
    for name, r in results.items():
        figures = (
            (r["event_us"], r["event_ratio"]), (r["list_s"], r["list_ratio"]),
            (r["list_memory_bytes"] / 1e6, r["memory_ratio"]), (r["pod_us"], r["pod_ratio"]),
        )  # fmt: skip
        print(f"{name:12}" + "".join(f"{value:13.3f} {ratio:6.1f}" for value, ratio in figures))


if __name__ == "__main__":
    main()
