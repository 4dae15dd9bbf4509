"""What drives a score is named once, by the farther of value and change, the farthest first."""

from __future__ import annotations

import numpy as np

from podlab.detect.scoring import ContributingSignal, contributing_signals
from podlab.detect.signals import SIGNALS


def test_the_farthest_come_first_and_the_usual_not_at_all() -> None:
    far = np.zeros(2 * len(SIGNALS))
    cpu, rx, tx = (SIGNALS.index(name) for name in ("cpu_usage_nanocores", "rx_bytes", "tx_bytes"))
    far[cpu], far[len(SIGNALS) + cpu], far[len(SIGNALS) + rx], far[tx] = 3.0, 9.0, -12.0, 1.5
    assert contributing_signals(far) == (
        ContributingSignal("rx_bytes", -12.0, "itself"),
        ContributingSignal("cpu_usage_nanocores", 9.0, "itself"),
    )
    assert contributing_signals(far, most=1)[0].to_json() == {
        "signal": "rx_bytes",
        "strays": -12.0,
        "against": "itself",
    }
    assert contributing_signals(np.zeros(2 * len(SIGNALS))) == ()


def test_words_say_which_way_how_far_and_from_what() -> None:
    assert ContributingSignal("rx_bytes", -12.04, "itself").text == "rx_bytes 12.0 deviations below its own usual"
    assert ContributingSignal("rx_bytes", 20.0, "service").text == (
        "rx_bytes 20 or more deviations above what is usual for the service"
    )


def test_three_drive_at_most_and_none_that_is_less_than_two_deviations_away() -> None:
    far = np.zeros(2 * len(SIGNALS))
    far[:4] = 3.0, 4.0, -5.0, 6.0
    assert [driver.deviation for driver in contributing_signals(far)] == [6.0, -5.0, 4.0]
    far[:4] = 2.0, 1.99, -2.0, -1.99
    assert [driver.deviation for driver in contributing_signals(far)] == [2.0, -2.0]


def test_where_value_and_change_are_as_far_away_it_is_unusual_for_the_service() -> None:
    far = np.zeros(2 * len(SIGNALS))
    far[0] = far[len(SIGNALS)] = 4.0
    assert [driver.against for driver in contributing_signals(far)] == ["service"]
    assert ContributingSignal("rx_bytes", 3.456, "service").to_json()["strays"] == 3.46
