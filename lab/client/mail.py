"""Mail servers: messages sent by SMTP, over TLS where the server offers it."""

from __future__ import annotations

import random
import smtplib
import ssl

from .session import TIMEOUT_S, Session
from .web import LOADED_AT_ONCE_BYTES

_LINE_BYTES = 76


class Smtp(Session):
    """A server that takes mail for ``lab.invalid`` from anyone; several messages go over one connection."""

    def open(self) -> None:
        """Connect, and ask for TLS if it is offered: the lab's certificates are signed by nobody."""
        self.client = smtplib.SMTP(self.host, self.port, "client.invalid", TIMEOUT_S)
        self.client.ehlo()
        if self.client.has_extn("starttls"):
            self.client.starttls(context=ssl._create_unverified_context())  # noqa: S323 - see above
            self.client.ehlo()

    def prepare(self) -> None:
        """Send as much mail as is to be there before the load."""
        for number in range(round(self.spec.get("data_mb", 0) * 2**20 / LOADED_AT_ONCE_BYTES)):
            self.send([f"loaded-{number % 20}"], b"x" * LOADED_AT_ONCE_BYTES)
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Ask whether an address is taken, or send a message to one address or to a few."""
        if self.reads(draw):
            self.client.mail("sender@client.invalid")
            self.client.rcpt(f"{self.key(draw)}@lab.invalid")
            self.client.rset()
        else:
            self.send([self.key(draw) for _ in range(draw.choice([1, 1, 1, 5]))], self.payload)

    def send(self, names: list[str], content: bytes) -> None:
        """Send one message."""
        lines = (content[begin : begin + _LINE_BYTES] for begin in range(0, len(content), _LINE_BYTES))
        message = b"Subject: load\r\n\r\n" + b"\r\n".join(lines)
        self.client.sendmail("sender@client.invalid", [f"{name}@lab.invalid" for name in names], message)

    def close(self) -> None:
        """Disconnect."""
        self.client.close()
