"""What the lab knows of one service: how it is installed, started, asked, loaded and configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from podlab.errors import InputError

#: Debian releases that images can be made from, the first by default: 12 and 13.
RELEASES = ("bookworm", "trixie")
#: What a load client can do to a service; :mod:`podlab.lab.matrix` says how much.
PATTERNS = ("idle", "steady", "bursty", "ramp", "heavy")


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
class FaultCommands:
    """How one kind of fault is begun and ended in a service, where that depends on the service.

    Attributes
    ----------
    begin, end : tuple of str
        Commands run in the service's container.
    """

    begin: tuple[str, ...]
    end: tuple[str, ...]


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
    releases : tuple of str
        Those of :data:`RELEASES` that have its packages.
    patterns : tuple of str
        Those of :data:`PATTERNS` that mean something to it; all but for programs that nobody asks anything.
    unknown : bool
        Kept out of training, to see whether an identifier says that it does not know it.
    relative_of : tuple of str
        Known services that an unknown one resembles by its task or its code.
    faults : dict of str to FaultCommands
        By kind of fault.
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
    releases: tuple[str, ...] = RELEASES
    patterns: tuple[str, ...] = PATTERNS
    unknown: bool = False
    relative_of: tuple[str, ...] = ()
    faults: Mapping[str, FaultCommands] = field(default_factory=dict)

    def releases_among(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Give the wanted Debian releases that have its packages; all it has where none of them does."""
        return tuple(release for release in self.releases if release in wanted) or self.releases

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
