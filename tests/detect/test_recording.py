"""A recording is scored as a watcher would have: named when enough was seen, alarms put together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.detect.recording import COLUMNS, RecordingScores, score_recording
from podlab.detect.signals import time_steps
from podlab.features.rows import read_rows
from tests.detect.conftest import leak
from tests.support.models import small_identifier, small_library
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "redis"), deployments_per_service=2, seconds=60, seed=5)


def score(samples: pd.DataFrame) -> RecordingScores:
    return score_recording(samples, small_identifier(), small_library())


def test_a_container_has_no_service_until_it_was_seen_for_ten_seconds(samples: pd.DataFrame) -> None:
    table = score(samples).table
    assert tuple(table) == COLUMNS
    assert len(table) == len(samples)
    first = table.groupby("pod")["time"].transform("min")
    assert (table["time"] == table.groupby("pod")["time"].cummax()).all()
    seen_s = table["time"] - samples.set_index("pod")["started_at"].groupby("pod").first().loc[table["pod"]].array
    early = seen_s < pd.Timedelta("10s")
    assert early.sum() > 4 * 8
    assert (table["service"].notna() == ~early).all()
    truth = samples.drop_duplicates("pod").set_index("pod")["service"]
    assert (table["service"][~early] == truth.loc[table["pod"][~early]].array).all()
    assert (first <= table["time"]).all()


def test_who_is_met_late_is_seen_from_its_first_row_on(samples: pd.DataFrame) -> None:
    late = samples[samples["time"] >= samples["started_at"] + pd.Timedelta("30s")].reset_index(drop=True)
    table = score(late).table
    age_s = (table["time"] - table.groupby("pod")["time"].transform("min")).dt.total_seconds()
    assert table["service"][age_s < 9.5].isna().all()
    assert table["service"][age_s > 10].notna().any()


def test_rows_in_any_order_score_the_same(samples: pd.DataFrame) -> None:
    shuffled = samples.sample(frac=1.0, random_state=0)
    pd.testing.assert_frame_equal(score(shuffled).table, score(samples).table)


def test_an_alarm_goes_from_its_first_anomalous_row_to_its_last_and_tells_the_highest_score(
    samples: pd.DataFrame,
) -> None:
    found = score(leak(samples, begin_s=40))
    for number, alarms in enumerate(found.alarms):
        begin = found.first_row[number]
        own = found.table.iloc[begin : begin + (found.table["pod"] == found.containers["pod"][number]).sum()]
        assert set(own["pod"]) == {found.containers["pod"][number]}
        last = alarms[-1]
        assert last.until == own["time"][own["anomaly"]].max()
        inside = own[(own["time"] >= last.since) & (own["time"] <= last.until)]
        assert last.score == inside["score"].max() == found.table["score"][last.row]
        assert last.signals[0].deviation > 2
        told = last.to_json()
        assert list(told) == ["since", "until", "score", "drivers"]
        assert told["since"] == last.since.isoformat()
    assert len(found.alarms) == 4


def test_no_rows_have_no_time_steps(samples: pd.DataFrame) -> None:
    rows = read_rows(samples)
    assert next(which.size for which in time_steps(rows)) == 4
    nothing = rows.only(np.zeros(4, dtype=bool))
    assert list(time_steps(nothing)) == []
