"""A model, and containers of its services that all start at about the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from podlab.kubernetes.client import ApiConnection, connect
from tests.support.anomalous import make_containers, overload, pod_of
from tests.support.bundles import write_bundle
from tests.support.kubeapi import KubeApi
from tests.support.synthetic import make_samples
from tests.support.watch_process import TOKEN, grant
from tests.support.watching import Bench, make_bench, starting_together

MakeBench = Callable[..., Bench]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def model_with_detectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with detectors."""
    return write_bundle(tmp_path_factory.mktemp("model") / "watchful", detectors=True)


@pytest.fixture(scope="session")
def samples() -> pd.DataFrame:
    return starting_together(make_samples(("nginx", "redis"), deployments_per_service=3, seconds=100, seed=5))


@pytest.fixture
def watch_api() -> Iterator[KubeApi]:
    """An API server that knows the watcher, with the rights its Roles give it."""
    with KubeApi() as server:
        grant(server)
        yield server


@pytest.fixture
def watch_connection(watch_api: KubeApi, tmp_path: Path) -> Iterator[ApiConnection]:
    made = connect(kubeconfig=watch_api.write_kubeconfig(tmp_path / "kubeconfig", TOKEN), timeout_s=120)
    yield made
    made.close()


@pytest.fixture
def bench(samples: pd.DataFrame, model: Path) -> MakeBench:
    return lambda **options: make_bench(options.pop("samples", samples), model, **options)


@pytest.fixture(scope="session")
def normal() -> pd.DataFrame:
    """Containers of which none is anomalous."""
    return make_containers()


@pytest.fixture(scope="session")
def anomalous(normal: pd.DataFrame) -> pd.DataFrame:
    """One pod of redis is strained from its age of 150 s to that of 220 s."""
    return overload(normal, pod_of(normal, "redis"), 150.0, 220.0)
