"""Reads one service file of the lab's catalogue, strictly: every mistake is named with its file and key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from podlab.errors import InputError
from podlab.files import decode_text
from podlab.lab.client.protocols import PROTOCOLS
from podlab.lab.faults import KINDS as FAULT_KINDS
from podlab.lab.service import PATTERNS, RELEASES, Configuration, FaultCommands, Service

_SERVICE_KEYS = {
    "name", "kind", "protocol", "port", "paths", "heavy_requests_per_s", "version_command", "version_pattern",
    "debian", "official", "environment", "files", "configurations", "unknown", "relative_of", "patterns", "faults",
}  # fmt: skip
_DEBIAN_KEYS = {"packages", "command", "after_install", "environment", "releases"}
_OFFICIAL_KEYS = {"image", "command", "same_command", "environment"}
_FAULT_KEYS = {"begin", "end"}
_CONFIGURATION_KEYS = {"arguments", "environment", "files", "memory_limit", "volume"}


def read_service(path: Path) -> Service:
    """Read one service file.

    Raises
    ------
    InputError
        If it is not TOML, a key is unknown, missing or of the wrong type, or it has fewer than two configurations.
    """
    try:
        document = tomllib.loads(decode_text(path.read_bytes()))
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
        releases=debian.choices("releases", RELEASES),
        patterns=table.choices("patterns", PATTERNS),
        unknown=table.flag("unknown"),
        relative_of=table.texts("relative_of", ()),
        faults={kind: _read_fault(kind, content, path.name) for kind, content in table.table("faults").items()},
    )


def _read_fault(kind: str, content: object, where: str) -> FaultCommands:
    if kind not in FAULT_KINDS:
        raise InputError(f"faults: {kind!r} is unknown", where=where, todo=f"known are {', '.join(FAULT_KINDS)}")
    table = _Table(content, f"{where}: faults.{kind}", _FAULT_KEYS)
    return FaultCommands(begin=table.texts("begin"), end=table.texts("end"))


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

    def choices(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """Read some of the known texts, in their order; all by default."""
        values = self.texts(key, known)
        for value in values:
            if value not in known:
                raise InputError(f"{key!r}: {value!r} is unknown", where=self._where, todo=f"known: {', '.join(known)}")
        return tuple(value for value in known if value in values)

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
