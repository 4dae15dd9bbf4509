"""What a setting's value may be, and how it is read from text: durations, lists, addresses, files."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode

from podlab.data.units import format_duration, parse_duration_s
from podlab.errors import InputError
from podlab.plugins import SINKS

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_POD = re.compile(r"(?P<namespace>[^/]+)/(?P<name>[a-z0-9][a-z0-9.-]{0,252})/(?P<uid>[A-Za-z0-9-]{1,64})")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _read_duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=parse_duration_s(str(value)))
    except InputError as error:
        raise ValueError(str(error)) from error


def _read_names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_namespaces(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name of a namespace; write whole names with commas between them")
    return value


def _read_pod(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value or None
    found = _POD.fullmatch(value)
    if found is None or not _NAMESPACE.fullmatch(found["namespace"]):
        raise ValueError(f"{value!r} is not a pod; write namespace/name/uid")
    return PodName(**found.groupdict())


def _read_labels(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    for label, equals, _ in pairs:
        if not equals or not _LABEL_NAME.fullmatch(label.strip()):
            raise ValueError(f"{label.strip()!r} is not a label and its value, such as cluster=east")
    return tuple((label.strip(), text.strip()) for label, _, text in pairs)


def _check_url(value: str) -> str:
    value = value.strip()
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("holds a user or password; give them by settings of their own")
    try:
        sound = parts.port != 0 and bool(parts.hostname.encode("idna")) and value.isprintable()
    except ValueError:  # of the port, which is read only here, or of the name
        sound = False
    if not sound:
        raise ValueError("has a port or a host's name that is none")
    return value.rstrip("/")


def _read_nothing(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value


def _check_header_text(value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ValueError("holds a character that cannot be sent, such as a line end or a letter beyond ASCII")
    return value


def _check_sinks(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(SINKS.check(name) for name in names)


class PodName(NamedTuple):
    """Which pod: a pod made anew under the same name has another uid."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return "/".join(self)


#: The watcher's own pod; outside a cluster it has none.
OwnPod = Annotated[PodName | None, NoDecode, BeforeValidator(_read_pod), PlainSerializer(str, return_type=str)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(lambda value: format_duration(value.total_seconds()), return_type=str),
]
#: Pairs of a label and its value.
Labels = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_read_labels)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_names)]
#: An API server finds nothing in a namespace that cannot be, and says nothing either.
Namespaces = Annotated[Names, AfterValidator(_check_namespaces)]
Sinks = Annotated[Names, AfterValidator(_check_sinks)]
Url = Annotated[str, AfterValidator(_check_url)]
#: An environment has no way to say "none" but an empty text.
Text = Annotated[str | None, BeforeValidator(_read_nothing)]
#: What is sent in a header as it is.
HeaderText = Annotated[Text, AfterValidator(_check_header_text)]
File = Annotated[Path | None, BeforeValidator(_read_nothing)]
