"""Counts, columns, duplicates, and what ran beside."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab import audit
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.recordings import read_recording
from podlab.data.samples import check_samples


def found(table: pd.DataFrame) -> dict[str, int]:
    return dict(zip(table["check"], table["found"], strict=True))


def test_groups_are_counted(samples: pd.DataFrame) -> None:
    life = samples[samples["deployment"] == "nginx-0"]
    hour = pd.Timedelta(hours=1)
    again = life.assign(started_at=life["started_at"] + hour, time=life["time"] + hour)
    counts = audit.count_groups(pd.concat([samples, again], ignore_index=True)).set_index("service")
    assert counts.loc["nginx", ["deployments", "instances", "patterns", "versions"]].to_list() == [6, 7, 2, 1]
    assert counts["idle %"].to_list() == [50.0] * 4
    assert counts["fewest per pattern"].to_list() == [3] * 4
    assert counts.loc["redis", "minutes"] == pytest.approx(6 * 29 / 60, rel=0.02)
    missing = samples[~((samples["service"] == "redis") & samples["variant"].str.startswith("idle"))]
    assert audit.count_groups(missing).set_index("service").loc["redis", "fewest per pattern"] == 0


def test_counts_do_without_labels_beside_the_service(samples: pd.DataFrame) -> None:
    bare = samples.drop(columns=["deployment", "variant", "version"])
    assert list(audit.count_groups(bare)) == ["service", "instances", "rows", "minutes"]


def test_columns_that_teach_nothing_or_too_much_are_remarked(samples: pd.DataFrame) -> None:
    nginx = samples["service"] == "nginx"
    told = samples.assign(
        memory_usage_bytes=5.0,
        logsfs_used_bytes=samples["service"].map({"nginx": 1.0, "mysql": 2.0, "redis": 3.0, "postgres": 4.0}),
        rootfs_used_bytes=samples["rootfs_used_bytes"].mask(nginx),
        memory_rss_bytes=np.where(np.arange(len(samples)) < 3, 1.0, 0.0),
        volume_used_bytes=np.nan,
    ).drop(columns="io_read_bytes")
    table = audit.audit_columns(told).set_index("column")
    assert list(table.index) == list(CATALOGUE)
    remarks = table["remark"][table["remark"] != ""].to_dict()
    further = {name: "absent" for name in MEASURED_METRICS if name not in ORIGINAL_METRICS}
    assert remarks == further | {
        "memory_usage_bytes": "constant",
        "memory_rss_bytes": "nearly constant",
        "logsfs_used_bytes": "constant by service",
        "rootfs_used_bytes": "present by service",
        "volume_used_bytes": "empty",
        "io_read_bytes": "absent",
        "image_size_bytes": "constant by service",
    }
    assert table.loc["rootfs_used_bytes", "missing %"] == pytest.approx(100 * nginx.mean())
    assert table.loc["rootfs_used_bytes", "instances without a value"] == 6
    assert table.loc["memory_rss_bytes", "zero %"] > 99


def test_a_clean_recording_has_no_duplicates(samples: pd.DataFrame) -> None:
    assert set(found(audit.audit_duplicates(samples, rows_given=len(samples))).values()) == {0}


def test_planted_duplicates_are_counted(samples: pd.DataFrame) -> None:
    life = samples[samples["deployment"] == "mysql-1"]
    copy = life.assign(pod="copy", deployment="mysql-copy", time=life["time"] + pd.Timedelta(hours=3))
    told = pd.concat([samples, copy], ignore_index=True)
    metrics = [name for name in ORIGINAL_METRICS if name in told]
    told.loc[10:12, metrics] = told.loc[9, metrics].to_numpy()
    told.loc[told["deployment"] == "redis-0", "service"] = "nginx"
    told.loc[told["deployment"] == "redis-1", "deployment"] = "redis-0"
    counts = found(audit.audit_duplicates(told))
    assert counts["rows identical to the row before"] == 3
    assert counts["rows identical to a row of another container"] == 2 * len(life)
    assert counts["container instances identical to another"] == 2
    assert counts["deployments with two services"] == 1
    assert counts["deployments with two variants"] == 1
    assert "rows that repeat a container and instant" not in counts


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rows_that_reading_leaves_out_are_counted(
    samples: pd.DataFrame, tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    path = tmp_path / f"twice.{suffix}"
    twice = pd.concat([samples, samples[:7]])
    twice.to_csv(path, index=False) if suffix == "csv" else twice.to_parquet(path)
    given = audit.rows_in_files([path])
    assert given == len(samples) + 7
    table = audit.audit_duplicates(read_recording([path]), rows_given=given)
    assert found(table)["rows that repeat a container and instant"] == 7


def side_by_side(begins_s: list[float], cores: list[float], *, seconds: int = 60) -> pd.DataFrame:
    """Containers that use so many cores from so many seconds on."""
    frames = []
    for number, (begin_s, used) in enumerate(zip(begins_s, cores, strict=True)):
        start = pd.Timestamp("2026-01-05T08:00:00Z") + pd.Timedelta(seconds=begin_s)
        offset_s = np.arange(seconds + 1)
        frames.append(
            pd.DataFrame(
                {
                    "time": start + pd.to_timedelta(offset_s, unit="s"),
                    "pod": f"pod-{number}",
                    "container": "main",
                    "started_at": start,
                    "cpu_usage_core_nanoseconds": (offset_s * used * 1e9).astype("int64"),
                    "service": f"service-{number % 2}",
                    "deployment": f"d{number}",
                }
            )
        )
    return check_samples(pd.concat(frames), where="side by side")


def test_what_ran_beside_leaves_out_the_container_itself() -> None:
    samples = side_by_side([0, 0, 0, 600], [0.1, 0.2, 0.4, 0.3])
    deployments = audit.cut_windows(samples, length_s=50)["start-up"].deployments
    beside = audit.surroundings(samples, deployments).set_index(deployments["deployment"])
    assert beside["co-located containers"].to_dict() == {"d0": 2, "d1": 2, "d2": 2, "d3": 0}
    assert beside["co-located cores"].to_dict() == pytest.approx({"d0": 0.6, "d1": 0.5, "d2": 0.3, "d3": 0.0}, abs=1e-6)


def test_machines_do_not_share_their_load() -> None:
    samples = side_by_side([0, 0], [0.1, 0.2]).assign(node=lambda table: "node of " + table["pod"])
    deployments = audit.cut_windows(samples, length_s=50)["start-up"].deployments
    assert audit.surroundings(samples, deployments)["co-located containers"].to_list() == [0, 0]
    assert set(audit.host_load(samples)["containers"]) == {1}


def test_the_machine_holds_all_containers_of_a_time() -> None:
    load = audit.host_load(side_by_side([0, 30], [0.1, 0.2])).set_index("bin")
    assert load["containers"].max() == 2
    assert load["containers"].iloc[0] == load["containers"].iloc[-1] == 1
    assert load["cores"].iloc[4] == pytest.approx(0.3)
