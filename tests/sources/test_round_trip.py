"""Recording -> replay -> InfluxDB -> fetch gives the same samples, against the real server."""

from __future__ import annotations

import string

import pandas as pd
import pytest

from podlab.data.catalogue import AGES, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.samples import check_samples
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples

ODD_NAMES = (
    'quo"te', "apo'strophe", "back\\slash", "back\\,slash comma", "a,b", "a=b", "a b", " edge ", "ünïcödé-日本-🙂",
    "tab\there", "per%cent&amp;", "k8s_under_score", "$bound", "/regex/", "null",
)  # fmt: skip


def through_influxdb(samples: pd.DataFrame, influxd: Influxd, database: str, *, jitter_s: float = 0.0) -> pd.DataFrame:
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin), jitter_s=jitter_s)
    return fetch_all(samples, influxd, database)


def fetch_all(samples: pd.DataFrame, influxd: Influxd, database: str) -> pd.DataFrame:
    until = samples["time"].max() + pd.Timedelta(1, "ns")
    return InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(samples["time"].min(), until)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=20)


def test_everything_comes_back(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    pd.testing.assert_frame_equal(through_influxdb(samples, influxd, database), samples)


def with_ages(samples: pd.DataFrame) -> pd.DataFrame:
    """Give some rows an age of their network, file systems and volumes, within half an interval."""
    ages = {name: (samples.index % (3 + n) - 1.0) * 0.1 for n, name in enumerate(AGES.values())}
    return check_samples(samples.assign(**ages), where="with ages")


@pytest.fixture(scope="module")
def all_measured() -> pd.DataFrame:
    made = make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=20, columns=MEASURED_METRICS)
    return made.assign(time=made["time"].dt.floor("ms"))


def test_every_metric_and_its_age_come_back(all_measured: pd.DataFrame, influxd: Influxd, database: str) -> None:
    sent = with_ages(all_measured)
    pd.testing.assert_frame_equal(through_influxdb(sent, influxd, database), sent)


def test_what_was_scraped_has_the_age_of_its_own_time(
    all_measured: pd.DataFrame, influxd: Influxd, database: str
) -> None:
    got = through_influxdb(all_measured, influxd, database)
    expected = check_samples(all_measured.assign(network_age_seconds=0.0), where="expected")
    pd.testing.assert_frame_equal(got, expected)


def test_odd_names_and_labels_come_back(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]]
    parts = [
        one.assign(
            pod=name, container=f"c-{name}", namespace=name, node=f"n-{name}", pod_uid=f"u{name}",
            image=f"reg/{name}:1", cluster=f"{name}.", service=name + "\\", deployment=name + "\n2",
            variant=f'"{name}"', version=f"v{name}",
        )
        for name in ODD_NAMES
    ]  # fmt: skip
    odd = check_samples(pd.concat(parts), where="odd names")
    pd.testing.assert_frame_equal(through_influxdb(odd, influxd, database), odd)


def test_without_block_io_nothing_fails(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    some = samples.drop(columns=["io_read_bytes", "io_write_bytes"])
    got = through_influxdb(some, influxd, database)
    pd.testing.assert_frame_equal(got, some)
    assert "io_read_bytes" not in got


@pytest.mark.parametrize("interval_s", [1, 10, 60])
def test_measurements_that_arrive_apart_are_joined(influxd: Influxd, database: str, interval_s: int) -> None:
    samples = make_samples(
        ("nginx", "mysql"), deployments_per_service=1, seconds=interval_s * 12, interval_s=interval_s, jitter_s=0.02
    )
    got = through_influxdb(samples, influxd, database, jitter_s=interval_s * 0.13)
    pd.testing.assert_frame_equal(got, samples)


def test_counters_beyond_2_53_stay_exact(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    counters = [c for c in ORIGINAL_METRICS if samples[c].dtype == "Int64"]
    big = samples.copy()
    big[counters] = big[counters] + (2**63 - 2**50)
    big.loc[::3, counters] = pd.NA
    pd.testing.assert_frame_equal(through_influxdb(big, influxd, database), big)


def test_gaps_in_any_column_stay_gaps(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    holed = samples.copy()
    for number, column in enumerate([*ORIGINAL_METRICS, "image", "service", "version", "node"]):
        holed.loc[holed.index % 7 == number % 7, column] = pd.NA
    pd.testing.assert_frame_equal(through_influxdb(holed, influxd, database), holed)


def test_faults_that_begin_and_end_come_back(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    broken = samples["time"].rank() % 9 < 3
    labelled = samples.assign(
        anomaly=broken.astype("boolean"), anomaly_kind=pd.Series("cpu hog", index=samples.index).where(broken)
    )
    labelled["anomaly_kind"] = labelled["anomaly_kind"].astype("str")
    pd.testing.assert_frame_equal(through_influxdb(labelled, influxd, database), labelled)


def test_two_pods_of_one_name_are_told_apart_by_uid_and_start(
    samples: pd.DataFrame, influxd: Influxd, database: str
) -> None:
    first = samples[samples["pod"] == samples["pod"].iloc[0]]
    later = pd.Timedelta(25, "s")
    second = first.assign(time=first["time"] + later, started_at=first["started_at"] + later, pod_uid="second")
    both = check_samples(pd.concat([first, second]), where="both")
    got = through_influxdb(both, influxd, database)
    pd.testing.assert_frame_equal(got, both)
    assert got.groupby("pod_uid")["started_at"].nunique().tolist() == [1, 1]


def test_containers_of_one_pod_share_what_is_counted_per_pod(
    samples: pd.DataFrame, influxd: Influxd, database: str
) -> None:
    main = samples[samples["pod"] == samples["pod"].iloc[0]]
    parts = [
        main.assign(container=letter, memory_rss_bytes=float(n)) for n, letter in enumerate(string.ascii_lowercase)
    ]
    many = check_samples(pd.concat(parts), where="many")
    pd.testing.assert_frame_equal(through_influxdb(many, influxd, database, jitter_s=0.1), many)


def test_only_the_columns_asked_for_are_fetched(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    through_influxdb(samples, influxd, database)
    source = InfluxSource(
        InfluxDatabase(influxd.url, database, *influxd.reader), columns=["rx_bytes", "memory_rss_bytes"]
    )
    got = source.fetch(samples["time"].min(), samples["time"].max())
    assert set(ORIGINAL_METRICS) & set(got.columns) == {"rx_bytes", "memory_rss_bytes"}


def test_short_slices_and_small_answers_give_the_same(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin), jitter_s=0.1)
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader), slice_s=3000, max_answer_bytes=3_000)
    got = source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "ns"))
    pd.testing.assert_frame_equal(got, samples)
