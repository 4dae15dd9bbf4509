"""Causes what befalls a service from outside: slow, bad or many requests, held connections, a greedy neighbour.

It runs in a container of the load client's image. Its arguments are a marker, by which it is found and stopped, and
the JSON text that :mod:`lab.faults` writes. The program returns when the fault acts; a child of it goes on
until it gets SIGTERM, or the fault is long over.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from . import protocols
from .load_client import rate_at
from .session import Session
from .web import Http

#: A client that nobody stops ends by itself so long after its time.
_GRACE_S = 60.0
#: How long a fault may take to act.
_BEGIN_S = 20.0
_RETRY_S = 0.2
#: Connections that a fault holds; a process for each of more than these would use up the memory limit.
_FEWEST_HELD, _MOST_HELD_ELSEWHERE = 60, 900
_MOST_HELD = {"postgres": 250}
#: Connections are opened in so many at a time; fewer once the service has begun to close them.
_OPENED_AT_ONCE, _OPENED_AGAIN_AT_ONCE = 20, 2
_ROUND_S = 0.1
_CONNECT_TIMEOUT_S = 5.0
_FEWEST_BAD_PER_S, _MOST_BAD_PER_S, _BAD_TIMEOUT_S = 5.0, 200.0, 1.0
#: So many connections of a crowd, each of which asks as often as this at least.
_CROWD, _LEAST_PER_S = 8, 0.1
#: What the neighbour reads over and over from the disk.
_FILE_BYTES = 96 * 2**20

#: Sends one slow request.
Query = Callable[[Session], None]


def _mysql(session: Any) -> None:
    session.cursor.execute("SET SESSION max_statement_time = 2")
    session.cursor.execute(
        "SELECT md5(concat(a.content, b.content)) AS mixed, a.number * b.number FROM"
        " (SELECT * FROM load_items LIMIT 400) a, (SELECT * FROM load_items LIMIT 400) b ORDER BY mixed LIMIT 5"
    )
    session.cursor.fetchall()


def _mysql_lock(session: Any) -> None:
    session.cursor.execute("SET SESSION lock_wait_timeout = 3")
    session.cursor.execute("LOCK TABLES load_items WRITE")
    session.cursor.execute("DO SLEEP(1)")
    session.cursor.execute("UNLOCK TABLES")


def _postgres(session: Any) -> None:
    session.cursor.execute("SET statement_timeout = 2000")
    session.cursor.execute(
        "SELECT md5(a.content || b.content) AS mixed, a.number * b.number FROM"
        " (SELECT * FROM load_items LIMIT 400) a, (SELECT * FROM load_items LIMIT 400) b ORDER BY mixed OFFSET 150000"
    )
    session.cursor.fetchall()


def _postgres_lock(session: Any) -> None:
    session.cursor.execute("SET lock_timeout = 3000")
    # One statement is one transaction, which holds the lock to its end.
    session.cursor.execute("DO $$ BEGIN LOCK TABLE load_items IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(1); END $$")


def _redis(session: Any) -> None:
    session.client.eval("local x = 0; for i = 1, 3000000 do x = x + math.sqrt(i) end; return x", 0)
    session.client.keys("*1*")


def _influxdb(session: Any) -> None:
    session.call(
        "GET",
        "/query?db=lab&q=SELECT+percentile(value,90),stddev(other),mode(value)+FROM+load+WHERE+value+%3E+0.001"
        "+AND+time+%3E+now()-5m+GROUP+BY+host,time(5s)+fill(none)",
    )


def _etcd(session: Any) -> None:
    everything = {"key": "AA==", "range_end": "AA==", "sort_target": "VALUE", "sort_order": "DESCEND"}
    session.call("POST", "/v3/kv/range", json.dumps(everything).encode())


#: Slow requests by protocol, and where there is such a thing, one that locks what others want.
SLOW_QUERIES: dict[str, tuple[Query, ...]] = {
    "mysql": (_mysql, _mysql_lock),
    "postgres": (_postgres, _postgres_lock),
    "redis": (_redis,),
    "influxdb": (_influxdb,),
    "etcd": (_etcd,),
}


def ask_slowly(spec: dict[str, Any], begun: Callable[[], None], ended: threading.Event) -> None:
    """Send slow requests over several connections at once, the more and the denser the stronger the fault."""
    query, *lock = SLOW_QUERIES[spec["protocol"]]
    pause_s = 0.6 * (1.0 - spec["strength"])
    asked = threading.Event()

    def ask(query: Query) -> None:
        session: Any = None
        while not ended.is_set():
            try:
                if session is None:
                    session = protocols.open_session(spec)
                asked.set()
                query(session)
            except Exception:  # noqa: BLE001 - a timed-out query is what a slow query comes to
                session = None
            ended.wait(_RETRY_S + pause_s)

    # One lock at a time: more of them leave nothing but waiting.
    asked_for = [*lock, *[query] * (1 + round(4 * spec["strength"]))]
    threads = [threading.Thread(target=ask, args=(each,)) for each in asked_for]
    for thread in threads:
        thread.start()
    if asked.wait(_BEGIN_S):
        begun()
    for thread in threads:
        thread.join()


def hold_connections(spec: dict[str, Any], begun: Callable[[], None], ended: threading.Event) -> None:
    """Open connections and never use them; what the service closes is opened again."""
    most = _MOST_HELD.get(spec["protocol"], _MOST_HELD_ELSEWHERE)
    wanted = round(_FEWEST_HELD * (most / _FEWEST_HELD) ** spec["strength"])
    # A request that never ends keeps a web server's worker waiting; what speaks first is left to wait by itself.
    greeting = b"GET / HTTP/1.1\r\nHost: lab\r\nX-Slow: " if spec["protocol"] == "http" else b""
    held: dict[int, socket.socket] = {}
    poller = select.poll()
    at_once = _OPENED_AT_ONCE
    while not ended.is_set():
        for _ in range(min(wanted - len(held), at_once)):
            try:
                connection = socket.create_connection((spec["host"], spec["port"]), timeout=_CONNECT_TIMEOUT_S)
                connection.sendall(greeting)
            except OSError:
                break
            connection.setblocking(False)
            held[connection.fileno()] = connection
            poller.register(connection, select.POLLIN)
        if held:
            begun()
        for number, _ in poller.poll(0):
            if _is_closed(held[number]):
                at_once = _OPENED_AGAIN_AT_ONCE
                poller.unregister(number)
                held.pop(number).close()
        ended.wait(_ROUND_S)
    for connection in held.values():
        connection.close()


def _is_closed(connection: socket.socket) -> bool:
    """Read what the service said, a greeting for instance, and tell whether it has hung up."""
    try:
        return not connection.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def disturb(spec: dict[str, Any], begun: Callable[[], None], ended: threading.Event) -> None:
    """Burn CPU time in two processes and read a large file from the disk again and again."""
    begun()
    if os.fork() == 0:
        while True:
            sum(range(10000))
    with tempfile.TemporaryFile() as file:
        for _ in range(_FILE_BYTES // 2**20):
            file.write(os.urandom(2**20))
        file.flush()
        os.fsync(file.fileno())
        while not ended.is_set():
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            while file.read(2**20) and not ended.is_set():
                sum(range(200000))


def ask_badly(spec: dict[str, Any], begun: Callable[[], None], ended: threading.Event) -> None:
    """Send requests that the service must refuse, 5 to 200 a second, each over a connection of its own."""
    is_http = issubclass(protocols.PROTOCOLS[spec["protocol"]], Http)
    draw = random.Random(spec["seed"])
    pause_s = 1 / (_FEWEST_BAD_PER_S * (_MOST_BAD_PER_S / _FEWEST_BAD_PER_S) ** spec["strength"])
    while not ended.is_set():
        path = f"/missing-{draw.getrandbits(32):08x}"
        asked = f"GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode()
        try:
            with socket.create_connection((spec["host"], spec["port"]), timeout=_BAD_TIMEOUT_S) as connection:
                connection.sendall(asked if is_http else draw.randbytes(64) + b"\r\n")
                connection.recv(4096)
        except OSError:
            ended.wait(_ROUND_S)
        begun()
        ended.wait(draw.expovariate(1 / pause_s))


def ask_more(spec: dict[str, Any], begun: Callable[[], None], ended: threading.Event) -> None:
    """Send ordinary requests over several connections, as a crowd does: it comes at once, or it rises and falls."""
    shape = {
        "pattern": "ramp" if spec["kind"] == "traffic-ramp" else "steady",
        "ramp_period_s": spec["seconds"],
        "rate_per_s": spec["rate_per_s"] / _CROWD,
    }
    asked = spec | {"read_share": 1.0} if spec["kind"] == "cache-warming" else spec
    begin_s = time.monotonic()

    def ask(number: int) -> None:
        session: Session | None = None
        draw = random.Random(spec["seed"] * 1000 + number)
        while not ended.is_set():
            rate_per_s = max(_LEAST_PER_S, rate_at(shape, time.monotonic() - begin_s))
            ended.wait(draw.expovariate(rate_per_s))
            try:
                session = session or protocols.open_session(asked)
                session.request(draw)
            except Exception:  # noqa: BLE001 - whatever it was, the crowd goes on
                session = None
                ended.wait(_RETRY_S)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CROWD)]
    for thread in threads:
        thread.start()
    begun()
    for thread in threads:
        thread.join()


ACTIONS: dict[str, Callable[[dict[str, Any], Callable[[], None], threading.Event], None]] = {
    "slow-queries": ask_slowly,
    "connection-exhaustion": hold_connections,
    "noisy-neighbour": disturb,
    "bad-requests": ask_badly,
    "burst": ask_more,
    "traffic-ramp": ask_more,
    "cache-warming": ask_more,
}


def main(spec: dict[str, Any]) -> int:
    """Start a child that causes the fault, and return 0 as soon as it does, 1 if it cannot."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        if select.select([reader], [], [], _BEGIN_S)[0] and os.read(reader, 1):
            return 0
        print(f"{spec['kind']} did not begin", file=sys.stderr)  # noqa: T201 - the caller's one line
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return 1
    os.close(reader)
    # Whoever waits for the outputs to be closed need not wait for the fault's end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for output in (0, 1):
        os.dup2(nothing, output)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: ended.set())
    signal.alarm(round(spec["seconds"] + _GRACE_S))
    told = threading.Event()

    def begun() -> None:
        if not told.is_set():
            told.set()
            os.write(writer, b"1")
            os.dup2(nothing, 2)

    ACTIONS[spec["kind"]](spec, begun, ended)
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[2])))
