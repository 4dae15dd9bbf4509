"""Recording -> Prometheus or VictoriaMetrics -> fetch gives the same samples, against the real servers."""

from __future__ import annotations

import logging
import string

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import AGES, ALL_COLUMNS, CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.errors import InputError
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.protocol import NothingThereError
from tests.sources.test_round_trip import ODD_NAMES
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples

#: What Prometheus' world does not have.
LOST = ("logsfs_used_bytes", "rootfs_inodes_used", "image_size_bytes", "service", "deployment", "variant", "version")


@pytest.fixture(params=["prometheusd", "victoria"])
def server(request: pytest.FixtureRequest) -> Prometheusd:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    made = make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=20, columns=MEASURED_METRICS)
    return to_milliseconds(made)


def to_milliseconds(samples: pd.DataFrame) -> pd.DataFrame:
    """Prometheus' resolution of time."""
    return samples.assign(time=samples["time"].dt.floor("ms"), started_at=samples["started_at"].dt.floor("ms"))


def expected(samples: pd.DataFrame) -> pd.DataFrame:
    """What shall come back: all but what is lost, the processor's use as growth of its counter, and ages."""
    back = samples.drop(columns=[c for c in LOST if c in samples])
    if "cpu_usage_core_nanoseconds" in back:
        by_life = back.groupby(list(INSTANCE_KEY), dropna=False)
        growth = by_life["cpu_usage_core_nanoseconds"].diff().astype("Float64")
        rate = growth / by_life["time"].diff().dt.total_seconds()
        back["cpu_usage_nanocores"] = rate.where(growth >= 0).astype("float64")
    for family, age in AGES.items():
        # All files are of the container's file system there.
        given = (
            back[[name for name in back if name in CATALOGUE and CATALOGUE[name].family == family]].notna().any(axis=1)
        )
        if age not in back and given.any():
            back[age] = given.map({True: 0.0, False: np.nan})
    return back[[column for column in ALL_COLUMNS if column in back]]


def fetch(server: Prometheusd, samples: pd.DataFrame, labels: dict[str, str], **options: object) -> pd.DataFrame:
    source = PrometheusSource(server.api(), labels=labels, **options)  # type: ignore[arg-type]
    return source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "ms"))


def through(server: Prometheusd, samples: pd.DataFrame) -> pd.DataFrame:
    return fetch(server, samples, server.write(samples))


def test_everything_comes_back(server: Prometheusd, samples: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(through(server, samples), expected(samples))


def test_odd_names_come_back_and_can_be_asked_for(server: Prometheusd, samples: pd.DataFrame) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]]
    parts = [
        one.assign(pod=name, container=f"c-{name}", namespace=name, pod_uid=f"u{name}", cluster=name, node=name)
        for name in (*ODD_NAMES, "a\nb", "a.b", "a+b", "^a|b$", "(a)", "[a]", "{a}", "a\ufffdb")
    ]
    odd = check_samples(pd.concat(parts), where="odd names")
    labels = server.write(odd)
    pd.testing.assert_frame_equal(fetch(server, odd, labels), expected(odd))
    source = PrometheusSource(server.api(), labels=labels, columns=["memory_rss_bytes"])
    until = odd["time"].max() + pd.Timedelta(1, "ms")
    for name in odd["pod"].unique():
        assert set(source.fetch(odd["time"].min(), until, pods=[name])["pod"]) == {name}


def test_labels_with_odd_values_narrow_the_question(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]]
    for value in ('quo"te', "back\\slash", "new\nline", '"} or {__name__="up'):
        labels = prometheusd.write(one, {"team": value})
        assert len(fetch(prometheusd, one, labels)) == len(one)
        with pytest.raises(InputError, match="no container metrics"):
            fetch(prometheusd, one, {**labels, "team": value[:-1]})


@pytest.mark.parametrize("interval_s", [1, 30])
def test_intervals_and_slices_give_the_same(server: Prometheusd, interval_s: int) -> None:
    long = to_milliseconds(
        make_samples(("nginx",), deployments_per_service=2, seconds=interval_s * 30, interval_s=interval_s)
    )
    labels = server.write(long)
    pd.testing.assert_frame_equal(fetch(server, long, labels, slice_s=7 * interval_s), expected(long))
    pd.testing.assert_frame_equal(fetch(server, long, labels, max_answer_bytes=4_000), expected(long))


def test_metrics_dropped_by_relabelling_are_missing(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    some = samples.drop(columns=["io_read_bytes", "io_write_bytes", "rootfs_used_bytes", "volume_used_bytes"])
    got = through(prometheusd, some)
    pd.testing.assert_frame_equal(got, expected(some))
    assert "io_read_bytes" not in got


@pytest.mark.parametrize("left", ["memory_rss_bytes", "cpu_usage_core_nanoseconds"])
def test_one_metric_is_enough(prometheusd: Prometheusd, samples: pd.DataFrame, left: str) -> None:
    some = samples.drop(columns=[c for c in ORIGINAL_METRICS if c != left])
    got = through(prometheusd, some)
    assert len(got) == len(some)
    assert got[left].tolist() == some[left].tolist()


def test_gaps_in_any_column_stay_gaps(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    holed = samples.copy()
    for number, column in enumerate(c for c in ORIGINAL_METRICS if c not in ("cpu_usage_nanocores", *LOST)):
        holed.loc[holed.index % 7 == number % 7, column] = pd.NA
    got = through(prometheusd, holed)
    derived = ["cpu_usage_nanocores"]
    pd.testing.assert_frame_equal(got.drop(columns=derived), expected(holed).drop(columns=derived))


def test_two_pods_of_one_name_are_told_apart(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    first = samples[samples["pod"] == samples["pod"].iloc[0]]
    later = pd.Timedelta(25, "s")
    second = first.assign(time=first["time"] + later, started_at=first["started_at"] + later, pod_uid="second")
    both = check_samples(pd.concat([first, second]), where="both")
    got = through(prometheusd, both)
    pd.testing.assert_frame_equal(got, expected(both))
    assert got.groupby("pod_uid")["started_at"].nunique().tolist() == [1, 1]


def test_a_restarted_container_is_another_life(server: Prometheusd, samples: pd.DataFrame) -> None:
    first = samples[samples["pod"] == samples["pod"].iloc[0]]
    later = pd.Timedelta(25, "s")
    again = first.assign(time=first["time"] + later, started_at=first["started_at"] + later)
    both = check_samples(pd.concat([first, again]), where="both")
    got = through(server, both)
    pd.testing.assert_frame_equal(got, expected(both))
    assert got["started_at"].nunique() == 2
    assert got["cpu_usage_nanocores"].isna().sum() == 2  # none from one life to the next


def test_containers_of_one_pod_share_what_is_counted_per_pod(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    main = samples[samples["pod"] == samples["pod"].iloc[0]]
    parts = [main.assign(container=c, memory_rss_bytes=float(n)) for n, c in enumerate(string.ascii_lowercase)]
    many = check_samples(pd.concat(parts), where="many")
    pd.testing.assert_frame_equal(through(prometheusd, many), expected(many))


def test_counters_up_to_2_53_are_exact_and_later_ones_nearly(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    counters = [c for c in ORIGINAL_METRICS if samples[c].dtype == "Int64" and CATALOGUE[c].unit != "ns"]
    for base, exact in ((2**53 - 2**45, True), (2**62, False)):
        big = samples.assign(**{c: samples[c] + base for c in counters})
        got = through(prometheusd, big)
        off = (got[counters].astype("float64") / big[counters].astype("float64") - 1).abs().max(axis=None)
        assert off <= 2**-52
        assert got[counters].equals(big[counters]) or not exact


def test_only_the_columns_and_pods_asked_for_are_fetched(server: Prometheusd, samples: pd.DataFrame) -> None:
    labels = server.write(samples)
    got = fetch(server, samples, labels, columns=["rx_bytes", "memory_rss_bytes"])
    assert set(ORIGINAL_METRICS) & set(got.columns) == {"rx_bytes", "memory_rss_bytes"}
    source = PrometheusSource(server.api(), labels=labels)
    wanted = samples["pod"].unique()[:2]
    until = samples["time"].max() + pd.Timedelta(1, "ms")
    got = source.fetch(samples["time"].min(), until, pods=wanted)
    of_both = expected(samples[samples["pod"].isin(wanted)]).reset_index(drop=True)
    pd.testing.assert_frame_equal(got, of_both)
    with pytest.raises(NothingThereError, match="no samples of the 1 pods asked for"):
        source.fetch(samples["time"].min(), until, pods=["nobody"])


def test_the_span_is_half_open_to_the_millisecond(server: Prometheusd, samples: pd.DataFrame) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]].reset_index(drop=True)
    source = PrometheusSource(server.api(), labels=server.write(one))
    got = source.fetch(one["time"].iloc[3], one["time"].iloc[9])
    assert got["time"].tolist() == one["time"].iloc[3:9].tolist()
    # The first row's processor use is growth since a sample before the span.
    assert got["cpu_usage_nanocores"].notna().all()
    nearly = source.fetch(one["time"].iloc[3] + pd.Timedelta(1, "ns"), one["time"].iloc[9] + pd.Timedelta(1, "ns"))
    assert nearly["time"].tolist() == one["time"].iloc[4:10].tolist()


def test_several_clusters_come_in_one_table(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    east, west = samples.assign(cluster="east"), samples.assign(cluster="west")
    both = check_samples(pd.concat([east, west]), where="both")
    labels = prometheusd.write(both)
    pd.testing.assert_frame_equal(fetch(prometheusd, both, labels), expected(both))
    only = expected(east)
    pd.testing.assert_frame_equal(fetch(prometheusd, both, {**labels, "cluster": "east"}), only)


def test_two_scrapers_of_one_container_count_once(
    prometheusd: Prometheusd, samples: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    labels = prometheusd.write(samples, {"prometheus_replica": "a"})
    late = samples.assign(time=samples["time"] + pd.Timedelta(400, "ms"))
    prometheusd.add(late.iloc[: len(late) // 2], {**labels, "prometheus_replica": "b"})
    with caplog.at_level(logging.WARNING):
        got = fetch(prometheusd, samples, {"recording": labels["recording"]})
    pd.testing.assert_frame_equal(got, expected(samples))
    assert not caplog.records


def test_a_second_scraper_takes_over_where_the_first_ends(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]].reset_index(drop=True)
    labels = prometheusd.write(one.iloc[:12], {"instance": "node-1"})
    prometheusd.add(one.iloc[12:], {**labels, "instance": "node-2"})
    got = fetch(prometheusd, one, {"recording": labels["recording"]})
    pd.testing.assert_frame_equal(got, expected(one))
    assert np.isfinite(got["rx_bytes"].astype("float64")).all()


def test_pods_whose_names_are_too_long_for_one_question(server: Prometheusd) -> None:
    times = pd.date_range("2026-01-05T08:00Z", periods=3, freq="10s")
    names = [f"{'x' * 50}-{number}" for number in range(400)]
    rows = pd.MultiIndex.from_product([names, times], names=["pod", "time"]).to_frame(index=False)
    samples = check_samples(rows.assign(container="main", memory_usage_bytes=1.0, rx_bytes=5), where="here")
    source = PrometheusSource(server.api(), labels=server.write(samples))
    until = times[-1] + pd.Timedelta(1, "ms")
    got = source.fetch(times[0], until, pods=names[:-1])
    assert sorted(got["pod"]) == sorted(names[:-1] * 3)
    assert got["rx_bytes"].eq(5).all()


def test_ages_come_back(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    ages = {name: (samples.index % (3 + n) - 1) * 0.1 for n, name in enumerate(AGES.values())}
    sent = check_samples(samples.assign(**ages), where="with ages")
    pd.testing.assert_frame_equal(through(prometheusd, sent), expected(sent))
