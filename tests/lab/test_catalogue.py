"""The catalogue: every entry is whole, and a wrong one is refused by file and key."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lab import knobs
from lab.catalogue import RELEASES, SERVICES_FOLDER, Service, load, read_service, relatives_of, select
from lab.client.protocols import PROTOCOLS
from lab.images import image_of
from podlab.errors import InputError

GOOD = """
name = "thing"
kind = "cache"
protocol = "redis"
port = 1
whole_core_requests_per_s = 10
memory_needed = "64m"
version_command = ["thing", "-v"]
version_pattern = '(\\d+)'
data = "/data"
profile = { size_mb = [2, 4, 8], log = [], threads = [2] }
[debian]
packages = ["thing"]
command = ["thing", "--port", "1", "@{log}", "--size=@{size_mb}m"]
environment = { THREADS = "@{threads}" }
[files]
"/etc/thing" = "cache @{share}"
[knobs]
size_mb = { range = [1, 16], log = true }
threads.range = [1, 4]
share.range = [0.1, 0.9]
log.choices = { none = "", all = "--log 'a file' --most @{size_mb}" }
data_mb = { range = [1, 200], log = true, zero_share = 0.3 }
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
    assert len(service.profiles()) >= 12
    assert service.protocol in PROTOCOLS
    assert service.debian_command
    assert service.official_image is None or service.official_command
    assert "(" in service.version_pattern
    assert image_of(service, "debian").startswith(f"localhost/podlab-lab/{service.name}:")
    chance = random.Random(1)
    for profile in service.profiles():
        values = {name: knob.draw(chance, profile.get(name)) for name, knob in service.knobs.items()}
        inserted = knobs.texts(service.knobs, values)
        for words in (service.debian_command, service.official_command):
            assert "@{" not in " ".join(knobs.fill_words(words, inserted))


def test_each_file_is_named_after_its_service() -> None:
    for path in SERVICES_FOLDER.glob("*.toml"):
        assert read_service(path).name == path.stem


def _read(folder: Path, text: str) -> Service:
    path = folder / "thing.toml"
    path.write_text(text)
    return read_service(path)


def test_a_few_lines_make_a_service(tmp_path: Path) -> None:
    service = _read(tmp_path, GOOD)
    assert service.official_image is None
    assert service.releases == RELEASES
    assert len(service.profiles()) == 4 * 2 * 2
    inserted = knobs.texts(
        service.knobs, {"size_mb": "3", "threads": "2", "share": "0.5", "log": "all", "data_mb": "0"}
    )
    assert knobs.fill_words(service.debian_command, inserted) == (
        "thing", "--port", "1", "--log", "a file", "--most", "3", "--size=3m",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "cache"', 'kind = "cache"\ncolour = "red"', "thing.toml: key 'colour' is unknown"),
        ('packages = ["thing"]', 'packages = ["thing"]\nversion = "1"', "thing.toml: debian: key 'version' is unknown"),
        ("port = 1", "", "thing.toml: key 'port' is missing"),
        ("port = 1", 'port = "1"', "thing.toml: key 'port' is not a number above 0"),
        ("port = 1", "port = true", "'port' is not a number"),
        ('packages = ["thing"]', 'packages = "thing"', "'packages' is not a list of texts"),
        ('packages = ["thing"]', "packages = [1]", "'packages' is not a list of texts"),
        ('protocol = "redis"', 'protocol = "smoke"', "protocol 'smoke' is unknown"),
        ('memory_needed = "64m"', "", "thing.toml: key 'memory_needed' is missing"),
        ('memory_needed = "64m"', 'memory_needed = "64"', "memory_needed '64' is not a size"),
        ('memory_needed = "64m"', 'memory_needed = "@{size_mb}m"', "memory_needed '@{size_mb}m' is not a size"),
        ('data = "/data"', "data = 1", "'data' is not text"),
        ('THREADS = "@{threads}"', "A = 1", "'environment' is not a table of texts"),
        ("[debian]", "debian = 1\n[other]", "thing.toml"),
        ('name = "thing"', "name = ", "thing.toml"),
        ("@{log}", "@{lag}", "thing.toml: debian: command: @{lag} names no knob"),
        ("cache @{share}", "cache @{shore}", "thing.toml: files: @{shore} names no knob"),
        ("--most @{size_mb}", "--most @{sise_mb}", "thing.toml: knobs.log: @{sise_mb} names no knob"),
        ("--most @{size_mb}", "--most @{log}", "thing.toml: knobs.log: @{log} has choices itself"),
        ("cache @{share}", "cache", "thing.toml: knobs.share: is used nowhere; write @{share} where it belongs"),
        ("'a file'", "'a file", "choice 'all' cannot be split into words"),
        (
            "threads.range = [1, 4]",
            "threads.range = [4, 1]",
            "thing.toml: knobs.threads: key 'range' is not two numbers",
        ),
        ("threads.range = [1, 4]", "threads.range = [1]", "knobs.threads: key 'range' is not two numbers"),
        ("threads.range = [1, 4]", 'threads.choices = ["1"]', "key 'choices' is not two different choices or more"),
        ("threads.range = [1, 4]", "threads = {}", "knobs.threads: needs either 'choices' or 'range'"),
        (
            "threads.range = [1, 4]",
            "threads = { range = [0, 4], log = true }",
            "begins at 0, where 'log' means nothing",
        ),
        ("zero_share = 0.3", "zero_share = 1", "knobs.data_mb: key 'zero_share' is not a share"),
        ("log = [], ", "", "thing.toml: profile: has 8 combinations, at least 12 are needed"),
        ("log = []", "log = [1]", "key 'log': choices cannot be cut"),
        ("threads = [2]", "threads = [9]", "profile: key 'threads': cut points lie inside the range"),
        ("threads = [2]", "thread = [2]", "profile: no knob 'thread'"),
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


def test_relatives_are_those_stated_or_of_the_same_kind() -> None:
    services = load()
    relatives = relatives_of(services)
    assert relatives["valkey"] == ("redis", "memcached")
    assert relatives["mysql"] == ("postgres",)
    unknown = {service.name for service in services if service.unknown}
    assert not any(unknown & set(each) or name in each for name, each in relatives.items())
