"""Several Telegraf agents tell of the same containers: one is taken, another only where that one has nothing."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase, MeasurementRows
from podlab.sources.telegraf import one_agent
from tests.support.influxd import Influxd

START = datetime(2026, 1, 1, tzinfo=UTC)
START_S = int(START.timestamp())


def told_by(agent: str, seconds: list[float], pod: str = "web-0", *, later_s: float = 0.0) -> list[str]:
    """Points of one pod as one agent writes them; what they tell grows with the sample, whoever tells it."""
    tags = f"host={agent},namespace=shop,node_name=n1,pod_name={pod}"
    lines = []
    for second in seconds:
        ns = round((START_S + second + later_s) * 10**9)
        value = round(second * 100) + 1
        lines += [
            f"kubernetes_pod_container,container_name=app,{tags} cpu_usage_core_nanoseconds={value}i {ns}",
            f"kubernetes_pod_network,{tags} rx_bytes={value}i,tx_bytes=1i {ns}",
            f"kubernetes_pod_volume,volume_name=data,{tags} used_bytes=7i {ns}",
        ]
    return lines


def fetch(influxd: Influxd, database: str, *parts: list[str]) -> pd.DataFrame:
    influxd.write(database, "\n".join(line for part in parts for line in part).encode())
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    return source.fetch(START, START + timedelta(minutes=10))


def seconds_of(got: pd.DataFrame) -> list[float]:
    return (got["time"] - pd.Timestamp(START)).dt.total_seconds().tolist()


TENS = [float(second) for second in range(0, 120, 10)]


@pytest.mark.parametrize("later_s", [0.4, -0.6, 4.0])
@pytest.mark.parametrize("others", [["b"], ["b", "c"]])
def test_each_sample_comes_once(influxd: Influxd, database: str, later_s: float, others: list[str]) -> None:
    more = [told_by(agent, TENS[1:-1], later_s=later_s * n) for n, agent in enumerate(others, 1)]
    got = fetch(influxd, database, told_by("a", TENS), *more)
    assert seconds_of(got) == TENS
    assert got["rx_bytes"].tolist() == [second * 100 + 1 for second in TENS]
    assert got["volume_used_bytes"].tolist() == [7] * len(TENS)
    assert got["cpu_usage_core_nanoseconds"].tolist() == [second * 100 + 1 for second in TENS]


def test_the_agent_with_more_rows_is_taken(influxd: Influxd, database: str) -> None:
    got = fetch(influxd, database, told_by("a", TENS[4:8], later_s=0.4), told_by("b", TENS))
    assert seconds_of(got) == TENS


def test_agents_that_take_turns_leave_no_gap(influxd: Influxd, database: str) -> None:
    # As when an agent's pod is replaced, with a moment of both.
    got = fetch(influxd, database, told_by("old", TENS[:8]), told_by("new", TENS[6:], later_s=0.5))
    assert seconds_of(got) == [*TENS[:8], *(second + 0.5 for second in TENS[8:])]
    assert got["rx_bytes"].tolist() == [second * 100 + 1 for second in TENS]


def test_a_gap_of_one_is_filled_by_the_other(influxd: Influxd, database: str) -> None:
    got = fetch(influxd, database, told_by("a", TENS[:4] + TENS[7:]), told_by("b", TENS[2:9], later_s=0.4))
    assert seconds_of(got) == [*TENS[:4], 40.4, 50.4, 60.4, *TENS[7:]]


def test_agents_of_one_node_each_are_no_rivals(influxd: Influxd, database: str) -> None:
    got = fetch(influxd, database, told_by("a", TENS, "web-0"), told_by("b", TENS, "web-1", later_s=0.4))
    assert got["pod"].value_counts().to_dict() == {"web-0": len(TENS), "web-1": len(TENS)}


def elsewhere(lines: list[str], node: str) -> list[str]:
    """What another container of the same name tells, on a node of another cluster."""
    more = [re.sub(r"(nanoseconds|rx_bytes)=(\d+)i", r"\1=9\g<2>00i", line) for line in lines]
    return [line.replace("node_name=n1", f"node_name={node}") for line in more]


@pytest.mark.parametrize("later_s", [0.0, 3.0])
@pytest.mark.parametrize(("node", "differ"), [("n1", "by host a, b"), ("n9", "on node_name n1, n9")])
def test_pods_of_one_name_in_two_clusters_are_not_mixed_and_it_is_told_once(
    influxd: Influxd, database: str, node: str, differ: str, later_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    other = elsewhere(told_by("b", TENS[1:], later_s=later_s), node)
    influxd.write(database, "\n".join(told_by("a", TENS) + other).encode())
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            got = source.fetch(START, START + timedelta(minutes=10), pods=["web-0"])
    assert seconds_of(got) == TENS
    for name in ("rx_bytes", "cpu_usage_core_nanoseconds"):
        assert got[name].tolist() == [second * 100 + 1 for second in TENS]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert f"two pods of one name run at the same time, shop/web-0 {differ}; one is taken: give" in told[0]


def test_a_pod_that_moves_to_another_node_is_no_twin(
    influxd: Influxd, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    # The old node tells of it once more.
    with caplog.at_level(logging.WARNING):
        got = fetch(influxd, database, told_by("a", TENS[:7]), elsewhere(told_by("b", TENS[6:], later_s=2.0), "n9"))
    assert got["node"].value_counts().to_dict() == {"n1": 7, "n9": 6}
    assert not caplog.records


def test_without_the_tag_the_repeats_are_known_by_their_counters(influxd: Influxd, database: str) -> None:
    both = [*told_by("a", TENS), *told_by("a", TENS, later_s=0.4)]
    got = fetch(influxd, database, [line.replace("host=a,", "") for line in both])
    assert seconds_of(got) == TENS
    assert got["rx_bytes"].tolist() == [second * 100 + 1 for second in TENS]


SEEN = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from("abc"), st.integers(0, 40)), min_size=1, max_size=40, unique=True
)


@given(SEEN)
def test_of_each_series_the_best_agents_rows_are_all_kept_and_no_others_beside_them(drawn: list) -> None:
    tags = sorted({(who, agent) for who, agent, _ in drawn})
    rows = MeasurementRows(
        list(tags),
        np.array([tags.index((who, agent)) for who, agent, _ in drawn], np.int64),
        np.array([at * 10**9 for _, _, at in drawn], np.int64),
        {"value": pd.Series(range(len(drawn)))},
    )
    got = one_agent(rows)
    kept = {drawn[n] for n in got.fields["value"]}
    assert [got.tags[n] for n in got.series] == [(drawn[n][0],) for n in got.fields["value"]]
    count: dict[tuple[str, str], int] = defaultdict(int)
    for who, agent, _ in drawn:
        count[who, agent] += 1
    for name in {who for who, _, _ in drawn}:
        best = min((agent for who, agent in count if who == name), key=lambda agent: (-count[name, agent], agent))
        own = {each for each in drawn if each[:2] == (name, best)}
        assert own <= kept
        # No row is lost where nobody else tells of its time.
        assert all((name, other, at) not in kept for _, _, at in own for other in "abc" if other != best)
