"""What a fault is caused in, and what all kinds of fault share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.matrix import Deployment
from lab.runtime import Runtime
from lab.service import Service
from podlab.errors import PodlabError

#: The Perl program that acts inside containers; it says there how it is called.
WORKER = (Path(__file__).parent / "worker.pl").read_text()
_STOP_ATTEMPTS = 3


@dataclass(frozen=True)
class FaultTarget:
    """What a fault is caused in.

    Attributes
    ----------
    runtime : Runtime
        The container engine.
    container, client : str
        The service's container and its load client's.
    pid : int
        The service's first process on the host, of the instance that runs now.
    service : Service
        What runs there.
    deployment : Deployment
        Its configuration, limits and draws.
    network, host : str
        The lab's network and the service's address on it.
    """

    runtime: Runtime
    container: str
    client: str
    pid: int
    service: Service
    deployment: Deployment
    network: str
    host: str


def marker(kind: str) -> str:
    """Name what a fault starts, for its command line."""
    return f"podlab-fault-{kind}"


def runs(runtime: Runtime, container: str) -> bool:
    """Tell whether a container is there and runs."""
    try:
        return runtime.facts(container).pid > 0
    except PodlabError:
        return False


def between(mild: float, strong: float, strength: float) -> float:
    """Choose by strength, in equal proportions: from mild at 0 to strong at 1."""
    return mild * float((strong / mild) ** strength)


def stop(kind: str, runtime: Runtime, container: str, *files: str) -> None:
    """Stop what a fault started in a container; nothing is left of it where the container has ended."""
    command = ["exec", container, "perl", "-e", WORKER, "stop", marker(kind), *files]
    for attempts_left in reversed(range(_STOP_ATTEMPTS)):
        try:
            runtime.call(command)
        except PodlabError:
            if not runs(runtime, container):
                return
            # Where memory has run out, the kernel may kill what came to stop it.
            if not attempts_left:
                raise
        else:
            return
