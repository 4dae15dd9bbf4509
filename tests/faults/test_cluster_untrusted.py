"""TLS: the server's certificate is not one to trust, or it speaks no TLS at all."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.support.certificates import make_certificate
from tests.support.kubeapi import KubeApi


def test_an_unknown_authority_is_refused_before_any_request(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    with KubeApi(certificate) as api:
        api.add_user("hush-hush")
        path = api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush")
        with pytest.raises(InputError, match=r"the API server is not trusted: unable") as error:
            read_inventory(connect(kubeconfig=path))
        assert f"check the certificate authority in kubeconfig {path}" in str(error.value)
        assert "hush" not in str(error.value)
        assert api.requests == []


def test_with_its_authority_in_the_kubeconfig_it_is_trusted(tmp_path: Path) -> None:
    certificate, authority = make_certificate(tmp_path)
    with KubeApi(certificate) as api:
        api.add_user("hush-hush")
        settings = {"certificate-authority": str(authority)}
        connection = connect(kubeconfig=api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush", **settings))
        assert read_inventory(connection).empty
        assert api.url.startswith("https://")


def test_a_server_without_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with KubeApi() as api, caplog.at_level(logging.DEBUG):
        path = api.write_kubeconfig(tmp_path / "kubeconfig", "hush-hush")
        with pytest.raises(InputError, match="the API server does not speak TLS there: ") as error:
            read_inventory(connect(api.url.replace("http:", "https:"), kubeconfig=path))
        assert "hush" not in str(error.value) + caplog.text
