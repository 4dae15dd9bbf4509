"""What OpenTelemetry's kubeletstats receiver wrote into Prometheus, under each of the ways to translate its names."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.data.catalogue import AGES, MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_query import CADVISOR, DIALECTS, OPENTELEMETRY, Dialect, choose_dialect
from podlab.sources.replay import replay
from tests.sources.test_prometheus import fetch, to_milliseconds
from tests.support.models import small_identifier
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples
from tests.support.watching import starting_together

#: Labels of the samples that no agent knows, and what its resource does not tell.
UNKNOWN = ["service", "deployment", "variant", "version", "image_size_bytes", "image", "started_at"]
TRANSLATED, DOTTED = OPENTELEMETRY[:2], OPENTELEMETRY[2:]


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    made = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=15, columns=MEASURED_METRICS)
    return to_milliseconds(starting_together(made))


def expected(samples: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
    """What the receiver tells, all of it measured with its row."""
    lost = [name for name in MEASURED_METRICS if name not in dialect.places]
    kept = samples.drop(columns=[*lost, *UNKNOWN]).assign(**dict.fromkeys(AGES.values(), 0.0))
    return check_samples(kept, where="expected")


@pytest.mark.parametrize("dialect", OPENTELEMETRY, ids=lambda each: each.name)
def test_it_is_recognised_by_itself(prometheusd: Prometheusd, samples: pd.DataFrame, dialect: Dialect) -> None:
    labels = prometheusd.write(samples, dialect=dialect)
    got = fetch(prometheusd, samples, labels)
    assert got["started_at"].isna().all()
    pd.testing.assert_frame_equal(got.drop(columns="image"), expected(samples, dialect))


def test_the_names_are_those_of_the_documentation() -> None:
    columns = ("cpu_usage_core_nanoseconds", "memory_page_faults", "rx_bytes", "cpu_usage_nanocores")
    assert [[each.places[name].name for name in columns] for each in OPENTELEMETRY] == [
        ["container_cpu_time_seconds_total", "container_memory_page_faults_ratio", "k8s_pod_network_io_bytes_total",
         "container_cpu_usage"],
        ["container_cpu_time", "container_memory_page_faults", "k8s_pod_network_io", "container_cpu_usage"],
        ["container.cpu.time_seconds_total", "container.memory.page_faults_ratio", "k8s.pod.network.io_bytes_total",
         "container.cpu.usage"],
        ["container.cpu.time", "container.memory.page_faults", "k8s.pod.network.io", "container.cpu.usage"],
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", TRANSLATED, ids=lambda each: each.name)
def test_only_the_pods_asked_for(prometheusd: Prometheusd, samples: pd.DataFrame, dialect: Dialect) -> None:
    source = PrometheusSource(prometheusd.api(), labels=prometheusd.write(samples, dialect=dialect))
    some = samples["pod"].unique()[:2].tolist()
    got = source.fetch(samples["time"].min(), samples["time"].max(), pods=[*some, "elsewhere"])
    assert sorted(got["pod"].unique()) == sorted(some)
    assert got["rx_bytes"].notna().all()


def test_both_dialects_lead_to_the_same_decisions(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    started = samples.drop_duplicates("pod").set_index("pod")["started_at"]
    answers = []
    for dialect in (CADVISOR, *TRANSLATED):
        got = fetch(prometheusd, samples, prometheusd.write(samples, dialect=dialect))
        # As the cluster tells it.
        got = check_samples(got.assign(started_at=got["pod"].map(started)), where="with starts")
        answers.append({each.pod: each.service for each in small_identifier().identify(got, horizon_s=10.0)})
    truth = samples.drop_duplicates("pod").set_index("pod")["service"].to_dict()
    assert answers == [truth] * 3


@pytest.mark.parametrize("dialect", TRANSLATED, ids=lambda each: each.name)
def test_where_cadvisor_is_scraped_as_well_it_is_taken(
    prometheusd: Prometheusd, samples: pd.DataFrame, dialect: Dialect
) -> None:
    labels = prometheusd.write(samples)
    # The collector is scraped too, and its own pod's labels are those that a scrape gives.
    double = samples.assign(memory_rss_bytes=1.0, memory_usage_bytes=2.0, memory_working_set_bytes=3.0)
    prometheusd.add(double, {**labels, "pod": "collector", "namespace": "n", "container": "otel"}, dialect)
    got = fetch(prometheusd, samples, labels)
    assert set(got["pod"]) == set(samples["pod"])
    assert got["memory_rss_bytes"].tolist() == samples["memory_rss_bytes"].tolist()
    assert got["tx_bytes"].notna().all()


def test_metrics_of_both_names_are_told_apart_by_their_labels(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    for dialect in (CADVISOR, OPENTELEMETRY[0]):
        only = samples.drop(columns=[name for name in MEASURED_METRICS if name != "memory_usage_bytes"])
        labels = prometheusd.write(only.drop(columns="started_at"), dialect=dialect)
        got = fetch(prometheusd, samples, labels, columns=["memory_usage_bytes"])
        assert got["memory_usage_bytes"].tolist() == samples["memory_usage_bytes"].tolist()
        assert set(got["pod"]) == set(samples["pod"])


def test_a_replay_writes_it_too(prometheusd: Prometheusd, samples: pd.DataFrame) -> None:
    # Later than all else in this server, which takes nothing older than it has.
    later = pd.Timedelta(days=200)
    moved = samples.assign(time=samples["time"] + later, started_at=samples["started_at"] + later)
    replay(moved, prometheusd.api(), dialect=OPENTELEMETRY[0])
    got = fetch(prometheusd, moved, {"recording": ""})
    assert got["tx_bytes"].tolist() == moved["tx_bytes"].tolist()
    assert got["pod_uid"].tolist() == moved["pod_uid"].tolist()


def test_an_agent_that_cadvisor_was_exchanged_for_is_found_though_its_metrics_are_still_named(
    prometheusd: Prometheusd, samples: pd.DataFrame
) -> None:
    # Prometheus names all metrics of its newest block, hours before the span as well.
    earlier = samples.assign(time=samples["time"] - pd.Timedelta(hours=1))
    labels = prometheusd.write(earlier)
    prometheusd.add(samples, labels, OPENTELEMETRY[0])
    got = fetch(prometheusd, samples, labels)
    assert got["memory_rss_bytes"].tolist() == samples["memory_rss_bytes"].tolist()
    assert got["tx_bytes"].notna().all()


def test_the_dialect_of_nothing_is_cadvisors() -> None:
    assert choose_dialect([], {}) is CADVISOR
    assert len({each.name for each in DIALECTS}) == 5
    assert [*TRANSLATED, *DOTTED] == [*OPENTELEMETRY]
