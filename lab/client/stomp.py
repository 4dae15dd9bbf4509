"""STOMP, which message brokers such as ActiveMQ speak: https://stomp.github.io/stomp-specification-1.1.html."""

from __future__ import annotations

import random
import socket

from .session import TIMEOUT_S, Session
from .web import LOADED_AT_ONCE_BYTES


class Stomp(Session):
    """Send to a queue of one's own and hear it again; what is written is kept on the disk meanwhile."""

    def open(self) -> None:
        """Connect and subscribe."""
        self.socket = socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = self.socket.makefile("rb")
        self.send("CONNECT", {"accept-version": "1.1", "host": "lab", "heart-beat": "0,0"})
        self.receive("CONNECTED")
        self.inbox = f"/queue/inbox-{random.getrandbits(64):x}"
        self.send("SUBSCRIBE", {"id": "0", "destination": self.inbox, "ack": "auto"})

    def prepare(self) -> None:
        """Leave as much in a queue as is to be there before the load, and see that a message comes back."""
        kept = {"destination": "/queue/kept", "persistent": "true", "receipt": "kept"}
        for _ in range(round(self.spec.get("data_mb", 0) * 2**20 / LOADED_AT_ONCE_BYTES)):
            self.send("SEND", kept, random.randbytes(LOADED_AT_ONCE_BYTES))
            self.receive("RECEIPT")
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        persistent = "false" if self.reads(draw) else "true"
        self.send("SEND", {"destination": self.inbox, "persistent": persistent}, self.payload)
        self.receive("MESSAGE")

    def send(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send one frame."""
        named = [f"{name}:{value}" for name, value in headers.items()]
        lines = [command, *named, f"content-length:{len(body)}", "", ""]
        self.socket.sendall("\n".join(lines).encode() + body + b"\0")

    def receive(self, wanted: str) -> bytes:
        """Read one frame, see that it is of the wanted kind, and return its body."""
        # Frames may be followed by empty lines.
        while (command := self.incoming.readline()) == b"\n":
            pass
        headers: dict[str, str] = {}
        while (line := self.incoming.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode().partition(":")
            headers.setdefault(name, value)
        body = self.incoming.read(int(headers["content-length"])) if "content-length" in headers else b""
        end = self.incoming.read(1)
        while end not in (b"\0", b""):
            body, end = body + end, self.incoming.read(1)
        if command.rstrip().decode() != wanted:
            said = body.decode(errors="replace").strip() or headers.get("message", "")
            raise OSError(f"{command.decode().strip() or 'the connection ended'} {said[:100]}")
        return body

    def close(self) -> None:
        """Disconnect."""
        self.incoming.close()
        self.socket.close()
