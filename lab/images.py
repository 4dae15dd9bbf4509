"""The lab's images: made from Debian packages where no registry can be reached, or pulled where one can."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from lab.runtime import Runtime
from lab.service import RELEASES, Service
from podlab.errors import InputError, PodlabError

#: Where images come from.
ImageSource = Literal["debian", "registry"]
#: Of every image that is made here.
PREFIX = "localhost/podlab-lab"
_TAGS = {"bookworm": "debian12", "trixie": "debian13", "bullseye": "debian11", "sid": "sid"}
_REGISTRY_BASES = {
    "bookworm": "docker.io/library/debian:12-slim",
    "trixie": "docker.io/library/debian:13-slim",
    "bullseye": "docker.io/library/debian:11-slim",
    "sid": "docker.io/library/debian:sid-slim",
}
_RECIPE_LABEL = "podlab.recipe"
_BUILD_TIMEOUT_S = 900.0

#: The load client runs on one release, whatever its service runs on.
_CLIENT_RELEASE = RELEASES[0]
CLIENT_IMAGE = f"{PREFIX}/client:{_TAGS[_CLIENT_RELEASE]}"
_CLIENT_PACKAGES = (
    "python3", "python3-pymysql", "python3-pg8000", "python3-redis", "python3-pymemcache", "python3-pika",
    "python3-paho-mqtt", "python3-kazoo", "python3-ldap3",
)  # fmt: skip


def check_source(images: str) -> ImageSource:
    """Read the name of an image source.

    Raises
    ------
    InputError
        If there is no such source.
    """
    if images == "debian":
        return "debian"
    if images == "registry":
        return "registry"
    raise InputError(f"image source {images!r} is unknown", hint="known are debian and registry")


def uses_official_image(service: Service, source: ImageSource) -> bool:
    """Tell whether a service runs from its official image: only by registry, and only if it has one."""
    return source == "registry" and service.official_image is not None


def image_of(
    service: Service, source: ImageSource, release: str = RELEASES[0], extra_packages: Sequence[str] = ()
) -> str:
    """Name the image a service's containers run; an official image is the same for every Debian release."""
    if uses_official_image(service, source):
        assert service.official_image is not None
        return service.official_image
    return f"{PREFIX}/{service.name}:{_tag(release, extra_packages)}"


def base_image(source: ImageSource, release: str = RELEASES[0], extra_packages: Sequence[str] = ()) -> str:
    """Name the image that images from Debian packages start from."""
    if extra_packages or source == "debian":
        return f"{PREFIX}/base:{_tag(release, extra_packages)}"
    return _REGISTRY_BASES[release]


def _tag(release: str, extra_packages: Sequence[str]) -> str:
    if not extra_packages:
        return _TAGS[release]
    return f"{_TAGS[release]}-{hashlib.sha256(' '.join(extra_packages).encode()).hexdigest()[:6]}"


def provide_images(
    runtime: Runtime,
    services: list[Service],
    source: ImageSource,
    say: Callable[[str], None] = lambda _: None,
    releases: Sequence[str] = RELEASES[:1],
    extra_packages: Sequence[str] = (),
) -> dict[str, str]:
    """Make or pull every image that is not there yet, the load client's among them.

    Parameters
    ----------
    runtime : Runtime
        The engine.
    services : list of Service
        Whose images are needed.
    source : {"debian", "registry"}
        ``debian`` needs debootstrap and a Debian mirror once; ``registry`` pulls official images.
    say : callable
        Told what is going on, one line each.
    releases : sequence of str
        Debian releases to make images from.
    extra_packages : sequence of str
        Installed in every base image of a service beside what is there.

    Returns
    -------
    dict of str to str
        Services' images that could not be had, and why.

    Raises
    ------
    PodlabError
        If a base image or the load client's cannot be had, or no service's.
    """
    if source == "debian":
        made = [release for service in services for release in service.releases_among(releases)]
        for release in dict.fromkeys([_CLIENT_RELEASE, *made]):
            _provide_base(runtime, release, base_image(source, release), say)
    failed: dict[str, str] = {}
    wanted = {
        image_of(service, source, release, extra_packages)
        for service in services
        for release in service.releases_among(releases)
    }
    for image, text in recipes(services, source, releases, extra_packages).items():
        try:
            _build(runtime, image, text, say)
        except InputError:
            raise
        except PodlabError as error:
            if image not in wanted:
                raise
            failed[image] = str(error)
    for service in services:
        if uses_official_image(service, source):
            image = image_of(service, source)
            say(f"pulling {image}")
            try:
                runtime.call(["pull", image], timeout_s=_BUILD_TIMEOUT_S)
            except InputError:
                raise
            except PodlabError as error:
                failed[image] = str(error)
    for image, reason in failed.items():
        say(f"{image} cannot be had: {reason}")
    if wanted and wanted <= set(failed):
        raise PodlabError(next(iter(failed.values())), where=next(iter(failed)))
    return failed


def recipes(
    services: Sequence[Service],
    source: ImageSource,
    releases: Sequence[str] = RELEASES[:1],
    extra_packages: Sequence[str] = (),
) -> dict[str, str]:
    """Write the container files of all images that are made from Debian packages, the load client's first.

    Returns
    -------
    dict of str to str
        Image -> container file; each comes after the one it starts from.
    """
    texts = {CLIENT_IMAGE: recipe(base_image(source, _CLIENT_RELEASE), _CLIENT_PACKAGES)}
    for service in services:
        if not uses_official_image(service, source):
            for release in service.releases_among(releases):
                base = base_image(source, release, extra_packages)
                if extra_packages:
                    texts[base] = recipe(base_image(source, release), tuple(extra_packages))
                image = image_of(service, source, release, extra_packages)
                texts[image] = recipe(base, service.packages, service.after_install)
    return texts


def recipe(base: str, packages: tuple[str, ...], after_install: str = "") -> str:
    """Write the container file of an image made from Debian packages."""
    steps = [
        "apt-get update",
        f"apt-get install -y --no-install-recommends {' '.join(packages)}",
        "apt-get clean",
        "rm -rf /var/lib/apt/lists/*",
    ]
    lines = [f"FROM {base}", f"RUN {' && '.join(steps)}"]
    if after_install:
        lines.append(f"RUN {after_install}")
    return "\n".join(lines) + "\n"


def build_arguments(engine: str, image: str, folder: Path, digest: str) -> list[str]:
    """Write the argument list that builds an image from the container file in ``folder``."""
    arguments = ["build", "--network", "host", "--tag", image, "--label", f"{_RECIPE_LABEL}={digest}"]
    if engine == "podman":
        # chroot needs no control group of its own, which build containers do not get everywhere.
        arguments += ["--isolation", "chroot", "--layers"]
    return [*arguments, "--file", str(folder / "Containerfile"), str(folder)]


def _build(runtime: Runtime, image: str, text: str, say: Callable[[str], None]) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    if runtime.image_label(image, _RECIPE_LABEL) == digest:
        return
    say(f"building {image}")
    with tempfile.TemporaryDirectory(prefix="podlab-") as folder:
        (Path(folder) / "Containerfile").write_text(text)
        arguments = build_arguments(runtime.engine, image, Path(folder), digest)
        runtime.call(arguments, timeout_s=_BUILD_TIMEOUT_S)


def _provide_base(runtime: Runtime, release: str, image: str, say: Callable[[str], None]) -> None:
    """Bootstrap Debian into a folder and import it as an image."""
    if runtime.has_image(image):
        return
    say(f"bootstrapping Debian {release} as {image}")
    with tempfile.TemporaryDirectory(prefix="podlab-", ignore_cleanup_errors=True) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "base.tar"
        _run(["debootstrap", "--variant=minbase", release, str(root)])
        # Packages would otherwise start their services while they are installed.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        # The package lists of sid are valid for a week; a mirror may lag behind for longer.
        settings = root / "etc/apt/apt.conf.d"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "90podlab").write_text('Acquire::Check-Valid-Until "false";\n')
        _run(
            [
                "tar",
                "--create",
                "--directory",
                str(root),
                "--exclude=./var/cache/apt/archives/*.deb",
                "--file",
                str(archive),
                ".",
            ]
        )
        runtime.call(["import", str(archive), image], timeout_s=_BUILD_TIMEOUT_S)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_BUILD_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not installed", hint=f"install the package {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise PodlabError(f"took longer than {_BUILD_TIMEOUT_S:g} s", where=command[0]) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
        raise PodlabError(lines[-1][:500], where=command[0])
