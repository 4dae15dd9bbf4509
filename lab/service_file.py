"""Reads one service file of the lab's catalogue, strictly: every mistake is named with its file and key."""

from __future__ import annotations

import math
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.client.protocols import PROTOCOLS
from lab.faults import KINDS as FAULT_KINDS
from lab.knobs import DATA_KNOB, PLACEHOLDER, Choices, Knob, Range
from lab.service import PATTERNS, RELEASES, FaultCommands, Service
from podlab.errors import InputError
from podlab.files import decode_text

_SERVICE_KEYS = {
    "name", "kind", "protocol", "port", "paths", "whole_core_requests_per_s", "memory_needed", "version_command",
    "version_pattern", "data", "profile", "debian", "official", "environment", "files", "knobs", "unknown",
    "relative_of", "patterns", "faults",
}  # fmt: skip
_DEBIAN_KEYS = {"packages", "command", "after_install", "environment", "releases"}
_OFFICIAL_KEYS = {"image", "command", "same_command", "environment"}
_FAULT_KEYS = {"begin", "end"}
_KNOB_KEYS = {"choices", "range", "log", "zero_share"}
_FEWEST_PROFILES = 12
_SIZE = re.compile(r"[1-9]\d*[bkmg]")
_KNOB_NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_service(path: Path) -> Service:
    """Read one service file.

    Raises
    ------
    InputError
        If it is not TOML, a key is unknown, missing or of the wrong type, a placeholder names no knob, a knob is
        used nowhere, or the profile has too few combinations.
    """
    try:
        document = tomllib.loads(decode_text(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(str(error), where=str(path)) from error
    where = path.name
    table = _Table(document, where, _SERVICE_KEYS)
    debian = _Table(table.table("debian", needed=True), f"{where}: debian", _DEBIAN_KEYS)
    official = _Table(table.table("official"), f"{where}: official", _OFFICIAL_KEYS)
    protocol = table.text("protocol")
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown", where=where, hint=f"known are {', '.join(PROTOCOLS)}")
    memory_needed = table.text("memory_needed")
    if not _SIZE.fullmatch(memory_needed):
        raise InputError(f"memory_needed {memory_needed!r} is not a size", where=where, hint="write it such as 96m")
    command = debian.texts("command")
    knobs = {name: _read_knob(name, content, where) for name, content in table.table("knobs", needed=True).items()}
    service = Service(
        name=table.text("name"),
        kind=table.text("kind"),
        protocol=protocol,
        port=int(table.number("port")),
        paths=table.texts("paths", ("/",)),
        whole_core_requests_per_s=table.number("whole_core_requests_per_s"),
        memory_needed=memory_needed,
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
        data=table.text("data", "") or None,
        knobs=knobs,
        profile=_read_profile(table.table("profile", needed=True), knobs, where),
        releases=debian.choices("releases", RELEASES),
        patterns=table.choices("patterns", PATTERNS),
        unknown=table.flag("unknown"),
        relative_of=table.texts("relative_of", ()),
        faults={kind: _read_fault(kind, content, where) for kind, content in table.table("faults").items()},
    )
    _check_placeholders(service, where)
    return service


def _read_fault(kind: str, content: object, where: str) -> FaultCommands:
    if kind not in FAULT_KINDS:
        raise InputError(f"faults: {kind!r} is unknown", where=where, hint=f"known are {', '.join(FAULT_KINDS)}")
    table = _Table(content, f"{where}: faults.{kind}", _FAULT_KEYS)
    return FaultCommands(begin=table.texts("begin"), end=table.texts("end"))


def _read_knob(name: str, content: object, where: str) -> Knob:
    place = f"{where}: knobs.{name}"
    if not _KNOB_NAME.fullmatch(name):
        raise InputError("is not a valid name of a knob", where=place, hint="use small letters, digits and '_'")
    table = _Table(content, place, _KNOB_KEYS)
    if table.has("choices") == table.has("range"):
        raise InputError("needs either 'choices' or 'range'", where=place)
    if table.has("choices"):
        for key in ("log", "zero_share"):
            if table.has(key):
                raise InputError(f"key {key!r} belongs to a range", where=place)
        return Choices(table.labelled_texts("choices"))
    low, high = table.bounds("range")
    knob = Range(low, high, table.flag("log"), table.share("zero_share"))
    if knob.log and low <= 0:
        raise InputError("key 'range' begins at 0, where 'log' means nothing", where=place)
    return knob


def _read_profile(content: Mapping[str, Any], knobs: Mapping[str, Knob], where: str) -> dict[str, tuple[float, ...]]:
    place = f"{where}: profile"
    profile: dict[str, tuple[float, ...]] = {}
    count = 1
    for name, cuts in content.items():
        if name not in knobs:
            raise InputError(f"no knob {name!r}", where=place, hint=f"there are {', '.join(knobs)}")
        if not isinstance(cuts, list) or not all(_is_number(cut) for cut in cuts):
            raise InputError(f"key {name!r} is not a list of numbers", where=place)
        knob = knobs[name]
        if isinstance(knob, Choices):
            if cuts:
                raise InputError(f"key {name!r}: choices cannot be cut", where=place, hint="write []")
        else:
            bounds = [knob.low, *cuts, knob.high]
            if sorted(set(bounds)) != bounds:
                raise InputError(f"key {name!r}: cut points lie inside the range, in order", where=place)
        profile[name] = tuple(float(cut) for cut in cuts)
        count *= len(knob.cells(cuts))
    if count < _FEWEST_PROFILES:
        raise InputError(
            f"has {count} combinations, at least {_FEWEST_PROFILES} are needed",
            where=place,
            hint="add a knob or a cut point",
        )
    return profile


def _check_placeholders(service: Service, where: str) -> None:
    """Refuse a placeholder without a knob, and a knob without a use."""
    used = {DATA_KNOB}
    for key, texts in _places(service):
        for text in texts:
            names = PLACEHOLDER.findall(text)
            for name in names:
                if name not in service.knobs:
                    raise InputError(
                        f"@{{{name}}} names no knob", where=f"{where}: {key}", hint=f"add [knobs.{name}] or remove it"
                    )
            used.update(names)
    for name, knob in service.knobs.items():
        place = f"{where}: knobs.{name}"
        if name not in used:
            raise InputError("is used nowhere", where=place, hint=f"write @{{{name}}} where it belongs")
        if isinstance(knob, Choices):
            for inner in (found for text in knob.texts.values() for found in PLACEHOLDER.findall(text)):
                if isinstance(service.knobs[inner], Choices):
                    raise InputError(
                        f"@{{{inner}}} has choices itself", where=place, hint="name knobs with a range only"
                    )


def _places(service: Service) -> Iterable[tuple[str, Iterable[str]]]:
    """Give every place where a placeholder may stand, with its texts."""
    yield "debian: command", service.debian_command
    yield "debian: environment", service.debian_environment.values()
    yield "official: command", service.official_command
    yield "official: environment", service.official_environment.values()
    yield "environment", service.environment.values()
    yield "files", service.files.values()
    for name, knob in service.knobs.items():
        if isinstance(knob, Choices):
            yield f"knobs.{name}", knob.texts.values()
    for words in (service.debian_command, service.official_command):
        for word in words:
            _check_split(service, word)


def _check_split(service: Service, word: str) -> None:
    """Refuse a text that stands for words of a command but cannot be split into such."""
    alone = PLACEHOLDER.fullmatch(word)
    knob = service.knobs.get(alone[1]) if alone else None
    if isinstance(knob, Choices):
        for label, text in knob.texts.items():
            try:
                shlex.split(text)
            except ValueError as error:
                raise InputError(
                    f"choice {label!r} cannot be split into words: {error}", where=f"{service.name}: {word}"
                ) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class _Table:
    """A TOML table read with errors that name file and key."""

    def __init__(self, content: object, where: str, known: set[str]) -> None:
        if not isinstance(content, dict):
            raise InputError("is not a table", where=where)
        unknown = sorted(set(content) - known)
        if unknown:
            raise InputError(
                f"key {unknown[0]!r} is unknown", where=where, hint=f"known are {', '.join(sorted(known))}"
            )
        self._content: dict[str, Any] = content
        self._where = where

    def has(self, key: str) -> bool:
        return key in self._content

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def number(self, key: str) -> float:
        value = self._get(key, None)
        if not _is_number(value) or value <= 0:
            raise self._wrong(key, "a number above 0")
        return float(value)

    def share(self, key: str) -> float:
        value = self._content.get(key, 0.0)
        if not _is_number(value) or not 0 <= value < 1:
            raise self._wrong(key, "a share from 0 to below 1")
        return float(value)

    def bounds(self, key: str) -> tuple[float, float]:
        value = self._get(key, None)
        if not isinstance(value, list) or not all(_is_number(bound) for bound in value) or len(value) != 2:
            raise self._wrong(key, "two numbers")
        low, high = value
        if not 0 <= low < high:
            raise self._wrong(key, "two numbers from 0 on, the lower first")
        return float(low), float(high)

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

    def labelled_texts(self, key: str) -> dict[str, str]:
        """Read texts by label, or a list of texts that are their own labels; two at least."""
        value = self._get(key, None)
        texts = self.mapping(key) if isinstance(value, dict) else {text: text for text in self.texts(key)}
        if len(texts) < 2:
            raise self._wrong(key, "two different choices or more")
        return texts

    def choices(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """Read some of the known texts, in their order; all by default."""
        values = self.texts(key, known)
        for value in values:
            if value not in known:
                raise InputError(f"{key!r}: {value!r} is unknown", where=self._where, hint=f"known: {', '.join(known)}")
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
