"""What Prometheus' faults share: a few samples in a real server, and asking for them through a proxy that spoils."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pytest

from podlab.errors import PodlabError
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_client import PrometheusApi
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples
from tests.support.tampering import Answer, Proxy, Tamper, tampering

SAMPLES = "/api/v1/query"


def few_samples() -> pd.DataFrame:
    """Ten seconds of one container."""
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=10)
    return samples.assign(time=samples["time"].dt.floor("ms"), started_at=samples["started_at"].dt.floor("ms"))


def fetch(url: str, samples: pd.DataFrame, labels: dict[str, str] | None = None, **options: object) -> pd.DataFrame:
    """Ask for the samples' span."""
    sized = {name: options.pop(name) for name in ("max_answer_bytes", "slice_s") if name in options}
    source = PrometheusSource(PrometheusApi(url, **options), labels=labels, **sized)  # type: ignore[arg-type]
    return source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "ms"))


@contextmanager
def spoiled(server: Prometheusd, tamper: Tamper, **options: object) -> Iterator[tuple[Proxy, pd.DataFrame, dict]]:
    """Put samples into the server, and a proxy before it."""
    samples = few_samples()
    labels = server.write(samples)
    with tampering(server.url, tamper, **options) as proxy:  # type: ignore[arg-type]
        yield proxy, samples, labels


def only_samples(change: Tamper) -> Tamper:
    """Spoil the answers with samples, not those with names."""

    def tamper(path: str, headers: dict[str, str], answer: Answer) -> Answer | None:
        return change(path, headers, answer) if path == SAMPLES else None

    return tamper


def refused(server: Prometheusd, tamper: Tamper, words: str, **options: object) -> PodlabError:
    """Ask through a proxy that spoils; the error that says why, in these words and on one line."""
    with spoiled(server, tamper) as (proxy, samples, labels), pytest.raises(PodlabError, match=words) as caught:
        fetch(proxy.url, samples, labels, **options)
    assert "\n" not in str(caught.value)
    return caught.value
