"""Samples get what the inventory knows of their container, and only of theirs."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from podlab.data.samples import check_samples
from podlab.kubernetes.inventory import COLUMNS, FILLED, enrich
from tests.support.synthetic import make_samples

EPOCH = pd.Timestamp("2026-01-05T08:00:00Z")


def at(seconds: float | None) -> pd.Timestamp | None:
    return None if seconds is None else EPOCH + pd.Timedelta(seconds=seconds)


def samples_of(*rows: dict[str, Any]) -> pd.DataFrame:
    default = {"namespace": "shop", "pod": "web-0", "container": "web", "memory_usage_bytes": 1.0}
    return check_samples(pd.DataFrame([default | row for row in rows]), where="test")


def inventory_of(*rows: dict[str, Any]) -> pd.DataFrame:
    default = {
        "cluster": "local", "node": "node-1", "namespace": "shop", "pod": "web-0", "pod_uid": "u-1",
        "container": "web", "image": "nginx", "started_at": at(0), "image_size_bytes": 70.0, "pod_labels": {},
        "owner_kind": None, "owner_name": None,
    }  # fmt: skip
    return pd.DataFrame([default | row for row in rows], columns=list(COLUMNS)).astype(COLUMNS)


def test_what_is_missing_is_filled_in() -> None:
    filled = enrich(samples_of({"time": at(5)}), inventory_of({})).iloc[0]
    assert filled[list(FILLED)].tolist() == ["node-1", "u-1", "nginx", at(0), 70.0]
    check_samples(enrich(samples_of({"time": at(5)}), inventory_of({})), where="test")


def test_what_is_there_stays() -> None:
    samples = samples_of({"time": at(5), "image": "mine", "image_size_bytes": 1.0, "started_at": at(0)})
    filled = enrich(samples, inventory_of({})).iloc[0]
    assert filled[["image", "image_size_bytes", "pod_uid"]].tolist() == ["mine", 1.0, "u-1"]


@pytest.mark.parametrize("lost", [f"sha256:{'0a' * 32}", "0a" * 32, "<none>", "<invalid>"])
def test_the_image_of_the_pods_spec_wins_over_a_digest(lost: str) -> None:
    samples = samples_of({"time": at(5), "image": lost})
    assert enrich(samples, inventory_of({}))["image"].tolist() == ["nginx"]
    # Nobody knows better: it stays as it was told, where it was told anything.
    told = [] if lost == "<none>" else [lost]
    assert enrich(samples, inventory_of({"pod": "other"}))["image"].dropna().tolist() == told


def test_samples_before_the_start_belong_to_another() -> None:
    samples = samples_of({"time": at(-1)}, {"time": at(0)})
    assert enrich(samples, inventory_of({}))["pod_uid"].notna().tolist() == [False, True]


def test_two_pods_of_one_name_are_told_apart_by_time_and_by_uid() -> None:
    inventory = inventory_of({"pod_uid": "u-2", "started_at": at(100)}, {})
    samples = samples_of({"time": at(50)}, {"time": at(150)}, {"time": at(160), "pod_uid": "u-1"})
    filled = enrich(samples, inventory).sort_values("time")
    assert filled["pod_uid"].tolist() == ["u-1", "u-2", "u-1"]
    assert filled["started_at"].tolist() == [at(0), at(100), at(0)]


def test_a_restarted_container_is_not_the_one_before() -> None:
    samples = samples_of({"time": at(50), "started_at": at(10)}, {"time": at(60), "started_at": at(0)})
    assert enrich(samples, inventory_of({}))["pod_uid"].notna().tolist() == [False, True]


def test_a_source_may_tell_the_start_a_little_before_the_api() -> None:
    samples = samples_of({"time": at(50), "started_at": at(8)}, {"time": at(60), "started_at": at(2)})
    filled = enrich(samples, inventory_of({"started_at": at(10)}))
    assert filled.sort_values("time")["pod_uid"].notna().tolist() == [True, False]
    assert filled.sort_values("time")["started_at"].tolist() == [at(8), at(2)]


def test_other_clusters_and_namespaces_do_not_count() -> None:
    samples = samples_of(
        {"time": at(5), "cluster": "east"}, {"time": at(5), "namespace": "x"}, {"time": at(5), "namespace": None}
    )
    assert enrich(samples, inventory_of({}))["pod_uid"].isna().all()


def test_without_an_inventory_nothing_changes() -> None:
    samples = make_samples(seconds=3)
    assert_frame_equal(enrich(samples, inventory_of()), samples, check_like=True)


def told(rows: list[dict[str, Any]]) -> list[list[Any]]:
    return [[None if pd.isna(row.get(column)) else row[column] for column in FILLED] for row in rows]


def naive_enrich(samples: pd.DataFrame, inventory: pd.DataFrame) -> list[dict[str, Any]]:
    """Row by row: the start nearest to its own within 5 s, or the last before it, of the containers it may be of."""
    rows = samples.to_dict("records")
    for row in rows:
        may_be = [
            known
            for known in sorted(inventory.to_dict("records"), key=lambda known: (known["started_at"], known["pod_uid"]))
            if all(row[name] == known[name] for name in ("cluster", "namespace", "pod", "container"))
            and (pd.isna(row["pod_uid"]) or row["pod_uid"] == known["pod_uid"])
        ]
        own = row["started_at"]
        if pd.isna(own):
            best = ([None] + [known for known in may_be if known["started_at"] <= row["time"]])[-1]
        else:
            near = [known for known in may_be if abs((known["started_at"] - own).total_seconds()) <= 5]
            before = [known for known in near if known["started_at"] <= own][-1:]
            after = [known for known in near if known["started_at"] > own][:1]
            best = min([*before, *after], key=lambda known: abs(known["started_at"] - own), default=None)
        fits = best is not None
        for column in FILLED:
            if fits and pd.isna(row.get(column)):
                row[column] = best[column]
    return rows


NAMES = {"namespace": st.sampled_from(["a", "b"]), "pod": st.sampled_from(["p", "q"]), "container": st.just("c")}
SECONDS = st.integers(0, 20)
KNOWN = st.fixed_dictionaries(NAMES | {"pod_uid": st.sampled_from("uvw"), "started_at": SECONDS.map(at)})
TAKEN = st.fixed_dictionaries(
    NAMES | {"time": SECONDS.map(at)},
    optional={
        "pod_uid": st.sampled_from("uvw"),
        "started_at": SECONDS.map(at),
        "node": st.just("n"),
        "image": st.just("i"),
    },
)


@settings(max_examples=60)
@given(st.lists(TAKEN, min_size=1, max_size=12), st.lists(KNOWN, max_size=8))
def test_as_the_naive_twin(taken: list[dict[str, Any]], known: list[dict[str, Any]]) -> None:
    samples, inventory = samples_of(*taken), inventory_of(*known)
    filled = enrich(samples, inventory)
    assert told(filled.to_dict("records")) == told(naive_enrich(samples, inventory))
    assert_frame_equal(filled[samples.columns].mask(samples.isna()), samples)
