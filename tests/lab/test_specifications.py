"""What containers a deployment is made of."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from lab.catalogue import load, select
from lab.deploy import read_reports
from lab.images import ImageSource
from lab.matrix import Deployment, draw_one
from lab.runtime import ContainerSpec
from lab.service import Service
from lab.specifications import client_specification, service_files, service_specification

REDIS, NGINX = select(load(), ["redis", "nginx"])


def _deployment(service: Service, **changes: Any) -> Deployment:
    drawn = draw_one(
        service, site="alpha", release="bookworm", role="known", pattern="bursty", profile=service.profiles()[0],
        seconds=60, chance=random.Random(1),
    )  # fmt: skip
    values = {**drawn.values, **changes.pop("knobs", {})}
    plain = {"launcher": "direct", "data_in": "layer", "knobs": tuple(values.items())}
    return replace(drawn, **{**plain, **changes})


def _specify(deployment: Deployment, service: Service = REDIS, source: ImageSource = "debian") -> ContainerSpec:
    return service_specification(deployment, service, source, "n", "net", "10.0.0.2", "10.0.0.3", {})


def test_what_was_drawn_is_in_the_command_of_either_image_and_in_the_files() -> None:
    deployment = _deployment(REDIS, knobs={"maxmemory_mb": "33", "persistence": "append"})
    for source in ("debian", "registry"):
        command = " ".join(_specify(deployment, source=source).command)
        assert "--maxmemory 33mb" in command
        assert "--appendonly yes" in command
        assert "@{" not in command
    files = service_files(_deployment(NGINX, knobs={"workers": "7"}), NGINX)
    assert files["/etc/podlab/nginx.conf"].startswith("worker_processes 7;")
    assert _specify(deployment).environment["LAB_CLIENT"] == "10.0.0.3"
    assert _specify(deployment, source="registry").image == "docker.io/library/redis:7.2"


def test_data_lie_in_a_volume_only_where_it_was_drawn() -> None:
    assert _specify(_deployment(REDIS, data_in="layer")).volume is None
    volume = _specify(_deployment(REDIS, data_in="volume")).volume
    assert volume is not None
    assert volume[1] == "/data"


def test_limits_are_those_that_were_drawn_or_none() -> None:
    limited = _specify(_deployment(REDIS, cpu_limit_cores=0.5, memory_limit_mib=300))
    assert (limited.cpu_limit_cores, limited.memory_limit) == (0.5, "300m")
    free = _specify(_deployment(REDIS, cpu_limit_cores=None, memory_limit_mib=None))
    assert (free.cpu_limit_cores, free.memory_limit) == (None, None)


def test_a_service_runs_the_image_of_its_deployments_release() -> None:
    assert _specify(_deployment(REDIS, release="trixie")).image == "localhost/podlab-lab/redis:debian13"


def test_a_service_is_launched_as_it_was_drawn() -> None:
    direct, shell, init = (_specify(_deployment(REDIS, launcher=name)) for name in ("direct", "shell", "init"))
    assert init.init
    assert not direct.init
    assert init.command == direct.command
    assert shell.command[-len(direct.command) :] == direct.command
    # The entry point of an official image would not know a shell for what it is to start.
    for launcher in ("direct", "shell"):
        assert _specify(_deployment(REDIS, launcher=launcher), source="registry").command == direct.command


@pytest.mark.parametrize(("number", "status"), [(signal.SIGHUP, None), (signal.SIGTERM, 7)])
def test_the_shell_passes_signals_on_and_ends_with_its_service(number: signal.Signals, status: int | None) -> None:
    service = (
        "import signal, sys\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('again', flush=True))\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()"
    )
    shell = _specify(_deployment(REDIS, launcher="shell")).command[:4]
    launcher = subprocess.Popen(
        [*shell, sys.executable, "-c", service],
        stdout=subprocess.PIPE,
        text=True,
        # What a shell was started deaf to (as below nohup), it cannot pass on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == "ready\n"
    os.kill(launcher.pid, number)
    if status is None:
        assert launcher.stdout.readline() == "again\n"
        assert launcher.poll() is None
        os.kill(launcher.pid, signal.SIGTERM)
    assert launcher.wait(30) == 7
    launcher.stdout.close()


def test_the_load_client_gets_its_draws_as_one_argument() -> None:
    deployment = _deployment(NGINX, knobs={"data_mb": "12"}, earlier_run=True)
    spec = client_specification(deployment, NGINX, "n-client", "net", "10.0.0.2", "10.0.0.3")
    told = json.loads(spec.command[-1])
    assert told["host"] == "10.0.0.2"
    assert told["pattern"] == "bursty"
    assert told["rate_per_s"] == deployment.rate_per_s
    assert told["paths"] == list(NGINX.paths)
    assert (told["data_mb"], told["loads_data"], told["only_prepare"]) == (12.0, False, False)
    assert spec.ip == "10.0.0.3"
    assert (spec.mounts["/opt/client"] / "load_client.py").is_file()
    before = client_specification(deployment, NGINX, "n", "net", "10.0.0.2", "10.0.0.3", only_prepare=True)
    told = json.loads(before.command[-1])
    assert (told["data_mb"], told["loads_data"], told["only_prepare"]) == (12.0, True, True)


def test_reports_are_found_among_what_a_library_said() -> None:
    said = [
        '{"requests": 1, "period": {"end": 5}}', "Connection dropped: socket error", "3",
        '{"requests": 7, "ready_after_s": 0.5, "period": {"end": 10}}', '{"other": 1}',
    ]  # fmt: skip
    assert read_reports(said) == {"requests": 7, "ready_after_s": 0.5, "periods": [{"end": 5}, {"end": 10}]}
    assert read_reports(["nothing", "at all"]) == {}
