"""File transfer: listings, and files up and down, each over a data connection of its own."""

from __future__ import annotations

import ftplib
import io
import random

from .session import TIMEOUT_S, Session


class Ftp(Session):
    """An FTP server that lets anyone in and has a folder ``/upload`` that anyone may write to."""

    def open(self) -> None:
        """Connect and log in as anyone."""
        self.client = ftplib.FTP(timeout=TIMEOUT_S)  # noqa: S321 - the lab has no secrets
        self.client.connect(self.host, self.port)
        self.client.login()

    def prepare(self) -> None:
        """Make the file that requests read."""
        self.client.storbinary("STOR /upload/first", io.BytesIO(self.payload * 20))

    def request(self, draw: random.Random) -> None:
        """Transfer one file or one listing."""
        if not self.reads(draw):
            self.client.storbinary(f"STOR /upload/{self.key(draw)}", io.BytesIO(self.payload))
        elif draw.random() < 0.1:
            self.client.retrlines("LIST /upload", lambda _: None)
        else:
            self.client.retrbinary("RETR /upload/first", lambda _: None)

    def close(self) -> None:
        """Disconnect."""
        self.client.close()
