"""A restart is told from what is not a counter, and rows of zeros that know nothing from those of a quiet container."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from tests.importing.conftest import BEGIN_S, CPU, MEMORY, RX, Import


def counted(values: list[float], pod: str = "a") -> str:
    return "".join(f"{pod},{BEGIN_S + 10 * n},{value}\n" for n, value in enumerate(values))


LIFE = st.lists(st.integers(1, 1000), min_size=3, max_size=6)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LIFE, min_size=1, max_size=3))
def test_a_container_may_restart_in_a_short_recording(bring: Import, lives: list[list[int]]) -> None:
    values = [sum(lives[0][: n + 1]) for n in range(len(lives[0]))]
    for steps in lives[1:]:
        values += [1 + sum(steps[1 : n + 1]) for n in range(len(steps))]
    done = bring("pod,time,rx\n" + counted(values), columns=[RX])
    assert done.samples["rx_bytes"].tolist() == values


def test_a_restart_is_told(bring: Import) -> None:
    done = bring("pod,time,rx\n" + counted([10, 11, 12, 0.1, 1, 2, 3]), columns=[{**RX, "unit": "MB"}])
    assert done.samples["rx_bytes"].tolist() == [n * 10**5 for n in (100, 110, 120, 1, 10, 20, 30)]
    assert "counters begin anew in 1 pods, such as 'rx' of 'a': a restart" in done.notes


@pytest.mark.parametrize("values", [[10, 1, 2], [10, 11, 1, 2], [9, 10, 11, 1], [5, 6, 7, 1, 2, 4, 1, 3, 5]])
def test_restarts_may_be_many_for_their_rows(bring: Import, values: list[int]) -> None:
    assert bring("pod,time,rx\n" + counted(values), columns=[RX]).samples["rx_bytes"].tolist() == values


@pytest.mark.parametrize(
    "values",
    [
        [5, 3], [5, 2], [120, 0, 300, 0, 250, 0], [100, 90, 95, 91, 99], [10, 100, 12, 90, 11, 100], [9, 8, 7, 6, 5, 4],
        [300, 280, 0, 310, 290, 0, 300],
    ],
)  # fmt: skip
def test_levels_and_rates_are_no_counters(bring: Import, values: list[float]) -> None:
    with pytest.raises(InputError, match=r"column 'rx' falls in \d+% of its steps, so it is not a counter"):
        bring("pod,time,rx\n" + counted(values), columns=[RX])


def rows(*values: tuple[float, float, float]) -> str:
    lines = (f"a,{BEGIN_S + 10 * n},{cpu},{mem},{rx}\n" for n, (cpu, mem, rx) in enumerate(values))
    return "pod,time,cpu,mem,rx\n" + "".join(lines)


def test_a_row_of_zeros_amid_others_tells_nothing(bring: Import) -> None:
    blip = rows((1, 50, 100), (0, 0, 0), (1, 51, 120), (0, 0, 0))
    done = bring(blip, columns=[CPU, MEMORY, RX])
    assert done.samples["rx_bytes"].tolist() == [100, 120]
    assert done.samples["memory_usage_bytes"].tolist() == [50, 51]
    assert "2 rows have no value, or zeros in all columns: left out" in done.notes
    done = bring(blip, columns=[CPU, RX])
    assert done.samples["rx_bytes"].tolist() == [100, 120]


def test_zeros_of_a_quiet_container_are_values(bring: Import) -> None:
    quiet = rows((0, 50, 0), (0, 50, 0), (5, 50, 0))
    assert len(bring(quiet, columns=[CPU, MEMORY, RX]).samples) == 3
    assert len(bring(quiet, columns=[CPU, RX]).samples) == 3
    growth = {**RX, "kind": "growth"}
    assert len(bring(rows((0, 1, 7), (0, 1, 0), (0, 1, 7)), columns=[CPU, growth]).samples) == 3


def test_memory_of_nothing_of_nothing_is_not_known(bring: Import) -> None:
    lines = [("3%", "11MiB / 2GiB"), ("3%", "0B / 0B"), ("0.00%", "0B / 0B"), ("--", "-- / --")]
    text = "".join(f'{{"pod":"a","time":{BEGIN_S + n},"cpu":"{c}","mem":"{m}"}}\n' for n, (c, m) in enumerate(lines))
    columns = [{**CPU, "unit": "text"}, {**MEMORY, "unit": "text"}]
    samples = bring(text, columns=columns, ending="jsonl").samples
    assert samples["cpu_usage_nanocores"].tolist() == [30_000_000, 30_000_000]
    assert samples["memory_usage_bytes"].fillna(-1).tolist() == [11 * 2**20, -1]
    with pytest.raises(InputError, match="no row has a value"):
        bring(text.splitlines()[2], columns=columns, ending="jsonl")


def test_counts_beyond_64_bits_are_missing(bring: Import, caplog: pytest.LogCaptureFixture) -> None:
    exact = 2**62 + 1
    text = "pod,time,rx\n" + counted([exact, 2**63, 2**64 - 1, 2**70])
    assert bring(text + f"b,{BEGIN_S},5\n", columns=[RX]).samples["rx_bytes"].tolist() == [exact, 5]
    assert "3 values of rx are beyond 2**63 and count as missing" in caplog.text
    assert bring("pod,time,rx\n" + counted([2**62, 1]), columns=[{**RX, "unit": "KiB"}]).samples[
        "rx_bytes"
    ].tolist() == [1024]
