"""The lab's catalogue: one short TOML file per service in ``services/``, read strictly.

A file states the service's name (the ground truth), how it is installed and started from Debian packages and from
its official image, how its version is asked, which protocol loads it, and its configurations.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podlab.errors import InputError
from podlab.lab.client.protocols import PROTOCOLS

SERVICES_FOLDER = Path(__file__).parent / "services"

_SERVICE_KEYS = {
    "name", "kind", "protocol", "port", "paths", "heavy_requests_per_s", "version_command", "version_pattern",
    "debian", "official", "environment", "files", "configurations",
}  # fmt: skip
_DEBIAN_KEYS = {"packages", "command", "after_install", "environment"}
_OFFICIAL_KEYS = {"image", "command", "same_command", "environment"}
_CONFIGURATION_KEYS = {"arguments", "environment", "files", "memory_limit", "volume"}


@dataclass(frozen=True)
class Configuration:
    """One way to run a service; what it leaves empty is as the service says.

    Attributes
    ----------
    name : str
        Unique within the service.
    memory_limit : str
        As the container engine writes it, such as ``256m``.
    arguments : tuple of str
        Added to the start command.
    environment, files : dict
        Environment variables, and file contents by path in the container; they win over the service's own.
    volume : str, optional
        Path in the container of a data volume; without it the data lie in the container's own layer.
    """

    name: str
    memory_limit: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    volume: str | None = None


@dataclass(frozen=True)
class Service:
    """One service of the catalogue.

    Attributes
    ----------
    name : str
        The ground truth that becomes the label ``service``.
    kind : str
        What sort of service it is, for people.
    protocol, port, paths
        What the load client speaks, where, and for HTTP which pages it asks for.
    heavy_requests_per_s : float
        The rate that keeps the service clearly busy; load patterns draw their share of it.
    version_command, version_pattern
        Run in the container; the pattern's first group is the version.
    packages, debian_command, debian_environment, after_install
        How it is installed (a shell line of the image's recipe may follow) and started from Debian packages.
    official_image, official_command, official_environment
        The same for its official image; without an official image, Debian packages are used everywhere.
    environment, files
        For every configuration and kind of image.
    configurations : tuple of Configuration
        At least two.
    """

    name: str
    kind: str
    protocol: str
    port: int
    heavy_requests_per_s: float
    version_command: tuple[str, ...]
    version_pattern: str
    packages: tuple[str, ...]
    debian_command: tuple[str, ...]
    configurations: tuple[Configuration, ...]
    paths: tuple[str, ...] = ("/",)
    debian_environment: Mapping[str, str] = field(default_factory=dict)
    after_install: str = ""
    official_image: str | None = None
    official_command: tuple[str, ...] = ()
    official_environment: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def configuration(self, name: str) -> Configuration:
        """Find the configuration of that name.

        Raises
        ------
        InputError
            If there is none.
        """
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        raise InputError(f"no configuration {name!r}", where=self.name, todo="see podlab lab list")


def load(folder: Path = SERVICES_FOLDER) -> list[Service]:
    """Read every service of a folder, ordered by name.

    Parameters
    ----------
    folder : Path
        Holds one ``*.toml`` per service; podlab's own catalogue by default.

    Raises
    ------
    InputError
        If the folder has no such file, a file is not as it must be (the error names file and key), or two files
        state one name.
    """
    services = [read_service(path) for path in sorted(folder.glob("*.toml"))]
    if not services:
        raise InputError("no service files (*.toml)", where=str(folder))
    names = [service.name for service in services]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two files state the service {name!r}", where=str(folder))
    return sorted(services, key=lambda service: service.name)


def select(services: list[Service], names: Sequence[str] | None) -> list[Service]:
    """Choose the services of those names, or all.

    Raises
    ------
    InputError
        If a name is not in the catalogue.
    """
    if not names:
        return services
    known = {service.name: service for service in services}
    for name in names:
        if name not in known:
            raise InputError(f"no service {name!r} in the catalogue", todo=f"known are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def read_service(path: Path) -> Service:
    """Read one service file.

    Raises
    ------
    InputError
        If it is not TOML, a key is unknown, missing or of the wrong type, or it has fewer than two configurations.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(str(error), where=str(path)) from error
    table = _Table(document, path.name, _SERVICE_KEYS)
    debian = _Table(table.table("debian", needed=True), f"{path.name}: debian", _DEBIAN_KEYS)
    official = _Table(table.table("official"), f"{path.name}: official", _OFFICIAL_KEYS)
    protocol = table.text("protocol")
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown", where=path.name, todo=f"known are {', '.join(PROTOCOLS)}")
    configurations = tuple(
        _read_configuration(name, content, path.name) for name, content in table.table("configurations").items()
    )
    if len(configurations) < 2:
        raise InputError("fewer than two configurations", where=path.name, todo="add [configurations.NAME]")
    command = debian.texts("command")
    return Service(
        name=table.text("name"),
        kind=table.text("kind"),
        protocol=protocol,
        port=int(table.number("port")),
        paths=table.texts("paths", ("/",)),
        heavy_requests_per_s=table.number("heavy_requests_per_s"),
        version_command=table.texts("version_command"),
        version_pattern=table.text("version_pattern"),
        packages=debian.texts("packages"),
        debian_command=command,
        debian_environment=debian.mapping("environment"),
        after_install=debian.text("after_install", ""),
        official_image=official.text("image", "") or None,
        official_command=command if official.flag("same_command") else official.texts("command", ()),
        official_environment=official.mapping("environment"),
        environment=table.mapping("environment"),
        files=table.mapping("files"),
        configurations=configurations,
    )


def _read_configuration(name: str, content: object, where: str) -> Configuration:
    table = _Table(content, f"{where}: configurations.{name}", _CONFIGURATION_KEYS)
    return Configuration(
        name=name,
        memory_limit=table.text("memory_limit"),
        arguments=table.texts("arguments", ()),
        environment=table.mapping("environment"),
        files=table.mapping("files"),
        volume=table.text("volume", "") or None,
    )


class _Table:
    """A TOML table read with errors that name file and key."""

    def __init__(self, content: object, where: str, known: set[str]) -> None:
        if not isinstance(content, dict):
            raise InputError("is not a table", where=where)
        unknown = sorted(set(content) - known)
        if unknown:
            raise InputError(
                f"key {unknown[0]!r} is unknown", where=where, todo=f"known are {', '.join(sorted(known))}"
            )
        self._content: dict[str, Any] = content
        self._where = where

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def number(self, key: str) -> float:
        value = self._get(key, None)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise self._wrong(key, "a number above 0")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        value = self.table(key)
        if not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, "a table of texts")
        return dict(value)

    def table(self, key: str, *, needed: bool = False) -> dict[str, Any]:
        value = self._get(key, None if needed else {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a table")
        return value

    def _get(self, key: str, default: object) -> Any:
        if key not in self._content and default is None:
            raise InputError(f"key {key!r} is missing", where=self._where)
        return self._content.get(key, default)

    def _wrong(self, key: str, wanted: str) -> InputError:
        return InputError(f"key {key!r} is not {wanted}", where=self._where)
