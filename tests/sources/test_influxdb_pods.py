"""Asking InfluxDB for some pods only."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.data.samples import is_missing
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.protocol import NothingThereError
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples

# What means something in a pattern, in the statement around it, or in line protocol.
ODD = st.text(st.sampled_from(list("ab.|*+?()[]{}^$/\\'\" ,=_;-#ü🙂")), min_size=1, max_size=8)


def _is_a_name(text: str) -> bool:
    return not text.endswith("\\") and not is_missing(pd.Series([text]))[0]


def _source(influxd: Influxd, database: str) -> InfluxSource:
    return InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))


def _fetch(source: InfluxSource, samples: pd.DataFrame, pods: list[str] | None) -> pd.DataFrame:
    since, until = samples["time"].min().floor("s"), samples["time"].max().ceil("s")
    return source.fetch(since.to_pydatetime(), until.to_pydatetime() + timedelta(seconds=1), pods=pods)


def test_pods_asked_for_come_whole_and_others_do_not(influxd: Influxd, database: str) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=20)
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    everything = _fetch(_source(influxd, database), samples, None)
    chosen = sorted(samples["pod"].unique())[1:3]
    got = _fetch(_source(influxd, database), samples, [*chosen, "no-such-pod"])
    pd.testing.assert_frame_equal(got, everything[everything["pod"].isin(chosen)].reset_index(drop=True))
    assert not got[list(ORIGINAL_METRICS)].isna().all().any()


def test_nothing_of_the_pods_asked_for_is_told_apart(influxd: Influxd, database: str) -> None:
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=5)
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    with pytest.raises(NothingThereError, match="no rows of kubernetes_pod_container of the 1 pods asked for"):
        _fetch(_source(influxd, database), samples, ["other"])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(ODD.filter(_is_a_name), min_size=2, max_size=5, unique=True))
def test_no_name_means_anything_else_than_itself(influxd: Influxd, names: list[str]) -> None:
    database = influxd.new_database()
    one = make_samples(("nginx",), deployments_per_service=1, seconds=3)
    samples = pd.concat([one.assign(pod=name, pod_uid=None) for name in names], ignore_index=True)
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    got = _fetch(_source(influxd, database), samples, names[1:])
    assert set(got["pod"]) == set(names[1:])
    influxd.statement(f'DROP DATABASE "{database}"')
