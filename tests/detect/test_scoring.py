"""Streaming scores, the choice of source detectors, and the signals that contribute to a score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from podlab.detect import DetectorLibrary, Scorer, StepScores, source_detectors_of_decision
from podlab.detect.detector import smooth
from podlab.detect.library import observe_rows
from podlab.detect.scoring import KNOWN_AFTER_S, ContributingSignal, contributing_signals
from podlab.detect.signals import SIGNALS, ObservedSignals, samples_at, time_steps
from podlab.features.rows import Rows, read_rows
from tests.detect.conftest import leak

Donors = Sequence[tuple[str, float]]


def run(
    library: DetectorLibrary, rows: Rows, donors: Sequence[Donors], *, only: int | None = None
) -> dict[str, np.ndarray]:
    """Score all rows, or one container's."""
    scorer = Scorer(library, len(rows.containers))
    scorer.set_source_detectors(np.arange(scorer.size), donors)
    told = {name: np.full(len(rows.code), np.nan) for name in ("score", "rarity", "anomaly")}
    for which in time_steps(rows):
        here = which if only is None else which[rows.code[which] == only]
        said = step(scorer, rows, here)
        for name, values in told.items():
            values[here] = getattr(said, name)
    return told


def step(scorer: Scorer, rows: Rows, which: np.ndarray) -> StepScores:
    return scorer.score(rows.code[which], rows.offset_s[which], rows.offset_s[which], *samples_at(rows, which))


def own_services(rows: Rows) -> list[Donors]:
    return [((service, 1.0),) for service in rows.containers["service"]]


def test_one_container_alone_scores_as_among_others(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    together = run(library, rows, own_services(rows))
    for number in range(len(rows.containers)):
        alone = run(library, rows, own_services(rows), only=number)
        own = rows.code == number
        for name in together:
            assert alone[name][own] == pytest.approx(together[name][own], abs=1e-9)


def test_scores_are_those_of_the_batch_while_nothing_is_strange(
    library: DetectorLibrary, samples: pd.DataFrame
) -> None:
    rows = read_rows(samples)
    streamed = run(library, rows, own_services(rows))
    seen = observe_rows(rows)
    for number, service in enumerate(rows.containers["service"]):
        own = rows.code == number
        detector = library.detectors[service]
        judged = detector.evidence(seen.take(own), rows.offset_s[own])
        rarity, of_changes = detector.judge(smooth(judged.total, rows.offset_s[own], rows.code[own]))
        learned = (of_changes < 0.7 * library.threshold) | (rows.offset_s[own] < KNOWN_AFTER_S)
        calm = np.cumsum(~learned) == 0  # until the first row that is not learned from
        assert calm[:5].all()
        assert streamed["rarity"][own][calm] == pytest.approx(rarity[calm] / library.threshold)


def test_a_fault_is_strange_and_normal_life_is_not(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    rows = read_rows(leak(samples))
    told = run(library, rows, own_services(rows))
    assert ((told["score"] >= 0) & (told["score"] <= 1)).all()
    late, early = rows.offset_s > 75, rows.offset_s < 58
    assert told["anomaly"][late].mean() > 0.95
    alarmed = [told["anomaly"][early & (rows.code == number)].any() for number in range(len(rows.containers))]
    assert np.mean(alarmed) <= 0.2


def test_a_fault_is_never_learned_however_long_it_lasts(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    ever = leak(samples)
    stuck = ever["anomaly"].to_numpy(dtype=bool)
    for name in ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"):
        ever.loc[stuck, name] = samples.loc[stuck, name] * 1000
    told = run(library, rows := read_rows(ever), own_services(rows))
    assert told["anomaly"][rows.offset_s > 85].all()


def test_another_configuration_alarms_at_its_start_at_most(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    odd = samples.copy()
    odd["rootfs_used_bytes"] = samples["rootfs_used_bytes"] + 4e9  # from its first second on, and for good
    told = run(library, rows := read_rows(odd), own_services(rows))
    assert told["rarity"][rows.offset_s < 5].mean() > 2 * told["rarity"][rows.offset_s > 75].mean()
    plain = run(library, read_rows(samples), own_services(rows))
    assert told["anomaly"][rows.offset_s > 75].tolist() == plain["anomaly"][rows.offset_s > 75].tolist()


def test_a_container_unlike_its_service_still_learns_its_own_usual(
    library: DetectorLibrary, samples: pd.DataFrame
) -> None:
    odd = samples.copy()
    for name in ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"):
        odd[name] = samples[name] * 50
    rows = read_rows(odd)
    scorer = Scorer(library, len(rows.containers))
    scorer.set_source_detectors(np.arange(scorer.size), own_services(rows))
    learned_s = [said.observed.learned_s.max() for said in (step(scorer, rows, which) for which in time_steps(rows))]
    assert learned_s[70] > KNOWN_AFTER_S - 5


def test_donors_are_mixed_and_change(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    rows = read_rows(samples[samples["service"] == "redis"].reset_index(drop=True))
    count = len(rows.containers)
    of = {
        name: run(library, rows, [donors] * count)["rarity"][:3]
        for name, donors in {
            "redis": (("redis", 1.0),),
            "nginx": (("nginx", 1.0),),
            "mostly redis": (("redis", 0.9), ("nginx", 0.1)),
            "unknown": (),
            "never heard of": (("sendmail", 1.0),),
        }.items()
    }
    assert (of["redis"] < of["mostly redis"]).all()
    assert (of["mostly redis"] < of["nginx"]).all()
    assert of["unknown"].tolist() == of["never heard of"].tolist()


def test_a_sample_without_values_keeps_the_score(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    rows = read_rows(samples)
    scorer = Scorer(library, len(rows.containers))
    first, second, third = list(time_steps(rows))[:3]
    step(scorer, rows, first)
    before = step(scorer, rows, second)
    nothing = {name: np.zeros(third.size, dtype=bool) for name in rows.metrics}
    values, _, _ = samples_at(rows, third)
    after = scorer.score(rows.code[third], rows.offset_s[third], rows.offset_s[third], values, nothing)
    assert after.score.tolist() == before.score.tolist()


def test_room_is_made_and_taken_back(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    rows = read_rows(samples)
    scorer, fresh = Scorer(library, 1), Scorer(library, len(rows.containers))
    scorer.resize(len(rows.containers))
    first, second = list(time_steps(rows))[:2]
    step(scorer, rows, first)
    step(scorer, rows, second)
    scorer.forget(np.arange(scorer.size))
    assert step(scorer, rows, first).rarity.tolist() == step(fresh, rows, first).rarity.tolist()


Shares = list[tuple[str, float]]


@pytest.mark.parametrize(
    ("service", "candidates", "similar", "donors"),
    [
        ("redis", [("redis", 0.97), ("nginx", 0.03)], [("redis", 0.9)], [("redis", 0.97)]),
        ("redis", [("redis", 0.7), ("memcached", 0.25), ("nginx", 0.05)], [], [("redis", 0.7), ("memcached", 0.25)]),
        ("redis", [("nginx", 0.9), ("redis", 0.1)], [], [("nginx", 0.9), ("redis", 0.1)]),
        ("redis", [], [], [("redis", 1.0)]),  # decided before a restart
        ("redis", [("nginx", 0.9)], [], [("redis", 1.0)]),
        ("redis", [("redis", 0.6), ("valkey", 0.2), ("nginx", 0.19)], [], [("redis", 0.6), ("valkey", 0.2)]),
        (None, [("redis", 0.9)], [("redis", 0.3)], []),
        (None, [], [("redis", 0.8), ("valkey", 0.79)], [("redis", 0.8)]),
        (None, [], [("redis", 0.9), ("memcached", 0.85), ("nginx", 0.1)], [("redis", 0.9), ("memcached", 0.85)]),
    ],
)  # fmt: skip
def test_the_service_decided_on_and_who_is_near(
    service: str | None, candidates: Shares, similar: Shares, donors: Shares
) -> None:
    assert list(source_detectors_of_decision(service, candidates, similar)) == donors


def scores_of(deviations: np.ndarray, *, value: float = 0.0, change: float = 0.0, usual: float = np.nan) -> StepScores:
    """One sample with these deviations, and the same value of all signals."""
    now, moved = (np.full((1, len(SIGNALS)), each) for each in (value, change))
    one = np.ones(1)
    return StepScores(
        one, one, one > 0, deviations[None], ObservedSignals(now, moved, now, now), np.full((1, len(SIGNALS)), usual)
    )


def drivers(deviations: np.ndarray, *, most: int = 3) -> list[tuple[str, float, str]]:
    found = contributing_signals(scores_of(deviations), 0, most=most)
    return [(each.signal, each.deviation, each.against) for each in found]


def test_the_farthest_come_first_and_the_usual_not_at_all() -> None:
    far = np.zeros(2 * len(SIGNALS))
    cpu, rx, tx = (SIGNALS.index(name) for name in ("cpu_usage_nanocores", "rx_bytes", "tx_bytes"))
    far[cpu], far[len(SIGNALS) + cpu], far[len(SIGNALS) + rx], far[tx] = 3.0, 9.0, -12.0, 1.5
    assert drivers(far) == [("rx_bytes", -12.0, "itself"), ("cpu_usage_nanocores", 9.0, "itself")]
    assert drivers(far, most=1) == [("rx_bytes", -12.0, "itself")]
    assert drivers(np.zeros(2 * len(SIGNALS))) == []


def test_amounts_say_what_is_now_was_before_and_is_usual_for_the_service() -> None:
    far = np.zeros(2 * len(SIGNALS))
    far[SIGNALS.index("rx_bytes")] = 20.0
    scores = scores_of(far, value=np.arcsinh(5e3), change=np.arcsinh(5e3) - np.arcsinh(20.0), usual=np.arcsinh(2.0))
    [driver] = contributing_signals(scores, 0)
    assert driver.to_json() == {
        "signal": "rx_bytes", "strays": 20.0, "against": "service", "words": driver.text,
        "now": 5e6, "before": 2e4, "usual": 2e3,
    }  # fmt: skip
    assert driver.text == "network traffic received is 5 MB a second (20 kB a second before, usual 2 kB a second)"


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ("memory_rss_bytes", "the processes' own memory is unusually low"),
        ("threads.growth", "growth of threads is unusually low"),
        ("cpu_usage_nanocores per rx_bytes", "CPU use per network traffic received is unusually low"),
        ("io_write_bytes per rx_bytes", "data written to disk per network traffic received is unusually low"),
    ],
)  # fmt: skip
def test_a_driver_without_amounts_says_which_way(signal: str, said: str) -> None:
    assert ContributingSignal(signal, -12.0, "itself").text == said


def test_three_drive_at_most_and_none_that_is_less_than_two_deviations_away() -> None:
    far = np.zeros(2 * len(SIGNALS))
    far[:4] = 3.0, 4.0, -5.0, 6.0
    assert [deviation for _, deviation, _ in drivers(far)] == [6.0, -5.0, 4.0]
    far[:4] = 2.0, 1.99, -2.0, -1.99
    assert [deviation for _, deviation, _ in drivers(far)] == [2.0, -2.0]


def test_where_value_and_change_are_as_far_away_it_is_unusual_for_the_service() -> None:
    far = np.zeros(2 * len(SIGNALS))
    far[0] = far[len(SIGNALS)] = 4.0
    assert [against for _, _, against in drivers(far)] == ["service"]
    assert ContributingSignal("rx_bytes", 3.456, "service").to_json()["strays"] == 3.46
