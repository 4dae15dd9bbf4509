"""Each container is judged by the models whose observation window it has filled, and by no others."""

from __future__ import annotations

import copy

import pandas as pd
import pytest

from podlab.identify import Identifier, fit
from podlab.identify.observation import ObservationWindow
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "redis")


@pytest.fixture(scope="module")
def startup() -> Identifier:
    """Models for the first 4, 8 and 20 seconds."""
    return fit(make_samples(SERVICES, deployments_per_service=3, seconds=25), horizons_s=(4.0, 8.0, 20.0), jobs=1)


@pytest.fixture(scope="module")
def segments() -> Identifier:
    """Models for the first 30 seconds, and for a minute and five minutes later in life."""
    samples = make_samples(SERVICES, deployments_per_service=3, seconds=500, interval_s=10)
    return fit(samples, horizons_s=(30.0,), jobs=1)


def only(model: Identifier, *windows: ObservationWindow) -> Identifier:
    """The same model with these windows only."""
    assert set(windows) <= set(model.windows)
    chosen = copy.copy(model)
    chosen.windows = windows
    return chosen


@pytest.mark.parametrize(
    ("horizon_s", "lengths_s"), [(2.0, (4.0,)), (4.0, (4.0,)), (6.0, (4.0,)), (8.0, (4.0, 8.0)), (None, (8.0, 20.0))]
)
def test_the_longest_startup_window_and_the_shortest_of_a_quarter_of_it_are_combined(
    startup: Identifier, horizon_s: float | None, lengths_s: tuple[float, ...]
) -> None:
    new = make_samples(SERVICES, deployments_per_service=2, seconds=25, seed=7)
    chosen = only(startup, *(ObservationWindow("startup", length_s) for length_s in lengths_s))
    assert startup.identify(new, horizon_s=horizon_s) == chosen.identify(new, horizon_s=horizon_s)


@pytest.mark.parametrize(("met_s", "length_s"), [(150, 300.0), (230, 60.0), (470, 60.0)])
def test_a_container_first_seen_late_is_predicted_from_the_longest_segment_observed(
    segments: Identifier, met_s: int, length_s: float
) -> None:
    new = make_samples(SERVICES, deployments_per_service=2, seconds=500, interval_s=10, seed=7)
    late = new[new["time"] >= new["started_at"] + pd.Timedelta(met_s, "s")].reset_index(drop=True)
    answers = segments.identify(late)
    assert answers == only(
        segments, ObservationWindow("startup", 30.0), ObservationWindow("steady", length_s)
    ).identify(late)
    assert all(0 <= near <= 1 for answer in answers for _, near in answer.similar)


def test_reach_gives_the_seconds_that_are_looked_at(startup: Identifier, segments: Identifier) -> None:
    assert startup.reach() == (20.0, 0.0)
    assert segments.reach() == (30.0, 900.0)
    assert segments.reach(7.0) == (7.0, 0.0)
