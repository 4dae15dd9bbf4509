"""What the lab knows of one service: how it is installed, started, asked, loaded, and what of it may vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab.knobs import Cell, Knob, combine_cells

#: Debian releases that images can be made from, the default first: 12, 13, 11, and the one in the making.
RELEASES = ("bookworm", "trixie", "bullseye", "sid")
#: What a load client can do to a service; :mod:`lab.matrix` says how much.
PATTERNS = ("idle", "steady", "bursty", "ramp", "heavy")


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
    whole_core_requests_per_s : float
        The rate that keeps about one whole core busy; loads are drawn as a share of it.
    memory_needed : str
        The smallest memory limit with which every draw of the knobs works, as the container engine writes it.
    version_command, version_pattern
        Run in the container; the pattern's first group is the version.
    packages, debian_command, debian_environment, after_install
        How it is installed (a shell line of the image's recipe may follow) and started from Debian packages.
    official_image, official_command, official_environment
        The same for its official image; without an official image, Debian packages are used everywhere.
    environment, files
        For every kind of image.
    data : str, optional
        Path in the container where its data lie: in a volume or in the container's own layer, as it is drawn.
    knobs : dict of str to Knob
        What varies. Placeholders ``@{knob}`` stand in commands, environment variables and files.
    profile : dict of str to tuple of float
        The knobs that matter most, each with the points at which its range is cut.
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
    whole_core_requests_per_s: float
    memory_needed: str
    version_command: tuple[str, ...]
    version_pattern: str
    packages: tuple[str, ...]
    debian_command: tuple[str, ...]
    knobs: Mapping[str, Knob]
    profile: Mapping[str, tuple[float, ...]]
    paths: tuple[str, ...] = ("/",)
    debian_environment: Mapping[str, str] = field(default_factory=dict)
    after_install: str = ""
    official_image: str | None = None
    official_command: tuple[str, ...] = ()
    official_environment: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    data: str | None = None
    releases: tuple[str, ...] = RELEASES
    patterns: tuple[str, ...] = PATTERNS
    unknown: bool = False
    relative_of: tuple[str, ...] = ()
    faults: Mapping[str, FaultCommands] = field(default_factory=dict)

    def releases_among(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Give the wanted Debian releases that have its packages; its first one where none of them does."""
        return tuple(release for release in wanted if release in self.releases) or self.releases[:1]

    def profiles(self) -> list[dict[str, Cell]]:
        """Give all its profiles."""
        return combine_cells(self.knobs, self.profile)
