"""Images: one recipe for each service and Debian release, and none built twice."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.catalogue import load, select
from lab.images import (
    CLIENT_IMAGE,
    base_image,
    build_arguments,
    check_source,
    image_of,
    provide_images,
    recipe,
    recipes,
)
from lab.runtime import Runtime
from lab.service import RELEASES
from podlab.errors import InputError, PodlabError

OWN = "localhost/podlab-lab"


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(InputError, match="shop"):
        check_source("shop")


def test_building_differs_by_engine_only_where_it_must(tmp_path: Path) -> None:
    podman = build_arguments("podman", "image:tag", tmp_path, "abc")
    docker = build_arguments("docker", "image:tag", tmp_path, "abc")
    assert set(podman) - set(docker) == {"--isolation", "chroot", "--layers"}
    assert docker[0] == "build"
    assert docker[docker.index("--tag") + 1] == "image:tag"
    assert docker[-1] == str(tmp_path)


def test_a_recipe_installs_packages_and_keeps_no_package_lists() -> None:
    text = recipe("base", ("one", "two"), "mkdir /data")
    assert text.splitlines()[0] == "FROM base"
    assert "install -y --no-install-recommends one two" in text
    assert "rm -rf /var/lib/apt/lists/*" in text
    assert text.splitlines()[-1] == "RUN mkdir /data"


def test_images_come_from_a_registry_only_where_there_is_an_official_one() -> None:
    redis, gunicorn = select(load(), ["redis", "gunicorn"])
    assert image_of(redis, "registry") == "docker.io/library/redis:7.2"
    assert image_of(redis, "registry", "trixie") == "docker.io/library/redis:7.2"
    assert image_of(redis, "debian") == f"{OWN}/redis:debian12"
    assert image_of(gunicorn, "registry", "trixie") == f"{OWN}/gunicorn:debian13"


def test_every_release_has_a_base_of_its_own() -> None:
    for source in ("debian", "registry"):
        assert len({base_image(check_source(source), release) for release in RELEASES}) == len(RELEASES)


def test_each_release_of_a_service_is_made_from_that_releases_base() -> None:
    redis, valkey = select(load(), ["redis", "valkey"])
    made = recipes([redis, valkey], "debian", ("bookworm", "trixie"))
    # valkey came after Debian 12.
    assert {image: text.splitlines()[0] for image, text in made.items()} == {
        CLIENT_IMAGE: f"FROM {OWN}/base:debian12",
        f"{OWN}/redis:debian12": f"FROM {OWN}/base:debian12",
        f"{OWN}/redis:debian13": f"FROM {OWN}/base:debian13",
        f"{OWN}/valkey:debian13": f"FROM {OWN}/base:debian13",
    }


def test_a_service_without_the_wanted_release_is_made_from_the_one_it_has() -> None:
    (valkey,) = select(load(), ["valkey"])
    assert list(recipes([valkey], "debian")) == [CLIENT_IMAGE, f"{OWN}/valkey:debian13"]


def test_a_site_with_another_base_image_has_images_of_its_own() -> None:
    (redis,) = select(load(), ["redis"])
    made = recipes([redis], "debian", ("sid",), ("curl", "less"))
    client, base, image = made
    assert client == CLIENT_IMAGE
    assert base == base_image("debian", "sid", ("curl", "less")) != base_image("debian", "sid")
    assert "curl less" in made[base]
    assert made[image].startswith(f"FROM {base}\n")
    assert image == image_of(redis, "debian", "sid", ("curl", "less")) != image_of(redis, "debian", "sid")
    assert base_image("debian", "sid", ("curl",)) != base


def test_the_load_client_stays_on_one_release() -> None:
    for releases in (("bookworm",), ("trixie",), ("bookworm", "trixie")):
        assert recipes([], "debian", releases) == recipes([], "debian")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in podman that notes what it is asked and keeps the labels of the images it builds and pulls."""
    program = tmp_path / "podman"
    program.write_text(
        f"""#!{sys.executable}
import json, pathlib, sys
arguments, folder = sys.argv[1:], pathlib.Path({str(tmp_path)!r})
kept = folder / "images.json"
images = json.loads(kept.read_text()) if kept.exists() else {{}}
with (folder / "asked").open("a") as file:
    print(json.dumps(arguments), file=file)
if arguments[:2] == ["image", "ls"]:
    print("1a2b" if arguments[-1] in images or "/base:" in arguments[-1] else "")
elif arguments[0] == "build" and "broken" in " ".join(arguments):
    sys.exit("E: no such package")
elif arguments[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Labels": images[arguments[-1]]}}]))
elif arguments[0] == "build":
    image, label = (arguments[arguments.index(name) + 1] for name in ("--tag", "--label"))
    kept.write_text(json.dumps(images | {{image: dict([label.split("=")])}}))
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "asked"


def _asked(log: Path, what: str) -> list[str]:
    """The images that the engine was asked to build or pull since the last time."""
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()
    return [call[call.index("--tag") + 1] if what == "build" else call[-1] for call in calls if call[0] == what]


def test_what_is_there_is_not_built_again_until_its_recipe_changes(engine: Path) -> None:
    services = select(load(), ["redis", "memcached"])
    provide_images(Runtime("podman"), services, "debian")
    assert _asked(engine, "build") == [CLIENT_IMAGE, f"{OWN}/redis:debian12", f"{OWN}/memcached:debian12"]
    provide_images(Runtime("podman"), services, "debian", releases=("bookworm", "trixie"))
    assert _asked(engine, "build") == [f"{OWN}/redis:debian13", f"{OWN}/memcached:debian13"]
    provide_images(Runtime("podman"), services, "debian", releases=("bookworm", "trixie"))
    assert _asked(engine, "build") == []


def test_an_image_that_cannot_be_made_costs_no_other(engine: Path) -> None:
    redis, memcached = select(load(), ["redis", "memcached"])
    said: list[str] = []
    broken = replace(redis, name="broken")
    failed = provide_images(Runtime("podman"), [broken, memcached], "debian", said.append)
    assert list(failed) == [f"{OWN}/broken:debian12"]
    assert "no such package" in failed[f"{OWN}/broken:debian12"]
    assert any("cannot be had" in line for line in said)
    assert f"{OWN}/memcached:debian12" in _asked(engine, "build")
    with pytest.raises(PodlabError, match="no such package"):
        provide_images(Runtime("podman"), [broken], "debian")


def test_official_images_are_pulled_once_whatever_the_releases(engine: Path) -> None:
    services = select(load(), ["redis", "gunicorn"])
    provide_images(Runtime("podman"), services, "registry", releases=("bookworm", "trixie"))
    assert _asked(engine, "pull") == ["docker.io/library/redis:7.2"]
