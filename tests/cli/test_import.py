"""`podlab import` with the examples that docs/ tells of, as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.data.recordings import read_recording
from tests.support.command import Call

EXAMPLES = Path(__file__).parents[2] / "docs" / "import"


@pytest.mark.parametrize(
    ("mapping", "files", "containers", "metric", "values"),
    [
        ("prometheus", ["prometheus.json"], 1, "cpu_usage_core_nanoseconds",
         [1_250_000_000 + n * 500_000_000 for n in range(4)]),
        ("docker-stats", ["docker-stats.jsonl"], 2, "tx_bytes", [0, 33_900, 67_200, 0, 91_000, 182_000]),
        ("arff", ["arff.arff"], 2, "io_write_bytes", [1_048_576, 1_064_960, 1_081_344, 0, 0, 4_096]),
        ("wide", ["web-1_metrics.csv", "web-2_metrics.csv"], 2, "rx_bytes", [0, 45_000, 87_500, 135_000, 0, 50_000]),
    ],
)  # fmt: skip
def test_an_example_becomes_a_recording(
    call: Call, tmp_path: Path, mapping: str, files: list[str], containers: int, metric: str, values: list[int]
) -> None:
    out = tmp_path / "mine.parquet"
    paths = [EXAMPLES / name for name in files]
    done = call("import", *paths, "--mapping", EXAMPLES / f"{mapping}.toml", "--out", out, "--json")
    assert (done.exit_code, done.err) == (0, "")
    [told] = done.lines
    samples = read_recording([out])
    assert samples[metric].tolist() == values
    assert told["rows"] == len(samples) == len(values)
    assert told["containers"] == containers
    assert told["present"][metric] == 1.0
    assert set(told["missing"]) == {name for name, share in told["present"].items() if share == 0}
    assert "logsfs_used_bytes" in told["missing"]


def test_the_network_of_a_pods_pause_container_goes_to_its_containers(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "mine.parquet"
    call("import", EXAMPLES / "prometheus.json", "--mapping", EXAMPLES / "prometheus.toml", "--out", out)
    assert read_recording([out])["rx_bytes"].tolist() == [0, 1200, 2400, 3600]


def test_times_in_a_zone_become_utc_and_services_get_deployments(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "mine.parquet"
    files = [EXAMPLES / f"web-{n}_metrics.csv" for n in (1, 2)]
    told = call("import", *files, "--mapping", EXAMPLES / "wide.toml", "--out", out, "--cluster", "old", "--json").lines
    samples = read_recording([out])
    assert str(samples["time"].min()) == "2026-03-01 10:00:00+00:00"
    assert set(samples["cluster"]) == {"old"}
    assert samples["deployment"].notna().all()
    assert any("deployments are derived from the pods' names" in note for note in told[0]["notes"])
    assert samples["io_write_bytes"].tolist()[:2] == [0, 16_384]


def test_made_up_times_are_told(call: Call, tmp_path: Path) -> None:
    done = call("import", EXAMPLES / "arff.arff", "--mapping", EXAMPLES / "arff.toml", "--out", tmp_path / "a.parquet")
    assert "note: times are made up: rows in their order, 10s apart" in done.out
    assert "memory_rss_bytes            100%" in done.out


def test_what_is_imported_can_be_learned_from(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    call("import", EXAMPLES / "arff.arff", "--mapping", EXAMPLES / "arff.toml", "--out", out)
    fitted = call("fit", out, "--out", tmp_path / "model")
    assert fitted.exit_code == 0, fitted.err
    told = call("identify", out, "--model", tmp_path / "model", "--json").lines
    assert {line["container"] for line in told} == {"nginx", "mysql"}


def test_nothing_is_written_where_the_mapping_is_no_good(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "mine.parquet"
    done = call("import", EXAMPLES / "arff.arff", "--mapping", EXAMPLES / "wide.toml", "--out", out)
    assert done.exit_code == 2
    assert len(done.err.splitlines()) == 1
    assert not out.exists()
