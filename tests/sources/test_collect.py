"""Collecting in rounds: nothing twice, nothing missed, stopped without loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.errors import InputError, PodlabError
from podlab.http import TooLargeError
from podlab.sources.collect import collect, read_slices

T0 = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class EverySecond:
    """A source with one container sampled every second from ``begin`` on."""

    name = "every second"

    def __init__(self, begin: datetime, silent: tuple[datetime, datetime] | None = None, late_s: float = 0.0) -> None:
        self.begin, self.silent, self.late = begin, silent, timedelta(seconds=late_s)
        self.asked: list[tuple[datetime, datetime]] = []

    def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
        self.asked.append((since, until))
        times = pd.date_range(self.begin, until - self.late, freq="s", inclusive="left")
        times = times[times >= since]
        if self.silent is not None:
            times = times[(times < self.silent[0]) | (times >= self.silent[1])]
        if times.empty:
            raise InputError("no rows", where=self.name)
        frame = pd.DataFrame({"time": times, "pod": "web", "container": "main", "memory_usage_bytes": 1.0})
        return check_samples(frame, where=self.name)


class FakeClock:
    def __init__(self) -> None:
        self.now_s = T0.timestamp()

    def time(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0  # as time.sleep has it
        self.now_s += seconds


@pytest.mark.parametrize(
    ("answer_bytes", "longest_s", "slices_s"),
    [
        (1, 900, [10, 20, 40, 80, 160, 195]),
        (100, 900, [10] * 49 + [15]),  # a short rest is asked for with the slice before it
        (1, 30, [10, 20, 20, 20, 20, 20]),  # 40 were refused
    ],
)
def test_slices_grow_while_answers_stay_small(answer_bytes: int, longest_s: int, slices_s: list[int]) -> None:
    def read(since: int, until: int) -> tuple[tuple[int, int], int]:
        if until - since > longest_s:
            raise TooLargeError("too much")
        return (since, until), answer_bytes

    parts = read_slices(
        read, 0, 505, per_s=1, slice_s=10, max_answer_bytes=100, what="rows", where="here", hint="ask for less"
    )
    assert [since for since, _ in parts[1:]] == [until for _, until in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, 505)
    assert [until - since for since, until in parts][: len(slices_s)] == slices_s


def test_a_round_that_takes_longer_than_the_interval_is_followed_by_the_next_at_once() -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1)), FakeClock()
    fetch = source.fetch

    def slowly(since: datetime, until: datetime) -> pd.DataFrame:
        clock.now_s += 90
        return fetch(since, until)

    source.fetch = slowly  # type: ignore[method-assign]
    collect(
        source, window=timedelta(minutes=10), rounds=3, interval=timedelta(minutes=1), clock=clock.time,
        sleep=clock.sleep,
    )  # fmt: skip
    assert [until for _, until in source.asked] == [T0 + timedelta(seconds=90 * n) for n in range(3)]


def test_one_round_fetches_the_window() -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1)), FakeClock()
    samples = collect(source, window=timedelta(seconds=600), clock=clock.time, sleep=clock.sleep)
    assert len(samples) == 600
    assert source.asked == [(T0 - timedelta(seconds=600), T0)]


def test_rounds_bring_each_sample_once() -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1)), FakeClock()
    samples = collect(
        source, window=timedelta(minutes=10), rounds=3, interval=timedelta(minutes=1), clock=clock.time,
        sleep=clock.sleep,
    )  # fmt: skip
    assert len(samples) == 720
    assert samples["time"].diff().dropna().dt.total_seconds().eq(1).all()


@pytest.mark.parametrize("interval_s", [10, 60, 300])
def test_what_an_agent_writes_late_is_not_lost_between_rounds(interval_s: int) -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1), late_s=20), FakeClock()
    samples = collect(
        source, window=timedelta(minutes=10), rounds=5, interval=timedelta(seconds=interval_s), clock=clock.time,
        sleep=clock.sleep,
    )  # fmt: skip
    assert samples["time"].diff().dropna().dt.total_seconds().eq(1).all()
    assert len(samples) == 600 - 20 + 4 * interval_s


def test_what_a_source_has_forgotten_stays() -> None:
    class Forgetful(EverySecond):
        def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
            return super().fetch(max(since, until - timedelta(seconds=65)), until)

    source, clock = Forgetful(T0 - timedelta(hours=1)), FakeClock()
    samples = collect(source, window=timedelta(seconds=60), rounds=3, clock=clock.time, sleep=clock.sleep)
    assert len(samples) == 180


def test_a_row_whose_start_was_learned_later_is_one_row() -> None:
    class Learning(EverySecond):
        def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
            found = super().fetch(since, until)
            return found if len(self.asked) == 1 else found.assign(started_at=pd.Timestamp(self.begin))

    source, clock = Learning(T0 - timedelta(hours=1)), FakeClock()
    samples = collect(source, window=timedelta(minutes=10), rounds=2, clock=clock.time, sleep=clock.sleep)
    assert not samples.duplicated(["pod", "container", "time"]).any()
    assert len(samples) == 660


def test_a_round_without_news_is_told(caplog: pytest.LogCaptureFixture) -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1), (T0, T0 + timedelta(hours=1))), FakeClock()
    samples = collect(source, window=timedelta(minutes=10), rounds=2, clock=clock.time, sleep=clock.sleep)
    assert len(samples) == 600
    assert "round 2: nothing new in every second" in caplog.text


def test_a_silent_round_loses_nothing() -> None:
    silent = (T0 + timedelta(seconds=0), T0 + timedelta(seconds=60))
    source, clock = EverySecond(T0 - timedelta(hours=1), silent), FakeClock()
    samples = collect(
        source, window=timedelta(minutes=1), rounds=3, interval=timedelta(minutes=1), clock=clock.time,
        sleep=clock.sleep,
    )  # fmt: skip
    assert len(samples) == 120
    assert source.asked[2][0] == T0


def test_nothing_in_the_first_round_is_an_error() -> None:
    clock = FakeClock()
    with pytest.raises(InputError, match="no rows"):
        collect(EverySecond(T0 + timedelta(hours=1)), window=timedelta(minutes=1), rounds=3, clock=clock.time)


@pytest.mark.parametrize("failing", [{2}, {2, 3}, {5}])
def test_a_later_round_that_fails_costs_nothing_that_came(failing: set[int], caplog: pytest.LogCaptureFixture) -> None:
    class Failing(EverySecond):
        def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
            found = super().fetch(since, until)
            if len(self.asked) in failing:
                raise PodlabError("did not answer within 60 s", where=self.name)
            return found

    source, clock = Failing(T0 - timedelta(hours=1)), FakeClock()
    samples = collect(source, window=timedelta(minutes=10), rounds=5, clock=clock.time, sleep=clock.sleep)
    assert samples["time"].diff().dropna().dt.total_seconds().eq(1).all()
    assert len(samples) == 600 + (3 if 5 in failing else 4) * 60
    assert caplog.text.count("did not answer within 60 s") == len(failing)


def test_ctrl_c_keeps_what_came() -> None:
    source, clock = EverySecond(T0 - timedelta(hours=1)), FakeClock()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    samples = collect(source, window=timedelta(minutes=10), rounds=9, clock=clock.time, sleep=interrupt)
    assert len(samples) == 600


def test_a_source_without_a_past_is_waited_for() -> None:
    source, clock, told = EverySecond(T0), FakeClock(), []
    samples = collect(
        source, window=timedelta(seconds=30), wait=timedelta(seconds=30), clock=clock.time, sleep=clock.sleep,
        progress=lambda done, total, what="": told.append((done, total, what)),
    )  # fmt: skip
    assert len(samples) == 30
    assert told[:2] == [(1, 30, "seconds"), (2, 30, "seconds")]
    assert told[-1] == (1, 1, "rounds")


def test_ctrl_c_while_waiting_keeps_what_came() -> None:
    source, clock = EverySecond(T0), FakeClock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.time() >= T0.timestamp() + 12:
            raise KeyboardInterrupt

    samples = collect(
        source, window=timedelta(minutes=10), wait=timedelta(minutes=10), rounds=9, clock=clock.time, sleep=sleep
    )
    assert len(samples) == 12
