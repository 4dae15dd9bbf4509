"""The lab's catalogue: one short TOML file per service in ``services/``, and a user's own beside them.

A file states the service's name (the ground truth), how it is installed and started from Debian packages and from
its official image, how its version is asked, which protocol loads it, and its knobs: what each deployment draws anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.service import PATTERNS, RELEASES, FaultCommands, Service
from lab.service_file import read_service
from podlab.errors import InputError

__all__ = [
    "PATTERNS", "RELEASES", "SERVICES_FOLDER", "FaultCommands", "Service", "load", "load_all",
    "read_service", "relatives_of", "select",
]  # fmt: skip

SERVICES_FOLDER = Path(__file__).parent / "services"


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


def load_all(extra: Path | None = None) -> list[Service]:
    """Read podlab's own services and, beside them, those of a user's folder.

    Parameters
    ----------
    extra : Path, optional
        Holds the user's ``*.toml``.

    Raises
    ------
    InputError
        As :func:`load`; or if a file of the user's states the name of one of podlab's.
    """
    services = load()
    if extra is None:
        return services
    own = {service.name for service in services}
    added = load(extra)
    for service in added:
        if service.name in own:
            raise InputError(
                f"states the service {service.name!r}, which podlab has", where=str(extra), hint="choose another name"
            )
    return sorted([*services, *added], key=lambda service: service.name)


def select(services: list[Service], names: Sequence[str] | None) -> list[Service]:
    """Choose the services of those names, or all that are not kept unknown.

    Raises
    ------
    InputError
        If a name is not in the catalogue.
    """
    if not names:
        return [service for service in services if not service.unknown]
    known = {service.name: service for service in services}
    for name in names:
        if name not in known:
            raise InputError(f"no service {name!r} in the catalogue", hint=f"known are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def relatives_of(services: Sequence[Service]) -> dict[str, tuple[str, ...]]:
    """Name the known services that each is like: those its file states, or else the others of its kind."""
    return {
        service.name: service.relative_of
        or tuple(
            other.name
            for other in services
            if other.kind == service.kind and not other.unknown and other.name != service.name
        )
        for service in services
    }
