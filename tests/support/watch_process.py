"""``podlab watch`` as a process, against a real InfluxDB and the test API server over HTTP."""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pandas as pd

from podlab.data.samples import INSTANCE_KEY
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import READER, Influxd
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod
from tests.support.kuberequest import Request

TOKEN = "t0ken-of-the-watcher"
USER = "system:serviceaccount:podlab:podlab-watcher"
LEASE = "podlab/podlab-watcher"
#: Longest wait for what must come; it is never waited out unless something is wrong. A busy machine takes 20 times as
#: long as an idle one.
PATIENCE_S = 300.0


def grant(api: KubeApi) -> None:
    """Give the watcher what its Role gives it."""
    api.tokens[TOKEN] = USER
    api.allow(USER, ["list", "watch"], ["pods"])
    api.allow(USER, ["create"], ["events"])
    api.allow(USER, ["get", "create", "update"], ["leases"], "podlab")


@dataclass
class WatchProcess:
    """A running watcher; use it in a ``with`` block.

    Attributes
    ----------
    most_file_bytes : int, optional
        No file may grow beyond that, which fails in the same place as a full disk does.
    environment : dict
        What its environment holds beside the settings.
    service_account : Path, optional
        Folder with the API server's ``ca.crt``; a token is put beside it, and the watcher runs as if in a pod. Without
        it, by a kubeconfig.
    lines : list of dict
        What it wrote so far, as far as it was waited for.
    """

    api: KubeApi
    folder: Path
    model: Path
    influxdb_url: str
    database: str
    words: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    most_file_bytes: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    service_account: Path | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        command, access = self._access()
        named = {
            "model_path": str(self.model), "influxdb_url": self.influxdb_url, "influxdb_database": self.database,
            "influxdb_user": READER[0], "influxdb_password": READER[1], "watch_interval": "200ms",
            "watch_listen": "127.0.0.1:0",
            # Nothing is given up because the machine is slow; tests of giving up set less.
            "metrics_timeout": "1h",
        } | self.settings  # fmt: skip
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), **access,
            # Where podlab is tested from a folder that it is not installed from.
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
            **{f"PODLAB_{name.upper()}": value for name, value in named.items()}, **self.environment,
        }  # fmt: skip
        if self.most_file_bytes is not None:
            # Python would cut off the code that it keeps for the next start of everybody, and not notice.
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self._errors = (self.folder / "stderr").open("ab")
        self.process = subprocess.Popen(
            [*command, "watch", *self.words],
            stdout=subprocess.PIPE, stderr=self._errors, env=environment, cwd=self.folder, text=True,
            preexec_fn=self._limit_files,
        )  # fmt: skip
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _access(self) -> tuple[list[str], dict[str, str]]:
        """Give the command, and what in its environment leads it to the API server."""
        if self.service_account is None:
            kubeconfig = self.api.write_kubeconfig(self.folder / "kubeconfig", TOKEN)
            return [str(Path(sys.executable).parent / "podlab")], {"KUBECONFIG": str(kubeconfig)}
        (self.service_account / "token").write_text(TOKEN, encoding="utf-8")
        address = urlsplit(self.api.url)
        # The folder is fixed in a pod, and not to be written to here.
        script = "import pathlib, sys, podlab.cli, podlab.kubernetes.client as client; "
        script += f"client.SERVICE_ACCOUNT = pathlib.Path({str(self.service_account)!r}); podlab.cli.main()"
        where = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
        return [sys.executable, "-c", script], where

    def _limit_files(self) -> None:
        if self.most_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.most_file_bytes, self.most_file_bytes))

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Read lines until ``enough`` says so of all of them."""
        while not enough(self.lines):
            try:
                line = self._queue.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"nothing more came: {self.errors}; {self.lines[-20:]}") from None
            assert line is not None, f"it ended with {self.process.wait()}: {self.errors}; {self.lines[-5:]}"
            self.lines.append(json.loads(line))
        return self.lines

    def read_lines(self) -> list[dict[str, Any]]:
        """Read what is there without waiting; give all lines so far."""
        with suppress(queue.Empty):
            while line := self._queue.get_nowait():
                self.lines.append(json.loads(line))
        return self.lines

    def wait_for_announcements(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many containers were announced, and give the announcements."""
        self.wait_for(lambda lines: len(announcements(lines)) >= count)
        return announcements(self.lines)

    def read_announcements(self) -> list[dict[str, Any]]:
        """Give what was announced since the last time, without waiting; nothing of it is kept."""
        told: list[dict[str, Any]] = []
        with suppress(queue.Empty):
            while line := self._queue.get_nowait():
                told.append(json.loads(line))
        return announcements(told)

    def wait_for_log(self, words: str) -> None:
        """Wait for a log line that holds these words."""
        self.wait_for(lambda lines: any(words in line["message"] for line in lines))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, read what is still said, and give the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.end_of_output()
        return code

    def end_of_output(self) -> None:
        """Read what a watcher that ended still said; a kill may cut the last line off."""
        self._reader.join()
        while (line := self._queue.get()) is not None:
            if line.endswith("\n"):
                self.lines.append(json.loads(line))

    def get(self, path: str) -> httpx.Response:
        """Ask its web server."""
        self.wait_for_log("serves at")
        [said] = [line["message"] for line in self.lines if "serves at" in line["message"]]
        return httpx.get(f"http://{said.split()[-1]}{path}", timeout=PATIENCE_S)

    def poll(self, path: str, enough: Callable[[str], bool]) -> str:
        """Ask its web server until the answer will do."""
        until_s = time.monotonic() + PATIENCE_S
        while not enough(text := self.get(path).text):
            assert time.monotonic() < until_s, f"{path} still says: {text[-2000:]}"
            threading.Event().wait(0.05)
        return text

    def wait_for_fetch(self, *written: pd.DataFrame) -> None:
        """Wait until it has fetched all these samples; a decision needs a second check that sees more.

        A round may come while they are written, or while their pods appear, and see only some of them.
        """
        count = sum(len(samples) for samples in written)
        self.poll("/metrics", lambda text: rows_kept(text) >= count)

    @property
    def errors(self) -> str:
        """What it wrote to stderr."""
        return (self.folder / "stderr").read_text()


def rows_kept(metrics: str) -> float:
    """Read how many samples a watcher keeps."""
    return float(metrics.split("\npodlab_history_rows ")[1].split()[0])


def announcements(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what the watcher says of itself."""
    return [line for line in lines if line["event"] != "log"]


def begin_now(samples: pd.DataFrame, seconds_ago: float) -> pd.DataFrame:
    """Shift a recording so that its first container started so long ago; starts are whole seconds, as the API's."""
    start = pd.Timestamp.now(tz="UTC").floor("s") - pd.Timedelta(seconds=seconds_ago)
    shift = start - samples["started_at"].min().floor("s")
    return samples.assign(time=samples["time"] + shift, started_at=samples["started_at"] + shift)


def run_pods(api: KubeApi, samples: pd.DataFrame, images: Mapping[str, str] | None = None) -> None:
    """Let the pods that samples are of run in the test cluster; ``images`` are by name of the pod."""
    for row in samples[[*INSTANCE_KEY]].drop_duplicates().itertuples():
        started_at = row.started_at.floor("s").strftime("%Y-%m-%dT%H:%M:%SZ")
        pod = make_pod(
            row.pod, namespace=row.namespace, uid=row.pod_uid, started_at=started_at,
            images={row.container: (images or {}).get(row.pod, "example.test/image:1")},
        )  # fmt: skip
        api.store.put("pods", pod)


def play(influxd: Influxd, database: str, samples: pd.DataFrame, until_s: float | None = None) -> pd.DataFrame:
    """Write samples as an agent would, by default all, or those of the first seconds; return them."""
    if until_s is not None:
        samples = samples[samples["time"] < samples["started_at"].min() + pd.Timedelta(seconds=until_s)]
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    return samples


def strike_at_event(api: KubeApi, number: int, watcher: WatchProcess, signal_number: int) -> None:
    """Send the watcher a signal while its event of this number is under way."""
    made = 0

    def before_answer(request: Request) -> None:
        nonlocal made
        made += request.verb == "create" and request.resource == "events"
        if made == number:
            api.before_answer = None
            watcher.process.send_signal(signal_number)

    api.before_answer = before_answer


def events(api: KubeApi) -> list[dict[str, Any]]:
    """Read back the Events."""
    items: list[dict[str, Any]] = api.store.list("events", None, {})["items"]
    return items


def crowd(samples: pd.DataFrame, copies: int) -> pd.DataFrame:
    """Make many pods of few: each several times, under other names."""
    parts = [samples.assign(pod=samples["pod"] + f"-{n}", pod_uid=samples["pod_uid"] + f"-{n}") for n in range(copies)]
    return pd.concat(parts, ignore_index=True)


def secrets_in(*texts: str) -> list[str]:
    """Which secrets stand in any of these."""
    return [secret for secret in (TOKEN, READER[1]) if any(secret in text for text in texts)]
