"""A database that holds one measurement of four, and gets the others later."""

from __future__ import annotations

import pandas as pd

from podlab.data.catalogue import CATALOGUE
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influxd import Influxd
from tests.support.watch_process import play
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth

OTHERS = [name for name, metric in CATALOGUE.items() if metric.family in ("network", "volume", "io", "filesystem")]


def _watch(
    bench: MakeBench, influxd: Influxd, database: str, samples: pd.DataFrame, *parts: pd.DataFrame
) -> dict[str, str | None]:
    """Let 10 s happen again and again, each with all of ``parts`` written before the round; give what was said."""
    here = bench()
    here.table.other = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    here.appear(*pods_of(samples))
    for _ in range(8):
        for part in parts:
            known = part[part["time"] <= pd.Timestamp(here.clock.at_s, unit="s", tz="UTC")]
            if len(known):
                play(influxd, database, known)
        here.run(0)
    assert here.watcher.database_error is None
    return dict(here.announced())


def test_containers_are_identified_by_the_measurement_there_is(
    bench: MakeBench, influxd: Influxd, database: str, samples: pd.DataFrame
) -> None:
    said = _watch(bench, influxd, database, samples, samples.drop(columns=OTHERS, errors="ignore"))
    # CPU and memory alone leave some unsure, which go on waiting; nobody is called what it is not.
    assert said.items() <= truth(samples).items()
    assert len(said) >= len(truth(samples)) / 2


def test_what_comes_later_joins_what_was_there(
    bench: MakeBench, influxd: Influxd, database: str, samples: pd.DataFrame
) -> None:
    late = samples.assign(time=samples["time"])
    assert _watch(bench, influxd, database, samples, samples.drop(columns=OTHERS, errors="ignore"), late) == truth(
        samples
    )
