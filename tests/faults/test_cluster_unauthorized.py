"""401: the credentials are wrong or have run out."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.support.kubeapi import KubeApi


def test_the_error_says_whose_credentials_to_renew_and_does_not_show_them(tmp_path: Path) -> None:
    with KubeApi() as api:
        path = api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush")
        with pytest.raises(InputError, match=r"does not accept the credentials \(401\); renew .* kubeconfig") as error:
            read_inventory(connect(kubeconfig=path))
        assert str(error.value).startswith(api.url)
        assert str(path) in str(error.value)
        assert "hush" not in str(error.value)
        assert api.requests == []
