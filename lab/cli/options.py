"""Options that the lab's commands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer


class Engine(enum.StrEnum):
    """Container engines."""

    PODMAN = "podman"
    DOCKER = "docker"


class Images(enum.StrEnum):
    """Where images come from."""

    DEBIAN = "debian"
    REGISTRY = "registry"


Catalogue = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder of your own service files, used in addition to podlab's.", show_default=False
    ),
]


ServiceNames = Annotated[
    str | None,
    typer.Option(
        "--services",
        metavar="A,B,...",
        help="Services of the catalogue.  [default: all services that are used for training]",
    ),
]
Patterns = Annotated[str | None, typer.Option(metavar="A,B,...", help="Load patterns.  [default: all]")]


def parse_names(text: str | None) -> tuple[str, ...] | None:
    """Read names between commas; None for none."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def service_files(catalogue: Path | None) -> list[Path]:
    """List the files of a catalogue; none for podlab's own."""
    return [] if catalogue is None else sorted(catalogue.glob("*.toml"))
