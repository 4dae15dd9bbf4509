"""A real Prometheus and a real VictoriaMetrics for tests and benchmarks."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pandas as pd
import pytest

from podlab.telemetry.prometheus_http import PrometheusApi
from podlab.telemetry.prometheus_write import series_of, write_series
from tests.support.debian import find_program, free_ports

START_TIMEOUT_S = 60
# Recordings of any age go into one server: without it, what is an hour older than the newest sample is refused.
ANY_AGE = ("--storage.tsdb.min-block-duration=40y", "--storage.tsdb.max-block-duration=40y")


@dataclass
class Prometheusd:
    """A running server with Prometheus' API that takes remote writes."""

    url: str
    pid: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def api(self, **options: object) -> PrometheusApi:
        """Make a client of it."""
        return PrometheusApi(self.url, **options)  # type: ignore[arg-type]

    def write(self, samples: pd.DataFrame, labels: Mapping[str, str] | None = None) -> dict[str, str]:
        """Write a recording as cAdvisor's series, with a label of its own; return the labels to find it by."""
        own = {"recording": f"r{next(self._numbers)}", **(labels or {})}
        write_series(series_of(samples, labels=own), self.api())
        self.settle()
        return own

    def settle(self) -> None:
        """Make what was written visible; Prometheus does so at once, VictoriaMetrics each second."""
        httpx.get(f"{self.url}/internal/force_flush", timeout=30)


@pytest.fixture(scope="session")
def prometheusd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheusd]:
    """One Prometheus for all tests of this process."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), "", *ANY_AGE) as server:
        yield server


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheusd]:
    """One VictoriaMetrics for all tests of this process."""
    with running_victoria(tmp_path_factory.mktemp("victoria")) as server:
        yield server


@contextmanager
def running_prometheus(folder: Path, config: str, *options: str) -> Iterator[Prometheusd]:
    """Start a Prometheus that keeps everything in ``folder``; stop it at the end."""
    program = find_program("prometheus", package="prometheus")
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    with _running(
        lambda port: (
            str(program), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver", "--log.level=warn", *options,
        ),
        folder, "/-/ready",
    ) as server:  # fmt: skip
        yield server


@contextmanager
def running_victoria(folder: Path, *options: str) -> Iterator[Prometheusd]:
    """Start a VictoriaMetrics that keeps everything in ``folder``; stop it at the end."""
    program = find_program("victoria-metrics", package="victoria-metrics")
    with _running(
        lambda port: (
            str(program), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y", "-loggerLevel=ERROR", "-memory.allowedBytes=200MB", *options,
        ),
        folder, "/health",
    ) as server:  # fmt: skip
        yield server


@contextmanager
def _running(command: Callable[[int], Sequence[str]], folder: Path, ready: str) -> Iterator[Prometheusd]:
    last_words = folder / "server.log"
    # Another program may take the port between finding it free and the server's start.
    for _ in range(3):
        [port] = free_ports(1)
        with last_words.open("ab") as log:
            process = subprocess.Popen(command(port), stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if _is_ready(process, url + ready):
                yield Prometheusd(url=url, pid=process.pid)
                return
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise RuntimeError(f"the server did not start; its last words:\n{last_words.read_text()[-2000:]}")


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False
