"""The catalogue: every entry is whole, and a wrong one is refused by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.lab.catalogue import SERVICES_FOLDER, Service, load, read_service, select
from podlab.lab.client.protocols import PROTOCOLS
from podlab.lab.images import image_of

GOOD = """
name = "thing"
kind = "cache"
protocol = "redis"
port = 1
heavy_requests_per_s = 10
version_command = ["thing", "-v"]
version_pattern = '(\\d+)'
[debian]
packages = ["thing"]
command = ["thing", "--port", "1"]
[configurations.small]
memory_limit = "64m"
[configurations.large]
memory_limit = "256m"
arguments = ["--large"]
volume = "/data"
"""


def test_the_catalogue_holds_different_kinds_of_services() -> None:
    services = load()
    known = {service.name for service in services if not service.unknown}
    assert len(known) >= 20
    assert len({service.kind for service in services}) >= 8
    assert {
        "apache", "etcd", "gunicorn", "haproxy", "influxdb", "memcached", "mosquitto", "mysql", "nats", "nginx", "node",
        "postgres", "prometheus", "rabbitmq", "redis", "tomcat", "zookeeper",
    } <= known  # fmt: skip


def test_unknown_services_are_relatives_of_known_ones_or_far_from_all() -> None:
    known = {service.name for service in load() if not service.unknown}
    unknown = {service.name: service for service in load() if service.unknown}
    assert len(unknown) >= 8
    assert {"miner", "loadgen"} <= set(unknown)
    assert {name for service in unknown.values() for name in service.relative_of} <= known
    assert {bool(service.relative_of) for service in unknown.values()} == {True, False}


@pytest.mark.parametrize("service", load(), ids=lambda service: service.name)
def test_every_entry_can_be_started_and_loaded_in_either_way(service: Service) -> None:
    assert len(service.configurations) >= 2
    assert service.protocol in PROTOCOLS
    assert service.debian_command
    assert service.official_image is None or service.official_command
    assert "(" in service.version_pattern
    assert image_of(service, "debian") == f"localhost/podlab-lab/{service.name}:debian12"
    for configuration in service.configurations:
        assert service.configuration(configuration.name) == configuration
        assert configuration.memory_limit.endswith("m")


def test_a_volume_tells_no_service() -> None:
    """Wherever a service has a data volume, it also has a configuration without one."""
    for service in load():
        assert any(configuration.volume is None for configuration in service.configurations), service.name


def test_each_file_is_named_after_its_service() -> None:
    for path in SERVICES_FOLDER.glob("*.toml"):
        assert read_service(path).name == path.stem


def _read(folder: Path, text: str) -> Service:
    path = folder / "thing.toml"
    path.write_text(text)
    return read_service(path)


def test_a_few_lines_make_a_service(tmp_path: Path) -> None:
    service = _read(tmp_path, GOOD)
    assert service.configuration("large").arguments == ("--large",)
    assert service.official_image is None
    with pytest.raises(InputError, match="medium"):
        service.configuration("medium")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "cache"', 'kind = "cache"\ncolour = "red"', "thing.toml: key 'colour' is unknown"),
        ('packages = ["thing"]', 'packages = ["thing"]\nversion = "1"', "thing.toml: debian: key 'version' is unknown"),
        ('volume = "/data"', 'volumes = "/data"', "configurations.large: key 'volumes' is unknown"),
        ("port = 1", "", "thing.toml: key 'port' is missing"),
        ("port = 1", 'port = "1"', "thing.toml: key 'port' is not a number above 0"),
        ("port = 1", "port = true", "'port' is not a number"),
        ('packages = ["thing"]', 'packages = "thing"', "'packages' is not a list of texts"),
        ('packages = ["thing"]', "packages = [1]", "'packages' is not a list of texts"),
        ('protocol = "redis"', 'protocol = "smoke"', "protocol 'smoke' is unknown"),
        ('[configurations.small]\nmemory_limit = "64m"', "", "fewer than two configurations"),
        ('memory_limit = "64m"', "", "configurations.small: key 'memory_limit' is missing"),
        ('volume = "/data"', "environment = { A = 1 }", "'environment' is not a table of texts"),
        ('volume = "/data"', "volume = 1", "'volume' is not text"),
        ("[debian]", "debian = 1\n[other]", "thing.toml"),
        ('name = "thing"', "name = ", "thing.toml"),
    ],
)
def test_a_wrong_entry_is_refused_by_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as refusal:
        _read(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(refusal.value)


def test_a_folder_without_services_and_a_name_stated_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no service files"):
        load(tmp_path)
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    with pytest.raises(InputError, match="thing"):
        load(tmp_path)


def test_services_are_chosen_by_name() -> None:
    services = load()
    assert [service.name for service in select(services, ["redis", "etcd", "redis"])] == ["redis", "etcd"]
    assert select(services, None) == [service for service in services if not service.unknown]
    with pytest.raises(InputError, match="redsi"):
        select(services, ["redsi"])
