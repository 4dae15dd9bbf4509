"""Nobody listens where Prometheus should be."""

from __future__ import annotations

import pytest

from podlab.errors import InputError
from tests.faults.prometheus_case import fetch, few_samples
from tests.support.debian import free_ports


def test_a_closed_port() -> None:
    [port] = free_ports(1)
    words = rf"http://127.0.0.1:{port}: Prometheus cannot be reached: .*; check prometheus_url"
    with pytest.raises(InputError, match=words):
        fetch(f"http://127.0.0.1:{port}", few_samples())


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="Prometheus cannot be reached"):
        fetch("http://prometheus.invalid:9090", few_samples())
