"""The watcher at work, without a cluster: pods start, their metrics come in, and it says what they are.

A real InfluxDB, the tests' API server and `podlab watch` with the rights that deploy/base grants; the pods' lives are
played from a recording. The model learns from other deployments of the same recording first, so nothing played was
ever seen by it, and two of the pods run services that it was never shown. Two pods are not what their image claims: a
cache that claims to be nginx, and a miner that claims to be a database.

Usage: python -m tools.demo [--stay]      (from the repository's root; --stay: until Ctrl-C)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from rich.console import Console

from podlab import identify
from podlab.data.catalogue import CATALOGUE
from podlab.data.recordings import read_recording, write_recording
from podlab.errors import PodlabError
from podlab.model import bundle
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import free_ports, running_influxd
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod
from tests.support.kustomize import render
from tests.support.rbac import grant

ROOT = Path(__file__).parents[1]
RECORDINGS = ROOT / "data" / "recordings"
OUT = ROOT / "data" / "collected"
#: Services that the model is never shown: a stranger, and a close relative of redis.
UNKNOWN = ("miner", "valkey")
#: What pods' images claim where it is not what they run: a cache in a web server's place, and a miner as a database.
IMPOSTORS = {"memcached": "nginx", "miner": "postgres"}
#: What Telegraf does not carry from a kubelet, beside what tells the service.
NOT_CARRIED = ["io_read_bytes", "io_write_bytes", "image_size_bytes"]
HORIZONS_S = (10, 30, 60)
#: From one pod's start to the next one's, and from the last one's to the end.
STAGGER_S = 2.0
LAST_S = 75.0
#: A pod without a confident prediction is unknown after this long.
UNKNOWN_AFTER_S = 35
#: Of a server that lives for two minutes on this machine.
TOKEN = "demo-token"
#: Ctrl-C, the terminal is closed, told to end.
ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
#: The last announcement of each pod, on what it is, and on what it claims to be.
Said = dict[str, dict[str, object]]
_NAMES = ["namespace", "pod", "container"]


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description="The watcher at work, without a cluster.")
    parser.add_argument("--stay", action="store_true", help="go on until Ctrl-C, so that the status page stays")
    stay = parser.parse_args().stay
    console = Console(highlight=False, soft_wrap=True)
    for number in ENDING:
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="podlab-demo-") as name, contextlib.suppress(KeyboardInterrupt):
        _show(console, Path(name), stay)


def _end(number: int, frame: object) -> None:
    """End, so that servers and files are cleared away; once, since that takes a moment."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _learn(known: pd.DataFrame, folder: Path) -> Path:
    recording = folder / "known.parquet"
    write_recording(known, recording)
    model = identify.fit(known.drop(columns=NOT_CARRIED), horizons_s=HORIZONS_S)
    bundle.save(model, folder / "model", name="demo", recordings=[recording], scores=model.scores)
    return folder / "model"


def _show(console: Console, folder: Path, stay: bool) -> None:
    known, played = _choose()
    console.print(f"learning from {known['deployment'].nunique()} deployments of {known['service'].nunique()} services")
    model = _learn(known, folder)
    said: Said = {}
    mismatches: Said = {}
    with running_influxd(folder) as database, KubeApi() as api:
        grant(api, render(ROOT / "deploy" / "base"), "podlab-watcher", TOKEN)
        api.write_kubeconfig(folder / "kubeconfig", TOKEN)
        name = database.new_database()
        (folder / "password").write_text(database.reader[1])
        [port] = free_ports(1)
        settings = {
            "INFLUXDB_URL": database.url, "INFLUXDB_DATABASE": name, "INFLUXDB_USER": database.reader[0],
            "INFLUXDB_PASSWORD_FILE": str(folder / "password"), "MODEL_PATH": str(model),
            "METRICS_TIMEOUT": f"{UNKNOWN_AFTER_S}s", "WATCH_INTERVAL": "2s", "WATCH_LISTEN": f"127.0.0.1:{port}",
            "WATCH_STATE": str(folder / "announced"), "WATCH_LEASE": "podlab/podlab-watcher",
        }  # fmt: skip
        console.print(f"status page: [bold]http://127.0.0.1:{port}/[/bold]\n")
        with _watcher(folder, settings) as lines:
            target = InfluxDatabase(database.url, name, *database.admin)
            lives = _lay_out(played)
            threading.Thread(target=_play, args=(lives, target), daemon=True).start()
            # Ctrl-C ends it early; what was said by then is summed up all the same.
            with contextlib.suppress(KeyboardInterrupt):
                _follow(console, api, lives, lines, stay, said, mismatches)
    _sum_up(console, played, said, mismatches)


def _choose() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the recordings into what is learned from and what is played: one deployment of each service."""
    samples = read_recording([RECORDINGS / "first.parquet"])
    unknown = read_recording([RECORDINGS / "second-unknown.parquet"])
    unknown = unknown[unknown["service"].isin(UNKNOWN)]
    kept = [each.groupby("service")["deployment"].max() for each in (samples, unknown)]
    known = samples[~samples["deployment"].isin(kept[0])]
    played = [each[each["deployment"].isin(own)] for each, own in zip((samples, unknown), kept, strict=True)]
    return known, pd.concat(played, ignore_index=True)


def _lay_out(played: pd.DataFrame) -> pd.DataFrame:
    """Move the lives so that one starts after the other, beginning now, and cut them where the demo ends."""
    first_of = played.groupby(_NAMES)[["started_at", "service"]].min().sample(frac=1, random_state=1)
    # Impostors first: a mismatch is announced when it has lasted for a minute.
    starts = first_of.sort_values("service", key=lambda names: ~names.isin(list(IMPOSTORS)), kind="stable")
    first = pd.Timestamp(datetime.now(UTC)) + pd.Timedelta(seconds=1)
    moved = {who: first + pd.Timedelta(seconds=STAGGER_S * number) for number, who in enumerate(starts.index)}
    lives = played.copy()
    start = pd.Series([moved[who] for who in zip(*(lives[name] for name in _NAMES), strict=True)], index=lives.index)
    lives["time"] = (lives["time"] - lives["started_at"] + start).astype("datetime64[ns, UTC]")
    lives["started_at"] = start.dt.floor("s").astype("datetime64[ns, UTC]")  # the API knows whole seconds
    return lives[lives["time"] <= first + pd.Timedelta(seconds=STAGGER_S * len(starts) + LAST_S)].sort_values("time")


def _play(lives: pd.DataFrame, target: InfluxDatabase) -> None:
    """Write what Telegraf carries as time goes on: nothing that tells the service."""
    metrics = [name for name in lives if name in CATALOGUE and name not in NOT_CARRIED]
    with contextlib.suppress(PodlabError):  # the database ends with the demo, whatever is left to play
        replay(lives[["time", "node", *_NAMES, *metrics]], target, speed=1.0)


@contextlib.contextmanager
def _watcher(folder: Path, settings: dict[str, str]) -> Iterator[queue.Queue[str | None]]:
    """Run `podlab watch`, and give the lines it writes."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PODLAB_")}
    environment = ours | {f"PODLAB_{key}": value for key, value in settings.items()}
    environment |= {"KUBECONFIG": str(folder / "kubeconfig")}
    command = [str(Path(sys.executable).with_name("podlab")), "watch"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    lines: queue.Queue[str | None] = queue.Queue()
    OUT.mkdir(parents=True, exist_ok=True)

    def read() -> None:
        assert process.stdout is not None
        with process.stdout, (OUT / "demo.jsonl").open("w") as log:
            for line in process.stdout:
                log.write(line)
                lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()


def _follow(
    console: Console,
    api: KubeApi,
    lives: pd.DataFrame,
    lines: queue.Queue[str | None],
    stay: bool,
    said: Said,
    mismatches: Said,
) -> None:
    """Let pods start when they are due, print what the watcher says, and keep the last of it for each pod."""
    truth = lives.drop_duplicates("pod").sort_values("started_at").set_index("pod")
    waiting = list(truth.index)
    began_s = time.time()
    end_s = truth["started_at"].iloc[-1].timestamp() + LAST_S
    while stay or (time.time() < end_s and (waiting or len(said) < len(truth) or len(mismatches) < len(IMPOSTORS))):
        while waiting and truth.loc[waiting[0], "started_at"].timestamp() <= time.time():
            pod = waiting.pop(0)
            service = truth.loc[pod, "service"]
            _start(api, pod, truth.loc[pod])
            claim = f", claims to be {IMPOSTORS[service]}" if service in IMPOSTORS else ""
            console.print(f"{_at(began_s)}  {pod} starts [dim](truly {service}{claim})[/dim]")
        with contextlib.suppress(queue.Empty):
            text = lines.get(timeout=0.1)
            if text is None:  # the watcher has ended, and said why
                return
            line = json.loads(text)
            if line.get("pod") in truth.index:
                service = truth.loc[line["pod"], "service"]
                if line["event"] == "mismatch":
                    mismatches[line["pod"]] = line
                    mark = "[green]right[/green]" if service in IMPOSTORS else f"[red]wrong, it is {service}[/red]"
                else:
                    said[line["pod"]] = line
                    mark = _mark(service, line)
                console.print(f"{_at(began_s)}  {line['pod']} {line['message']}  {mark}")
            elif line["level"] in ("error", "warning"):
                console.print(f"{_at(began_s)}  [yellow]{line['message']}[/yellow]")


def _start(api: KubeApi, pod: str, life: pd.Series) -> None:
    started_at = life["started_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
    # What an image is called is what a container claims to be. It is never used to tell what it is.
    images = {life["container"]: f"registry.example/{IMPOSTORS.get(life['service'], life['service'])}:1"}
    api.store.put("pods", make_pod(pod, namespace=life["namespace"], images=images, started_at=started_at))


def _at(began_s: float) -> str:
    minutes, seconds = divmod(int(time.time() - began_s), 60)
    return f"[dim]{minutes}:{seconds:02}[/dim]"


def _is_right(truth: str, said: dict[str, object]) -> bool:
    return said["service"] == (None if truth in UNKNOWN else truth)


def _mark(truth: str, said: dict[str, object]) -> str:
    if _is_right(truth, said):
        return "[green]right[/green]"
    return (
        f"[yellow]it is {truth}, which the model was never shown[/yellow]" if truth in UNKNOWN else "[red]wrong[/red]"
    )


def _sum_up(console: Console, played: pd.DataFrame, said: Said, mismatches: Said) -> None:
    truth = played.drop_duplicates("pod").set_index("pod")["service"]
    right = sum(_is_right(truth[pod], line) for pod, line in said.items())
    write_recording(played, OUT / "demo-truth.parquet")
    caught = sum(truth[pod] in IMPOSTORS for pod in mismatches)
    console.print(f"\n{len(truth)} pods, {len(said)} decided, {right} of them right.")
    console.print(
        f"{len(IMPOSTORS)} are not what their image claims: {caught} of them found, and {len(mismatches) - caught} "
        "others reported. Second by second:\n"
    )
    console.print("  .venv/bin/podlab run notebooks/08_watch.ipynb -p decisions=data/collected/demo.jsonl \\")
    console.print(f"    -p samples=data/collected/demo-truth.parquet -p unknown_services={','.join(UNKNOWN)}")


if __name__ == "__main__":
    main()
