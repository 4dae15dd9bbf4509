"""A server that takes the connection and then says nothing."""

from __future__ import annotations

import socket

import pytest

from podlab.errors import PodlabError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory


def test_the_wait_ends_at_the_timeout(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.1)
        with pytest.raises(PodlabError, match=r"did not answer within 0\.1 s; try again, or allow a longer timeout"):
            read_inventory(connection)
