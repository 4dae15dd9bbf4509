"""A real Prometheus scrapes a real exporter that is fed from a recording; what is fetched is what was recorded."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.remote_write import series_of
from tests.sources.test_prometheus import expected, to_milliseconds
from tests.support.exporter import exporting
from tests.support.models import small_identifier
from tests.support.prometheusd import running_prometheus
from tests.support.synthetic import make_samples
from tests.support.watch_process import begin_now
from tests.support.watching import starting_together

CONFIG = """
global: {{scrape_interval: 150ms, scrape_timeout: 150ms}}
scrape_configs:
- job_name: kubelet
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{own}"], labels: {{times: agent}}}}]
- job_name: kubelet-without-times
  honor_labels: true
  honor_timestamps: false
  static_configs: [{{targets: ["127.0.0.1:{without}"], labels: {{times: scrape}}}}]
"""


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    recorded = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=15, seed=7)
    return check_samples(to_milliseconds(begin_now(starting_together(recorded), 20.0)), where="now")


@pytest.fixture(scope="module")
def fetched(samples: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """What comes back, by whose time it has."""
    series = series_of(samples)
    folder: Path = tmp_path_factory.mktemp("scraping")
    with exporting(series) as own, exporting(series) as without:
        config = CONFIG.format(own=own.port, without=without.port)
        with running_prometheus(folder, config) as server:
            assert own.finished.wait(300)
            assert without.finished.wait(300)
            return {
                times: PrometheusSource(server.api(), labels={"times": times}).fetch(
                    samples["time"].min(), pd.Timestamp.now("UTC")
                )
                for times in ("agent", "scrape")
            }


def test_with_the_agents_times_everything_comes_back(samples: pd.DataFrame, fetched: dict[str, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(fetched["agent"], expected(samples))


def test_with_the_scrapes_times_the_values_come_back_in_order(
    samples: pd.DataFrame, fetched: dict[str, pd.DataFrame]
) -> None:
    for pod, rows in fetched["scrape"].groupby("pod"):
        recorded = samples[samples["pod"] == pod]
        for column in ("memory_rss_bytes", "rx_bytes", "volume_used_bytes"):
            seen = rows[column].drop_duplicates().tolist()
            assert seen == recorded[column].drop_duplicates().tolist()
        steps_s = rows["time"].diff().dt.total_seconds().dropna()
        assert (steps_s > 0).all()
        assert steps_s.median() < 0.5  # not the second that lay between the recorded ones


def test_what_runs_is_told_alike(samples: pd.DataFrame, fetched: dict[str, pd.DataFrame]) -> None:
    model = small_identifier()
    truth = samples.groupby("pod")["service"].first()
    for which in (samples, fetched["agent"]):
        told = {answer.pod: answer.service for answer in model.identify(which)}
        assert told == truth.to_dict()
