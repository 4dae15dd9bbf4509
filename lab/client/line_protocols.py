"""Brokers whose commands are lines of text, spoken over a plain socket: NATS and beanstalkd."""

from __future__ import annotations

import json
import random
import re
import socket

from .session import TIMEOUT_S, Session


class LineSession(Session):
    """Sends lines and payloads, and reads them."""

    def open(self) -> None:
        """Connect."""
        self.socket = socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = self.socket.makefile("rb")

    def send(self, line: str, payload: bytes | None = None) -> None:
        """Send one line, and a payload after it."""
        self.socket.sendall(f"{line}\r\n".encode() + (b"" if payload is None else payload + b"\r\n"))

    def read_line(self) -> list[str]:
        """Read one line as its words."""
        line = self.incoming.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection ended")
        return line.decode().split()

    def read_payload(self, size_bytes: int) -> bytes:
        """Read a payload of a size known beforehand."""
        payload = self.incoming.read(size_bytes + 2)
        if len(payload) < size_bytes + 2:
            raise OSError("the connection ended")
        return payload[:-2]

    def close(self) -> None:
        """Disconnect."""
        self.incoming.close()
        self.socket.close()


#: The streams that NATS is asked to keep: what the load stores, and what is stored before it.
_STREAM = {"name": "load", "subjects": ["stored.*"], "max_bytes": 32 << 20, "storage": "file", "discard": "old"}
_DATA_STREAM = {"name": "data", "subjects": ["data.*"], "storage": "file"}
#: Pieces of data that are sent before an answer is waited for.
_PIECES_AT_ONCE = 50


class Nats(LineSession):
    """NATS: publish and hear it again; where the server keeps streams, store a share of the messages.

    The lines are those of https://docs.nats.io/reference/reference-protocols/nats-protocol and its JetStream's
    https://docs.nats.io/reference/reference-protocols/nats_api_reference.
    """

    def open(self) -> None:
        """Connect."""
        super().open()
        greeting = self.incoming.readline()
        self.has_streams = bool(json.loads(greeting.removeprefix(b"INFO ")).get("jetstream"))
        self.inbox = f"inbox.{random.getrandbits(64):x}"
        self.send('CONNECT {"verbose": false, "pedantic": false}')
        self.send(f"SUB {self.inbox} 1")

    def prepare(self) -> None:
        """Make the stream; an answer about one that is there already is an answer too."""
        if self.has_streams:
            for stream in (_STREAM, _DATA_STREAM):
                self.publish(f"$JS.API.STREAM.CREATE.{stream['name']}", json.dumps(stream).encode())
                self.hear()
            self.publish("$JS.API.STREAM.INFO.data", b"")
            stored = int(json.loads(self.hear()).get("state", {}).get("messages", 0))
            for number, piece in enumerate(self.pieces()):
                if number < stored:
                    continue
                if number % _PIECES_AT_ONCE:
                    self.send(f"PUB data.{number} {len(piece)}", piece)
                else:
                    self.publish(f"data.{number}", piece)
                    self.hear()
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if self.has_streams and not self.reads(draw):
            self.publish(f"stored.{self.key(draw)}", self.payload)
        else:
            self.send(f"PUB {self.inbox} {len(self.payload)}", self.payload)
        self.hear()

    def publish(self, subject: str, payload: bytes) -> None:
        """Publish a message that asks for an answer."""
        self.send(f"PUB {subject} {self.inbox} {len(payload)}", payload)

    def hear(self) -> bytes:
        """Wait for a message to this session, and answer the server's own pings meanwhile."""
        while True:
            words = self.read_line()
            if words[0] == "MSG":
                return self.read_payload(int(words[-1]))
            if words[0] == "PING":
                self.send("PONG")
            elif words[0] == "-ERR":
                raise OSError(" ".join(words))


class Beanstalk(LineSession):
    """beanstalkd: put a job into a tube of one's own, take it and delete it; sometimes leave it for later.

    The lines are those of https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt.
    """

    _LATER = 0.05
    _KEPT_S = 5

    def open(self) -> None:
        """Connect."""
        super().open()
        self.tube = f"load-{random.getrandbits(64):x}"
        self.ask(f"use {self.tube}", "USING")
        self.ask(f"watch {self.tube}", "WATCHING")

    def prepare(self) -> None:
        """Fill a tube that nobody takes from."""
        pieces = list(self.pieces())
        if pieces:
            self.ask("use data", "USING")
            for piece in pieces[self.count("data") :]:
                self.ask(f"put 1 0 60 {len(piece)}", "INSERTED", piece)
            self.ask(f"use {self.tube}", "USING")
        super().prepare()

    def count(self, tube: str) -> int:
        """Count the jobs of a tube that wait to be taken."""
        self.send(f"stats-tube {tube}")
        words = self.read_line()
        if len(words) != 2 or words[0] != "OK":
            raise OSError(" ".join(words))
        found = re.search(rb"current-jobs-ready: (\d+)", self.read_payload(int(words[1])))
        return int(found[1]) if found else 0

    def ask(self, line: str, wanted: str, payload: bytes | None = None) -> None:
        """Send a command and see that its answer begins with the wanted word."""
        self.send(line, payload)
        words = self.read_line()
        if not words or words[0] != wanted:
            raise OSError(" ".join(words))

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        later = draw.random() < self._LATER
        delay_s = self._KEPT_S if later else 0
        self.ask(f"put {draw.randrange(100)} {delay_s} 60 {len(self.payload)}", "INSERTED", self.payload)
        # Whoever leaves a job for later takes one that was left before, so that their number stays bounded.
        self.send(f"reserve-with-timeout {0 if later else int(TIMEOUT_S)}")
        words = self.read_line()
        if later and words == ["TIMED_OUT"]:
            return
        if len(words) != 3 or words[0] != "RESERVED":
            raise OSError(" ".join(words))
        self.read_payload(int(words[2]))
        self.ask(f"delete {words[1]}", "DELETED")
