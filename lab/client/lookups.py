"""Services that are asked for something by its name: DNS, LDAP and ZooKeeper."""

from __future__ import annotations

import importlib
import random
import socket
import struct
from typing import Any

from .session import TIMEOUT_S, Session

_TYPES = {"A": 1, "TXT": 16, "AAAA": 28}
_NO_ERROR, _NO_SUCH_NAME = 0, 3


#: Most entries of a directory or a tree: the services keep all of them in memory.
_MOST_ENTRIES = 1500
#: Size of each of the entries that are made before the load: few, since each costs a flush of the disk.
_PIECE_BYTES = 30000


def dns_query(number: int, name: str, kind: str) -> bytes:
    """Write a question to a name server that may ask others (RFC 1035, section 4.1).

    Parameters
    ----------
    number : int
        From 0 to 65535; the answer carries it too.
    name : str
        Such as ``key-1.lab``; labels of at most 63 letters.
    kind : {"A", "TXT", "AAAA"}
        The type of record.
    """
    header = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\x00" + struct.pack(">HH", _TYPES[kind], 1)


class Dns(Session):
    """Questions over UDP: addresses by ``read_share``, otherwise records that are not there."""

    def open(self) -> None:
        """Connect."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect((self.host, self.port))

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        number = draw.randrange(1 << 16)
        kind = "A" if self.reads(draw) else draw.choice(["TXT", "AAAA"])
        self.socket.send(dns_query(number, f"{self.key(draw)}.lab", kind))
        while True:
            answer = self.socket.recv(4096)
            answered, flags = struct.unpack_from(">HH", answer)
            if answered == number:
                break
        if flags & 0x000F not in (_NO_ERROR, _NO_SUCH_NAME):
            raise OSError(f"answer code {flags & 0x000F}")

    def close(self) -> None:
        """Disconnect."""
        self.socket.close()


class Bounded(Session):
    """A service that holds no more than a bounded number of keys, and no large values."""

    most_bytes = 4096

    def key(self, draw: random.Random) -> str:
        """One of the drawn number of keys, or of the bound."""
        return f"key-{draw.randrange(min(int(self.spec['keys']), _MOST_ENTRIES))}"


class Ldap(Bounded):
    """A directory: searches by equality and by part of a name, and entries added and changed."""

    _BASE = "dc=lab"

    def open(self) -> None:
        """Connect."""
        self.library: Any = importlib.import_module("ldap3")
        server = self.library.Server(self.host, self.port, get_info=None, connect_timeout=int(TIMEOUT_S))
        self.connection: Any = self.library.Connection(server, receive_timeout=int(TIMEOUT_S), auto_bind=True)

    def prepare(self) -> None:
        """Make the data."""
        self.connection.add(self._BASE, ["dcObject", "organization"], {"o": "lab"})
        pieces = list(self.pieces(_PIECE_BYTES))
        if pieces:
            self.connection.search(self._BASE, f"(cn=data-{len(pieces) - 1})", attributes=["cn"])
            if not self.connection.entries:
                for number, piece in enumerate(pieces):
                    name = f"cn=data-{number},{self._BASE}"
                    self.connection.add(name, "organizationalRole", {"description": piece.decode()})
                    self.accept("success", "entryAlreadyExists")
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        key = self.key(draw)
        if self.reads(draw):
            search = f"(cn={key})" if draw.random() < 0.8 else f"(cn={key[:-1]}*)"
            self.connection.search(self._BASE, search, attributes=["cn", "description"], size_limit=20)
            self.accept("success", "sizeLimitExceeded")
            return
        name = f"cn={key},{self._BASE}"
        text = self.payload.decode()
        self.connection.modify(name, {"description": [(self.library.MODIFY_REPLACE, [text])]})
        self.accept("success", "noSuchObject")
        if self.connection.result["description"] == "noSuchObject":
            self.connection.add(name, "organizationalRole", {"description": text})
            self.accept("success", "entryAlreadyExists")

    def accept(self, *outcomes: str) -> None:
        """Fail if the last request's outcome is another."""
        outcome = self.connection.result["description"]
        if outcome not in outcomes:
            raise OSError(f"the directory answered {outcome}")

    def close(self) -> None:
        """Disconnect."""
        self.connection.unbind()


class ZooKeeper(Bounded):
    """A tree of small nodes: read, listed, written, and made when they are not there yet."""

    _FOLDER, _DATA_FOLDER = "/load", "/data"

    def open(self) -> None:
        """Connect."""
        client: Any = importlib.import_module("kazoo.client")
        self.errors: Any = importlib.import_module("kazoo.exceptions")
        self.client: Any = client.KazooClient(f"{self.host}:{self.port}", timeout=TIMEOUT_S)
        try:
            self.client.start(timeout=TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """Make the data."""
        self.client.ensure_path(self._FOLDER)
        self.client.ensure_path(self._DATA_FOLDER)
        pieces = list(self.pieces(_PIECE_BYTES))
        if pieces and not self.client.exists(f"{self._DATA_FOLDER}/{len(pieces) - 1}"):
            asked = [
                self.client.create_async(f"{self._DATA_FOLDER}/{number}", piece) for number, piece in enumerate(pieces)
            ]
            for each in asked:
                each.wait(TIMEOUT_S)
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        path = f"{self._FOLDER}/{self.key(draw)}"
        try:
            if self.reads(draw):
                self.client.get(path)
            else:
                self.client.set(path, self.payload)
        except self.errors.NoNodeError:
            try:
                self.client.create(path, self.payload)
            except self.errors.NodeExistsError:
                return

    def close(self) -> None:
        """Disconnect."""
        self.client.stop()
        self.client.close()
