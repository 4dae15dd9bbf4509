"""What containers a deployment is made of."""

from __future__ import annotations

import json

from podlab.lab.catalogue import load, select
from podlab.lab.deploy import last_report
from podlab.lab.plan import Plan, draw
from podlab.lab.specifications import client_specification, scale_size, service_specification


def test_a_service_runs_the_command_of_its_image_with_its_configuration() -> None:
    (redis,) = select(load(), ["redis"])
    deployment = next(d for d in draw([redis], Plan(("heavy",))) if d.configuration == "append-only")
    debian = service_specification(deployment, redis, "debian", "n", "net", "10.0.0.2", "10.0.0.3", {})
    official = service_specification(deployment, redis, "registry", "n", "net", "10.0.0.2", "10.0.0.3", {})
    for spec in (debian, official):
        assert spec.command[-2:] == ("--save", "30 100")
        assert spec.volume is not None
        assert spec.volume[1] == "/data"
        assert spec.cpu_limit_cores == deployment.cpu_limit_cores
        assert spec.environment["LAB_CLIENT"] == "10.0.0.3"
    assert official.image == "docker.io/library/redis:7.2"


def test_a_service_runs_the_image_of_its_deployments_release() -> None:
    (redis,) = select(load(), ["redis"])
    images = {
        service_specification(each, redis, "debian", "n", "net", "10.0.0.2", "10.0.0.3", {}).image
        for each in draw([redis], Plan(("heavy", "idle"), releases=("bookworm", "trixie")))
    }
    assert images == {"localhost/podlab-lab/redis:debian12", "localhost/podlab-lab/redis:debian13"}


def test_the_load_client_gets_its_draws_as_one_argument() -> None:
    (nginx,) = select(load(), ["nginx"])
    deployment = draw([nginx], Plan(("bursty",)))[0]
    spec = client_specification(deployment, nginx, "n-client", "net", "10.0.0.2", "10.0.0.3")
    told = json.loads(spec.command[-1])
    assert told["host"] == "10.0.0.2"
    assert told["pattern"] == "bursty"
    assert told["rate_per_s"] == deployment.rate_per_s
    assert told["paths"] == list(nginx.paths)
    assert spec.ip == "10.0.0.3"
    assert (spec.mounts["/opt/client"] / "load_client.py").is_file()


def test_a_memory_limit_is_scaled_in_its_own_unit() -> None:
    assert scale_size("96m", 1.5) == "144m"
    assert scale_size("1g", 2.0) == "2g"


def test_the_last_report_is_found_before_what_a_library_said_since() -> None:
    said = ['{"requests": 1}', '{"requests": 7, "ready_after_s": 0.5}', "Connection dropped: socket error", "3"]
    assert last_report(said) == {"requests": 7, "ready_after_s": 0.5}
    assert last_report(["nothing", "at all"]) == {}
