"""The load client: waits until a service answers, then sends requests at a drawn rate until it is stopped.

It runs inside the lab's client container with nothing but Debian's Python and client libraries, so it imports
nothing of podlab. Its one argument is the JSON text that :func:`podlab.lab.deploy.client_specification` writes.
Every five seconds it prints one JSON line with what it did so far.
"""

from __future__ import annotations

import json
import math
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from . import protocols
from .session import Session, touch

_REPORT_PERIOD_S = 5.0
_RETRY_S = 0.5
#: A sender this late starts afresh instead of sending a burst of everything it missed.
_MAX_LAG_S = 1.0


@dataclass
class Counts:
    """What all senders together did so far."""

    ready_after_s: float | None = None
    requests: int = 0
    errors: int = 0
    last_error: str = ""


def rate_at(spec: dict[str, Any], second: float) -> float:
    """Say how many requests per second are wanted at an instant after the load's begin.

    Bursts last ``burst_share`` of every ``burst_period_s``; between them a twentieth of the rate remains. A ramp
    rises from nothing for half of ``ramp_period_s`` and falls again for the other half.
    """
    if spec["pattern"] == "idle":
        return 0.0
    if spec["pattern"] == "bursty":
        in_burst = math.fmod(second, spec["burst_period_s"]) < spec["burst_share"] * spec["burst_period_s"]
        return float(spec["rate_per_s"]) * (1.0 if in_burst else 0.05)
    if spec["pattern"] == "ramp":
        turn: float = math.fmod(second, spec["ramp_period_s"]) / spec["ramp_period_s"]
        return float(spec["rate_per_s"]) * (1.0 - abs(2.0 * turn - 1.0))
    return float(spec["rate_per_s"])


def wait_until_ready(spec: dict[str, Any], counts: Counts) -> None:
    """Try one request after another until the service has answered one."""
    begin_s = time.monotonic()
    while True:
        try:
            session = protocols.open_session(spec)
            session.prepare()
            session.close()
            break
        except Exception as error:  # noqa: BLE001 - a service that starts may refuse in any way at all
            counts.last_error = repr(error)[:200]
            time.sleep(_RETRY_S)
    counts.ready_after_s = round(time.monotonic() - begin_s, 2)


def send(spec: dict[str, Any], number: int, counts: Counts) -> None:
    """One connection's life: send at its share of the rate, open a new connection after an error.

    Gaps are exponential: requests of independent users, not of a metronome. They are drawn for the highest rate, and
    a request is left out with the chance that the rate of its instant asks for (thinning of a Poisson process).
    """
    peak_per_s = spec["rate_per_s"] / spec["connections"]
    if peak_per_s <= 0.0:
        return
    draw = random.Random(spec["seed"] * 1000 + number)
    begin_s = time.monotonic()
    due_s = begin_s
    session: Session | None = None
    while True:
        now_s = time.monotonic()
        due_s = max(due_s + draw.expovariate(peak_per_s), now_s - _MAX_LAG_S)
        if draw.random() * spec["rate_per_s"] > rate_at(spec, due_s - begin_s):
            continue
        time.sleep(max(0.0, due_s - now_s))
        try:
            if session is None:
                session = protocols.open_session(spec)
            session.request(draw)
            counts.requests += 1
        except Exception as error:  # noqa: BLE001 - counted and shown; the load goes on
            counts.errors += 1
            counts.last_error = repr(error)[:200]
            session = None
            time.sleep(_RETRY_S)


def probe(spec: dict[str, Any]) -> None:
    """Open and close a connection now and then, as a readiness probe does, whatever the load pattern."""
    while protocols.PROTOCOLS[spec["protocol"]].listens:
        time.sleep(spec["probe_period_s"])
        touch(spec)


def main(spec: dict[str, Any]) -> None:
    """Wait for the service, then load it until the container is stopped."""
    counts = Counts()
    threading.Thread(target=report, args=(counts,), daemon=True).start()
    wait_until_ready(spec, counts)
    threading.Thread(target=probe, args=(spec,), daemon=True).start()
    time.sleep(spec["start_delay_s"])
    for number in range(spec["connections"]):
        threading.Thread(target=send, args=(spec, number, counts), daemon=True).start()
    threading.Event().wait()


def report(counts: Counts) -> None:
    """Print the counts, one JSON line each time."""
    while True:
        time.sleep(_REPORT_PERIOD_S)
        print(json.dumps(vars(counts)), flush=True)  # noqa: T201 - standard output is the report


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
