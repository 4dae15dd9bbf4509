"""Nobody listens at the address, or nobody of that name exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.support.kubeapi import KubeApi


def test_a_closed_port_is_named_at_once(tmp_path: Path) -> None:
    with KubeApi() as api:
        path = api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush")
    with pytest.raises(InputError, match=r"cannot be reached: .*refused; check the address") as error:
        read_inventory(connect(kubeconfig=path))
    assert str(error.value).startswith("http://127.0.0.1:")
    assert "hush" not in str(error.value)


def test_an_unknown_host(tmp_path: Path) -> None:
    with KubeApi() as api:
        path = api.write_kubeconfig(tmp_path / "kubeconfig", server="https://cluster.invalid:6443")
    with pytest.raises(InputError, match=r"^https://cluster\.invalid:6443: the API server cannot be reached: "):
        read_inventory(connect(kubeconfig=path))
