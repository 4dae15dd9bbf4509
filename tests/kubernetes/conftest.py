"""An API server that knows one reader, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient, Configuration, CoreV1Api

from podlab.kubernetes.client import ApiConnection, connect
from tests.support.kubeapi import KubeApi

TOKEN = "token-of-the-reader"


def client_of(api: KubeApi, token: str | None = TOKEN) -> ApiClient:
    """Make an official client."""
    configuration = Configuration(host=api.url, retries=False)
    if token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    return ApiClient(configuration)


def core_of(api: KubeApi, token: str | None = TOKEN) -> CoreV1Api:
    """Make an official client for pods, nodes and events."""
    return CoreV1Api(client_of(api, token))


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as server:
        server.add_user(TOKEN)
        yield server


@pytest.fixture
def connection(api: KubeApi, tmp_path: Path) -> Iterator[ApiConnection]:
    made = connect(kubeconfig=api.write_kubeconfig(tmp_path / "kubeconfig", TOKEN), timeout_s=120)
    yield made
    made.close()
