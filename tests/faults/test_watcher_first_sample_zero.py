"""A first sample that an agent wrote before it knew anything: zeros."""

from __future__ import annotations

import pandas as pd

from podlab.data.catalogue import CATALOGUE
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth

OWN = [name for name, metric in CATALOGUE.items() if metric.family in ("cpu", "memory", "filesystem")]


def test_zeros_are_no_values_and_nothing_is_decided_from_them(bench: MakeBench, samples: pd.DataFrame) -> None:
    first = ~samples.duplicated("pod_uid")
    zeros = samples.copy()
    zeros.loc[first, OWN] = 0
    here = bench(samples=zeros)
    here.appear(*pods_of(zeros))
    here.run(100)
    assert dict(here.announced()) == truth(samples)
    assert {line["event"] for line in here.lines} == {"identified"}


def test_nothing_but_zeros_is_nothing(bench: MakeBench, samples: pd.DataFrame) -> None:
    zeros = samples.copy()
    zeros[OWN] = 0
    only_own = zeros.drop(
        columns=[name for name in CATALOGUE if name in zeros and name not in (*OWN, "image_size_bytes")]
    )
    here = bench(samples=only_own)
    here.appear(*pods_of(zeros))
    here.run(200)
    assert {line["service"] for line in here.lines} == {None}
