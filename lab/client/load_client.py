"""The load client: waits until a service answers, then sends requests at a drawn rate until it is stopped.

It runs inside the lab's client container with nothing but Debian's Python and client libraries, so it imports
nothing of podlab. Its one argument is the JSON text that :func:`lab.specifications.client_specification`
writes. Every five seconds it prints one JSON line with what it did so far, and what its users felt since the last one.
"""

from __future__ import annotations

import http.client
import json
import math
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from . import protocols
from .session import TIMEOUT_S, Session, touch

_REPORT_PERIOD_S = 5.0
_RETRY_S = 0.5
#: A sender this late starts afresh instead of sending a burst of everything it missed.
_MAX_LAG_S = 1.0


@dataclass
class Counts:
    """What all senders together did so far.

    Attributes
    ----------
    ready_after_s : float, optional
        From the client's start to the service's readiness.
    requests, errors, last_error
        Since the client's start.
    latencies_ms : list of float
        Of the requests answered since the last report.
    asked_s : dict of int to float
        When each sender that waits for an answer has asked, by the monotonic clock.
    """

    ready_after_s: float | None = None
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    latencies_ms: list[float] = field(default_factory=list)
    asked_s: dict[int, float] = field(default_factory=dict)


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
    preparing = spec if spec["loads_data"] else {**spec, "data_mb": 0}
    while True:
        # Whoever asks for readiness has a rhythm of their own, and does not begin with the container.
        time.sleep(spec["ready_poll_s"] * random.random())
        try:
            session = protocols.open_session(preparing)
            session.prepare()
            session.close()
            break
        except Exception as error:  # noqa: BLE001 - a service that starts may refuse in any way at all
            counts.last_error = repr(error)[:200]
            time.sleep(spec["ready_poll_s"] / 2)
    counts.ready_after_s = round(time.monotonic() - begin_s, 2)


def send(spec: dict[str, Any], number: int, counts: Counts) -> None:
    """One connection's life: send at its share of the rate, open a new connection after an error.

    Gaps are exponential: requests of independent users, not of a metronome. They are drawn for the highest rate, and
    a request is left out with the chance that the rate of its instant asks for (thinning of a Poisson process). In a
    closed loop a gap begins with the answer to the request before.
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
        asked_s = counts.asked_s[number] = time.monotonic()
        try:
            if session is None:
                session = protocols.open_session(spec)
            session.request(draw)
            counts.requests += 1
            counts.latencies_ms.append((time.monotonic() - asked_s) * 1000)
        except Exception as error:  # noqa: BLE001 - counted and shown; the load goes on
            counts.errors += 1
            counts.last_error = repr(error)[:200]
            session = None
            time.sleep(_RETRY_S)
        del counts.asked_s[number]
        if spec["closed_loop"]:
            due_s = time.monotonic()


def probe(spec: dict[str, Any]) -> None:
    """Ask the service now and then whether it is there, as probes do, from the container's start on."""
    time.sleep(spec["probe_period_s"] * random.Random(spec["seed"]).random())
    while True:
        if spec["probe_by"] == "http":
            _get(spec)
        else:
            touch(spec)
        time.sleep(spec["probe_period_s"])


def _get(spec: dict[str, Any]) -> None:
    """Ask for a page over a connection of its own; a refusal is no fault of the prober."""
    connection = http.client.HTTPConnection(spec["host"], spec["port"], timeout=TIMEOUT_S)
    try:
        connection.request("GET", probed_path(spec["paths"]))
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


def probed_path(paths: list[str]) -> str:
    """Choose the page that probes ask for: the first plain one."""
    return next((path for path in paths if path.startswith("/") and "{" not in path), "/")


def main(spec: dict[str, Any]) -> None:
    """Wait for the service, then load it until the container is stopped."""
    counts = Counts()
    if spec["only_prepare"]:
        wait_until_ready(spec, counts)
        return
    threading.Thread(target=report, args=(counts,), daemon=True).start()
    if spec["probe_by"] in ("tcp", "http"):
        threading.Thread(target=probe, args=(spec,), daemon=True).start()
    senders = [
        threading.Thread(target=send, args=(spec, number, counts), daemon=True) for number in range(spec["connections"])
    ]
    if spec["load_begins"] != "before":
        wait_until_ready(spec, counts)
        time.sleep(spec["start_delay_s"])
    for sender in senders:
        sender.start()
    if spec["load_begins"] == "before":
        wait_until_ready(spec, counts)
    threading.Event().wait()


def report(counts: Counts) -> None:
    """Print the counts, one JSON line each time."""
    requests = errors = 0
    while True:
        time.sleep(_REPORT_PERIOD_S)
        line = take_report(counts, requests, errors, time.monotonic(), time.time())
        requests, errors = line["requests"], line["errors"]
        print(json.dumps(line), flush=True)  # noqa: T201 - standard output is the report


def take_report(counts: Counts, requests: int, errors: int, now_s: float, clock_s: float) -> dict[str, Any]:
    """Tell what was done in all, and what users felt since the last report; its latencies are forgotten.

    Parameters
    ----------
    counts : Counts
        What was done so far.
    requests, errors : int
        As the last report told them.
    now_s, clock_s : float
        Now, by the monotonic clock and in seconds since 1970.
    """
    latencies_ms, counts.latencies_ms = sorted(counts.latencies_ms), []
    waiting_s = [now_s - asked_s for asked_s in list(counts.asked_s.values())]
    return {
        "ready_after_s": counts.ready_after_s,
        "requests": counts.requests,
        "errors": counts.errors,
        "last_error": counts.last_error,
        "period": {
            "end": round(clock_s, 1),
            "requests": counts.requests - requests,
            "errors": counts.errors - errors,
            "median_ms": _quantile(latencies_ms, 0.5),
            "p95_ms": _quantile(latencies_ms, 0.95),
            "waiting_ms": round(1000 * max(waiting_s, default=0.0), 1),
        },
    }


def _quantile(ordered: list[float], share: float) -> float | None:
    """Give the value below which this share of the values lies; None without values."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
