"""Whether a recording that went through InfluxDB or Prometheus, or was told by kubelets, is identified as it was.

Run it with ``python -m benchmarks.same_answers FILE``. Every second deployment of each service trains a model; the
others, moved to a common start, are written to a real InfluxDB and a real Prometheus and told by kubelets of the tests
(real HTTPS, a clock that runs through the recording), and what comes back is identified.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.data.recordings import read_recording
from podlab.identify import Identifier, fit
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.replay import replay
from tests.support.certificates import make_certificate
from tests.support.influxd import running_influxd
from tests.support.kubelet import running_cluster
from tests.support.prometheusd import ANY_AGE, running_prometheus
from tests.support.watching import starting_together

HORIZONS_S = (10.0, 30.0, 60.0, 120.0)
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def through_influxdb(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write as Telegraf would, and fetch."""
    with running_influxd(folder) as server:
        database = server.new_database()
        replay(samples, InfluxDatabase(server.url, database, *server.admin))
        return InfluxSource(InfluxDatabase(server.url, database, *server.reader)).fetch(
            samples["time"].min(), samples["time"].max() + pd.Timedelta("1s")
        )


def through_prometheus(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write as cAdvisor's series, and fetch."""
    with running_prometheus(folder, "", *ANY_AGE) as server:
        labels = server.write(samples)
        return PrometheusSource(server.api(), labels=labels).fetch(
            samples["time"].min(), samples["time"].max() + pd.Timedelta("1s")
        )


def through_kubelets(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Let kubelets tell it, asked twice a second while it happens."""
    with running_cluster(samples, make_certificate(folder), window_s=1e9) as cluster:
        cluster.at_s[0] = samples["time"].min().timestamp()
        seconds = (samples["time"].max() - samples["time"].min()).total_seconds() + 1
        cluster.run(seconds, every_s=0.5)
        return cluster.source.fetch(*ALWAYS)


def in_milliseconds(samples: pd.DataFrame) -> pd.DataFrame:
    """Cut times to what cAdvisor tells, and leave out those that are then not told apart."""
    cut = samples.assign(time=samples["time"].dt.floor("ms"))
    return cut.drop_duplicates(["pod", "time"], keep=False)


def answers(model: Identifier, samples: pd.DataFrame, horizon_s: float) -> dict[str, str | None]:
    """Give each pod's service; None for unknown."""
    return {each.pod: each.service for each in model.identify(samples, horizon_s=horizon_s)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    samples = read_recording([parser.parse_args().file])
    deployments = samples.groupby("service")["deployment"].transform(lambda names: names.factorize()[0] % 2)
    model = fit(samples[deployments == 0].reset_index(drop=True), jobs=1)
    unseen = starting_together(samples[deployments == 1]).reset_index(drop=True)
    unseen["started_at"] = unseen["started_at"].dt.as_unit("ns")
    unseen["node"] = "node-" + (unseen["pod"].factorize()[0] % 4).astype(str).astype(object)
    with tempfile.TemporaryDirectory() as folder:
        back = {
            "InfluxDB": through_influxdb(unseen, Path(folder)),
            "Prometheus": through_prometheus(unseen, Path(folder)),
            "kubelets": through_kubelets(unseen, Path(folder)),
        }
    truth = unseen.drop_duplicates("pod").set_index("pod")["service"].to_dict()
    print(f"{len(truth)} containers, {len(unseen)} rows")
    for name, got in back.items():
        columns = [each for each in ORIGINAL_METRICS if each in got]
        both = in_milliseconds(unseen).merge(in_milliseconds(got), on=["pod", "time"], suffixes=("", "_back"))
        apart = {
            each: float((both[each].astype("float64") - both[f"{each}_back"].astype("float64")).abs().max())
            for each in columns
        }
        worst = {each: value for each, value in apart.items() if value > 0}
        print(f"{name}: {len(got)} rows, {len(both)} of the same time; largest difference {worst or 0}")
    for horizon_s in HORIZONS_S:
        for name, got in back.items():
            # What a source does not have is missing on both sides: here it is asked what else differs.
            lost = [each for each in ORIGINAL_METRICS if each in unseen and each not in got]
            whole, recorded = (answers(model, rows, horizon_s) for rows in (unseen, unseen.drop(columns=lost)))
            if lost:
                changed = sum(whole[pod] != recorded[pod] for pod in truth)
                print(f"{horizon_s:g} s: without {', '.join(lost)} {changed} differ")
            theirs = answers(model, got, horizon_s)
            differ = sorted(pod for pod in truth if recorded.get(pod) != theirs.get(pod))
            right = [sum(given.get(pod) == service for pod, service in truth.items()) for given in (recorded, theirs)]
            said = [f"{truth[pod]}: {recorded.get(pod)} -> {theirs.get(pod)}" for pod in differ]
            print(f"{horizon_s:g} s, {name}: {len(differ)} differ; right {right[0]} -> {right[1]} {said}")


if __name__ == "__main__":
    main()
