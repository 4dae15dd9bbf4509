"""A database that answers 200 and an error in the body."""

from __future__ import annotations

import pandas as pd

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.faults.influxdb_case import pack, server
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth


def test_it_counts_as_no_answer_and_delays(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    with server(pack({"results": [{"statement_id": 0, "error": "shard 7 is gone"}]})) as url:
        here.table.other = InfluxSource(InfluxDatabase(url, "telegraf"))
        begin_s = here.clock.at_s
        here.run(300)
    assert here.lines == []
    assert "shard 7 is gone" in str(here.watcher.database_error)
    here.table.other = None
    here.clock.at_s = begin_s + 20
    here.run(80)
    assert dict(here.announced()) == truth(samples)
