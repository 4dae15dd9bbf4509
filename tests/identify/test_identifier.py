"""Answers: the contract's fields, other columns and intervals, startup and mid-life, the unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, IDENTITY, LABELS, ORIGINAL_METRICS
from podlab.data.recordings import write_recording
from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.features.rows import read_rows
from podlab.features.windows import containers_usable, make_windows
from podlab.identify import Identifier
from podlab.model import bundle
from tests.identify.conftest import SERVICES, hits
from tests.support.synthetic import make_samples


def test_the_contracts_line(identifier: Identifier, others: pd.DataFrame) -> None:
    answer = identifier.identify(others, horizon_s=30.0)[0]
    line = answer.to_json()
    assert list(line) == [
        "cluster", "namespace", "pod", "pod_uid", "container", "seconds_observed", "service", "confidence",
        "candidates", "similar", "known", "novelty", "model", "shortlist", "promise", "columns",
    ]  # fmt: skip
    assert json.loads(json.dumps(line, allow_nan=False)) == line
    assert set(answer.candidates) == set(SERVICES)
    assert sum(answer.candidates.values()) == pytest.approx(1.0)
    assert answer.confidence == max(answer.candidates.values()) == next(iter(answer.candidates.values()))
    assert answer.similar[0][0] == answer.service == next(iter(answer.candidates))
    assert [near for _, near in answer.similar] == sorted((near for _, near in answer.similar), reverse=True)
    assert 28 < answer.seconds_observed < 30


@pytest.mark.parametrize("horizon_s", [4.0, 10.0, 25.0, 30.0, 60.0, None])
def test_right_from_the_first_seconds_on(identifier: Identifier, others: pd.DataFrame, horizon_s: float | None) -> None:
    assert hits(identifier.identify(others, horizon_s=horizon_s), others) == 1.0


def test_a_horizon_never_looks_beyond_itself(identifier: Identifier, others: pd.DataFrame) -> None:
    age_s = (others["time"] - others["started_at"]).dt.total_seconds()
    changed = others.assign(memory_rss_bytes=others["memory_rss_bytes"].where(age_s < 20, 1.0))
    assert identifier.identify(others, horizon_s=20.0) == identifier.identify(changed, horizon_s=20.0)


@pytest.mark.parametrize(
    "dropped",
    [
        ("io_read_bytes", "io_write_bytes"),
        ("rootfs_used_bytes", "logsfs_used_bytes", "volume_used_bytes"),
        ("cpu_usage_nanocores",),
    ],
)
def test_missing_columns_degrade_but_do_not_break(
    identifier: Identifier, others: pd.DataFrame, dropped: tuple[str, ...]
) -> None:
    assert hits(identifier.identify(others.drop(columns=list(dropped)), horizon_s=30.0), others) >= 0.75


@pytest.mark.parametrize(("interval_s", "horizon_s"), [(5.0, 30.0), (10.0, 30.0), (10.0, None)])
def test_other_sampling_intervals(identifier: Identifier, interval_s: float, horizon_s: float | None) -> None:
    seldom = make_samples(SERVICES, deployments_per_service=3, seconds=100, interval_s=interval_s, seed=6)
    assert hits(identifier.identify(seldom, horizon_s=horizon_s), seldom) >= 0.75


def test_one_sample_a_minute_still_gives_an_answer(identifier: Identifier) -> None:
    seldom = make_samples(SERVICES, deployments_per_service=2, seconds=100, interval_s=60, seed=6)
    for answer in identifier.identify(seldom, horizon_s=60.0):
        assert set(answer.candidates) == set(SERVICES)


def test_names_do_not_change_the_answer(identifier: Identifier, others: pd.DataFrame) -> None:
    renamed = others.drop(columns=["image_size_bytes", *(name for name in LABELS if name in others)])
    renamed = renamed.assign(
        **{name: "x-" + renamed[name] for name in IDENTITY if renamed.get(name, others.time).dtype == "str"}
    )
    before = identifier.identify(others, horizon_s=30.0)
    after = identifier.identify(check_samples(renamed, where="test"), horizon_s=30.0)
    assert [answer.candidates for answer in after] == [answer.candidates for answer in before]


def test_a_container_is_judged_by_itself(identifier: Identifier, others: pd.DataFrame) -> None:
    together = identifier.identify(others)
    alone = [answer for pod in others["pod"].unique() for answer in identifier.identify(others[others["pod"] == pod])]
    assert alone == together


def test_mid_life_is_told_apart_from_birth_and_less_surely(identifier: Identifier, others: pd.DataFrame) -> None:
    age_s = (others["time"] - others["started_at"]).dt.total_seconds()
    old = others[age_s >= 40]
    answers = identifier.identify(old)
    # Held out were twelve containers only: whether one is strange is known less well than which service it is.
    truth = others.drop_duplicates("pod").set_index("pod")["service"]
    assert [next(iter(answer.candidates)) for answer in answers] == [truth[answer.pod] for answer in answers]
    assert hits(answers, others) > 0.5
    assert all(55 < answer.seconds_observed < 61 for answer in answers)


def test_a_container_without_a_value_gets_no_service(identifier: Identifier, others: pd.DataFrame) -> None:
    first = others["pod"].unique()[0]
    values = [name for name in identifier.columns if name in others]
    blank = others.copy()
    for name in values:
        blank.loc[blank["pod"] == first, name] = pd.NA
    answer = next(a for a in identifier.identify(blank, horizon_s=30.0) if a.pod == first)
    assert (answer.service, answer.known, answer.confidence, answer.candidates) == (None, False, 0.0, {})
    assert (answer.novelty, answer.columns) == (1.0, ())
    late = others[others["time"] > others["started_at"] + pd.Timedelta(seconds=50)]
    assert all(answer.service is None for answer in identifier.identify(late, horizon_s=30.0))


def test_an_answer_names_the_columns_it_rests_on(identifier: Identifier, others: pd.DataFrame) -> None:
    first, second, *_ = others["pod"].unique()
    late = others["time"] > others["started_at"] + pd.Timedelta(seconds=35)
    partly = others.copy()
    partly.loc[(partly["pod"] == first) & ~late, "io_read_bytes"] = pd.NA  # only after the horizon
    partly.loc[(partly["pod"] == second) & ~partly.duplicated("pod"), "io_read_bytes"] = pd.NA
    partly = partly.drop(columns=["rootfs_used_bytes"])
    by_pod = {answer.pod: answer.columns for answer in identifier.identify(partly, horizon_s=30.0)}
    there = tuple(name for name in identifier.columns if name != "rootfs_used_bytes")
    assert by_pod.pop(first) == tuple(name for name in there if name != "io_read_bytes")
    assert set(by_pod.values()) == {there}


def test_usable_is_who_has_a_value_in_a_window(others: pd.DataFrame) -> None:
    """A counter needs two samples, or its start; a level needs one."""
    pods = others["pod"].unique()
    age_s = (others["time"] - others["started_at"]).dt.total_seconds()
    counters = [name for name in ORIGINAL_METRICS if CATALOGUE[name].kind == "counter"]
    gauges = [name for name in ORIGINAL_METRICS if CATALOGUE[name].kind == "gauge"]
    bare = others.copy()
    bare.loc[bare["pod"].isin(pods[:4]), gauges] = float("nan")
    bare.loc[bare["pod"] == pods[0], counters] = pd.NA
    bare.loc[bare["pod"] == pods[4], counters] = pd.NA
    once = bare["pod"].isin(pods[1:3]) & (age_s > age_s.groupby(bare["pod"]).transform("min"))
    bare.loc[once, counters] = pd.NA
    bare["started_at"] = bare["started_at"].mask(bare["pod"] == pods[2])
    rows = read_rows(bare)
    for columns in (ORIGINAL_METRICS, ("rx_bytes",), ("rx_bytes", "memory_rss_bytes")):
        for horizon_s in (0.2, 20.0, None):
            expected = make_windows(rows, horizon_s=horizon_s, columns=columns).usable
            kept = rows if horizon_s is None else rows.take((rows.offset_s >= 0) & (rows.offset_s < horizon_s))
            np.testing.assert_array_equal(containers_usable(kept, columns, horizon_s), expected)


def test_missing_identity_is_null(identifier: Identifier, others: pd.DataFrame) -> None:
    bare = others.drop(columns=["namespace", "pod_uid", "cluster"])
    line = identifier.identify(check_samples(bare, where="test"), horizon_s=10.0)[0].to_json()
    assert (line["namespace"], line["pod_uid"], line["cluster"]) == (None, None, "local")


def test_a_service_never_seen_looks_new(identifier: Identifier, others: pd.DataFrame) -> None:
    strange = make_samples(("zookeeper", "kafka"), deployments_per_service=4, seconds=60)
    known = [answer.novelty for answer in identifier.identify(others, horizon_s=60.0)]
    unknown = identifier.identify(strange, horizon_s=60.0)
    assert min(answer.novelty for answer in unknown) > 0.85
    assert sum(known) / len(known) < 0.7
    assert all((answer.service is None) == (not answer.known) for answer in unknown)


def test_wrong_use_is_refused(identifier: Identifier, others: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="the horizon must be longer than 0"):
        identifier.identify(others, horizon_s=0.0)
    with pytest.raises(InputError, match="none of the model's columns"):
        identifier.identify(others.drop(columns=list(identifier.columns)))


def test_identifying_needs_no_scikit_learn(identifier: Identifier, others: pd.DataFrame, tmp_path: Path) -> None:
    bundle.save(identifier, tmp_path / "model", name="small")
    write_recording(others, tmp_path / "others.parquet")
    code = (
        "import sys; from pathlib import Path\n"
        "from podlab.model import bundle; from podlab.data.recordings import read_recording\n"
        "model = bundle.load(Path(sys.argv[1])).identifier\n"
        "print(len(model.identify(read_recording([Path(sys.argv[2])]))))\n"
        "print(sorted(name for name in sys.modules if name in ('sklearn', 'joblib', 'scipy')))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "others.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.splitlines() == ["9", "[]"]
