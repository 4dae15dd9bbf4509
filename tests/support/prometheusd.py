"""A real Prometheus and a real VictoriaMetrics for tests and benchmarks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pandas as pd
import pytest

from podlab.sources.prometheus_client import PrometheusApi
from podlab.sources.prometheus_query import CADVISOR, Dialect
from podlab.sources.remote_write import series_of, write_series
from tests.support.debian import find_program, free_ports, running_server

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

    def write(
        self, samples: pd.DataFrame, labels: Mapping[str, str] | None = None, dialect: Dialect = CADVISOR
    ) -> dict[str, str]:
        """Write a recording as an agent's series, with a label of its own; return the labels to find it by."""
        own = {"recording": f"r{next(self._numbers)}", **(labels or {})}
        self.add(samples, own, dialect)
        return own

    def add(self, samples: pd.DataFrame, labels: Mapping[str, str], dialect: Dialect = CADVISOR) -> None:
        """Write more samples with the same labels."""
        if len(samples):
            write_series(series_of(samples, labels=labels, dialect=dialect), self.api())
        self.settle()

    def settle(self) -> None:
        """Make what was written visible; Prometheus does so at once, VictoriaMetrics each second."""
        httpx.get(f"{self.url}/internal/force_flush", timeout=300)


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
def running_prometheus(folder: Path, config: str, *options: str, receiver: bool = True) -> Iterator[Prometheusd]:
    """Start a Prometheus that keeps everything in ``folder``, and takes remote writes or not; stop it at the end."""
    program = find_program("prometheus", package="prometheus")
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")

    def prepare() -> tuple[list[str], str]:
        [port] = free_ports(1)
        command = [
            str(program), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn", *(["--web.enable-remote-write-receiver"] if receiver else []), *options,
        ]  # fmt: skip
        return command, f"http://127.0.0.1:{port}"

    with running_server(prepare, folder / "prometheus.log", ready="/-/ready") as (url, pid):
        yield Prometheusd(url, pid)


@contextmanager
def running_victoria(folder: Path, *options: str) -> Iterator[Prometheusd]:
    """Start a VictoriaMetrics that keeps everything in ``folder``; stop it at the end."""
    program = find_program("victoria-metrics", package="victoria-metrics")

    def prepare() -> tuple[list[str], str]:
        [port] = free_ports(1)
        command = [
            str(program), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y", "-loggerLevel=ERROR", "-memory.allowedBytes=200MB", *options,
        ]  # fmt: skip
        return command, f"http://127.0.0.1:{port}"

    with running_server(prepare, folder / "victoria.log", ready="/health") as (url, pid):
        yield Prometheusd(url, pid)
