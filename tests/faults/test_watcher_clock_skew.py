"""Nodes whose clock is not the watcher's: samples from the future, and from long ago."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth


@pytest.mark.parametrize("ahead_s", [-500.0, -60.0, 60.0, 290.0])
def test_containers_are_identified_as_soon_as_ever(bench: MakeBench, samples: pd.DataFrame, ahead_s: float) -> None:
    here = bench()
    # The database uncovers rows by their own time; the watcher's clock is so much behind or ahead.
    here.clock.ahead_s = -ahead_s
    here.appear(*pods_of(samples))
    here.run(60)
    assert dict(here.announced()) == truth(samples)
    assert max(line["waited_s"] for line in here.lines) <= 40
