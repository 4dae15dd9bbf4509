"""Recordings: what is written comes back, from Parquet and from CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podlab.data.recordings import read_recording, write_recording
from podlab.data.samples import check_samples, is_missing
from tests.support.synthetic import make_samples

BEYOND_FLOATS = 2**53 + 1


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=20)


def test_round_trip_keeps_every_value(samples: pd.DataFrame, tmp_path: Path) -> None:
    samples = samples.assign(anomaly=pd.array([True, False, pd.NA] + [False] * (len(samples) - 3), dtype="boolean"))
    write_recording(samples, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_recording([tmp_path / "a.parquet"]), samples)


def test_csv_gives_the_same_as_parquet(samples: pd.DataFrame, tmp_path: Path) -> None:
    samples.to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(read_recording([tmp_path / "a.csv"]), samples)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("head", ["", "\r\n", "sep="])
def test_csv_as_spreadsheets_and_editors_save_it(
    samples: pd.DataFrame, tmp_path: Path, head: str, separator: str, encoding: str
) -> None:
    few = samples.groupby("pod").head(3).reset_index(drop=True)
    text = few.to_csv(index=False, sep=separator, lineterminator="\r\n")
    above = f"sep={separator}\r\n" if head == "sep=" else head
    (tmp_path / "a.csv").write_bytes((above + text).encode(encoding))
    pd.testing.assert_frame_equal(read_recording([tmp_path / "a.csv"]), few)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_half_floats(samples: pd.DataFrame, tmp_path: Path) -> None:
    samples.assign(memory_rss_bytes=np.float16(7)).to_parquet(tmp_path / "a.parquet")
    expected = samples.assign(memory_rss_bytes=7.0)
    pd.testing.assert_frame_equal(read_recording([tmp_path / "a.parquet"]), expected)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_counters_beyond_2_53_stay_exact_beside_gaps(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]),
            "pod": "p",
            "container": "c",
            "rx_bytes": pd.array([BEYOND_FLOATS, None, 2**63 - 1], dtype="Int64"),
        }
    )
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        # As another program would write it: no pandas metadata, plain int64 with nulls.
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), path)
    assert read_recording([path])["rx_bytes"].tolist() == [BEYOND_FLOATS, pd.NA, 2**63 - 1]


def test_the_same_samples_give_the_same_bytes(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples, tmp_path / "a.parquet")
    write_recording(samples.sample(frac=1, random_state=1), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_parquet_is_told_by_its_content_not_its_name(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples, tmp_path / "a.csv")
    assert len(read_recording([tmp_path / "a.csv"])) == len(samples)


def test_several_files_are_joined_in_order_with_the_union_of_columns(samples: pd.DataFrame, tmp_path: Path) -> None:
    later = samples[samples["service"] == "mysql"]
    earlier = samples[samples["service"] == "nginx"].drop(columns=["io_read_bytes", "volume_used_bytes"])
    write_recording(later, tmp_path / "a.parquet")
    earlier.to_csv(tmp_path / "b.csv", index=False)
    both = read_recording([tmp_path / "a.parquet", tmp_path / "b.csv"])
    pd.testing.assert_frame_equal(both, check_samples(pd.concat([later, earlier]), where="both"))
    assert both.loc[both["service"] == "nginx", "io_read_bytes"].isna().all()


def test_columns_choose_metrics_and_keep_identity_and_labels(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples, tmp_path / "a.parquet")
    samples.to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        some = read_recording([tmp_path / name], columns=["rx_bytes"])
        assert "memory_rss_bytes" not in some
        assert {"rx_bytes", "pod", "started_at", "service", "deployment"} <= set(some.columns)


def test_csv_keeps_names_that_look_like_numbers_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'time,namespace,pod,container,memory_rss_bytes\n2026-01-01T00:00:00Z,null,1e5,"a,""b""\nc",NaN\n',
        encoding="utf-8",
    )
    row = read_recording([tmp_path / "a.csv"]).iloc[0]
    assert (row["namespace"], row["pod"], row["container"]) == ("null", "1e5", 'a,"b"\nc')
    assert pd.isna(row["memory_rss_bytes"])


@settings(max_examples=30)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
        lambda name: not is_missing(pd.Series([name]))[0]
    )
)
@example("null")
def test_any_name_survives(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    frame = pd.DataFrame({"time": [pd.Timestamp("2026-01-01T00:00:00Z")], "pod": [name], "container": [name]})
    write_recording(frame.assign(rx_bytes=1), path)
    assert read_recording([path])["pod"].item() == name
