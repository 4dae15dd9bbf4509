"""Sites: a recording is made at one of them, and they differ as clusters do.

Each is the machine that podlab runs on, made to look like another: how many containers share it, which Debian
release they run on, who else wants its CPU, how fast its disk is.
"""

from __future__ import annotations

from dataclasses import dataclass

from podlab.errors import InputError


@dataclass(frozen=True)
class Site:
    """Where a recording is made.

    Attributes
    ----------
    name : str
        The label ``site``.
    release : str
        Debian release of the images; a service that is not in it takes the first that it is in.
    at_once : int
        How many deployments run at once.
    extra_packages : tuple of str
        Installed in the base image beside what is there.
    neighbour_cores, neighbour_burst_s, neighbour_pause_s : float
        A neighbour takes so much CPU time, for so long, and rests for so long; 0 for none, and for no rest.
    disk_bytes_per_s : int, optional
        What each container can read, and write, from the disk; None for what it gives.
    cpu_factor : float
        What each container's CPU limit (or the whole machine, where it has none) is multiplied with.
    mtu : int, optional
        Largest packet of the network; None for the engine's own.
    """

    name: str
    release: str
    at_once: int
    extra_packages: tuple[str, ...] = ()
    neighbour_cores: float = 0.0
    neighbour_burst_s: float = 0.0
    neighbour_pause_s: float = 0.0
    disk_bytes_per_s: int | None = None
    cpu_factor: float = 1.0
    mtu: int | None = None

    def describe(self) -> str:
        """Say in a sentence what it is like."""
        parts = [f"Debian {self.release}, {self.at_once} at once"]
        if self.neighbour_cores:
            rhythm = (
                f" for {self.neighbour_burst_s:g} s of every {self.neighbour_burst_s + self.neighbour_pause_s:g} s"
                if self.neighbour_pause_s
                else ""
            )
            parts.append(f"a neighbour taking {self.neighbour_cores:g} cores{rhythm}")
        if self.disk_bytes_per_s is not None:
            parts.append(f"each container's disk at {self.disk_bytes_per_s / 1e6:g} MB/s")
        if self.cpu_factor != 1.0:
            parts.append(f"CPU limits multiplied with {self.cpu_factor:g}")
        if self.mtu is not None:
            parts.append(f"an MTU of {self.mtu}")
        if self.extra_packages:
            parts.append(f"a base image with {', '.join(self.extra_packages)} as well")
        return "; ".join(parts)


_SITES = (
    Site("alpha", "bookworm", at_once=16),
    Site("bravo", "trixie", at_once=24, neighbour_cores=0.5, disk_bytes_per_s=40_000_000),
    Site("charlie", "bullseye", at_once=8, cpu_factor=0.6, mtu=1400),
    Site(
        "delta", "sid", at_once=20, neighbour_cores=1.0, neighbour_burst_s=20.0, neighbour_pause_s=60.0,
        extra_packages=("busybox", "ca-certificates", "curl", "less", "procps", "strace", "vim-tiny"),
    ),
)  # fmt: skip
#: All sites by name, the default first.
SITES: dict[str, Site] = {site.name: site for site in _SITES}
DEFAULT_SITE = _SITES[0].name


def find_site(name: str) -> Site:
    """Find a site.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in SITES:
        raise InputError(f"site {name!r} is unknown", hint=f"known are {', '.join(SITES)}")
    return SITES[name]
