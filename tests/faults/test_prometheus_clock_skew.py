"""A node's clock runs before or behind: its samples keep its own times, and are found where they are looked for."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.sources.prometheus import PrometheusSource
from tests.faults.prometheus_case import few_samples
from tests.support.prometheusd import Prometheusd


@pytest.mark.parametrize("server_name", ["prometheusd", "victoria"])
@pytest.mark.parametrize("ahead_s", [-200, 200])
def test_samples_keep_the_nodes_time(request: pytest.FixtureRequest, server_name: str, ahead_s: int) -> None:
    server: Prometheusd = request.getfixturevalue(server_name)
    now = pd.Timestamp.now("UTC").floor("s")
    samples = few_samples()
    shift = now + pd.Timedelta(ahead_s, "s") - samples["time"].max()
    samples = samples.assign(time=samples["time"] + shift, started_at=samples["started_at"] + shift)
    source = PrometheusSource(server.api(), labels=server.write(samples))
    # As the watcher asks: from a while ago until a while ahead.
    got = source.fetch(now - pd.Timedelta(600, "s"), now + pd.Timedelta(300, "s"), pods=samples["pod"].unique())
    assert got["time"].tolist() == samples["time"].dt.floor("ms").tolist()
    if ahead_s > 0:
        # Whether the server still tells of a series whose samples are all later depends on how it keeps them.
        with pytest.raises(InputError, match=r"no (samples|container metrics)"):
            source.fetch(now - pd.Timedelta(60, "s"), now + pd.Timedelta(60, "s"), pods=samples["pod"].unique())
