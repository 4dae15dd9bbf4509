"""What drives a score is named once, by the farther of value and change, the farthest first."""

from __future__ import annotations

import numpy as np

from podlab.detect.drivers import Driver, drivers_of
from podlab.detect.signals import SIGNALS


def test_the_farthest_come_first_and_the_usual_not_at_all() -> None:
    far = np.zeros(2 * len(SIGNALS))
    cpu, rx, tx = (SIGNALS.index(name) for name in ("cpu_usage_nanocores", "rx_bytes", "tx_bytes"))
    far[cpu], far[len(SIGNALS) + cpu], far[len(SIGNALS) + rx], far[tx] = 3.0, 9.0, -12.0, 1.5
    assert drivers_of(far) == (Driver("rx_bytes", -12.0, "itself"), Driver("cpu_usage_nanocores", 9.0, "itself"))
    assert drivers_of(far, most=1)[0].to_json() == {"signal": "rx_bytes", "strays": -12.0, "against": "itself"}
    assert drivers_of(np.zeros(2 * len(SIGNALS))) == ()


def test_words_say_which_way_how_far_and_from_what() -> None:
    assert Driver("rx_bytes", -12.04, "itself").words == "rx_bytes 12.0 deviations below its own usual"
    assert Driver("rx_bytes", 20.0, "service").words == (
        "rx_bytes 20 or more deviations above what is usual for the service"
    )
