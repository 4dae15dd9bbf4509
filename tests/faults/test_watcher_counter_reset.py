"""Counters that fall in the middle of a life: a wrap, or an agent that began anew."""

from __future__ import annotations

import pandas as pd

from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth

COUNTERS = [name for name in ORIGINAL_METRICS if CATALOGUE[name].kind == "counter"]


def test_containers_are_identified_all_the_same_and_nobody_is_revised(bench: MakeBench, samples: pd.DataFrame) -> None:
    reset = samples.copy()
    for _, rows in reset.groupby("pod_uid"):
        later = rows.index[len(rows) // 8 :]
        reset.loc[later, COUNTERS] = reset.loc[later, COUNTERS] - reset.loc[later[0], COUNTERS]
    here = bench(samples=reset)
    here.appear(*pods_of(reset))
    here.run(300)
    assert dict(here.announced()) == truth(samples)
    assert {line["event"] for line in here.lines} == {"identified"}
