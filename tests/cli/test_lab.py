"""`podlab lab` as a user calls it, as far as it goes without containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podlab.data.recordings import read_recording, write_recording
from tests.support.command import Call


def test_the_catalogue_and_what_recordings_hold_are_counted(call: Call, recording: Path) -> None:
    labelled = recording.with_name("labelled.parquet")
    write_recording(read_recording([recording]).assign(variant="idle/plain", version="1"), labelled)
    answer = call("lab", "list", labelled, "--json")
    assert answer.exit_code == 0
    told = json.loads(answer.out)
    known = [service for service in told["services"] if not service["unknown"]]
    assert len(known) >= 20
    assert len(told["services"]) - len(known) >= 8
    assert told["patterns"] == ["idle", "steady", "bursty", "ramp", "heavy"]
    assert all(service["profiles"] >= 12 for service in told["services"])
    assert [site["name"] for site in told["sites"]] == ["alpha", "bravo", "charlie", "delta"]
    assert sum(len(service["faults"]) > 3 for service in known) >= 8
    [counted] = told["recordings"]
    assert counted["deployments"] == sum(counted["services"].values()) == 16
    assert counted["patterns"] == {"idle": 16}
    assert sum(service["deployments"] for service in told["together"]["services"].values()) == 16


def test_a_recording_without_labels_is_refused_in_one_line(call: Call, recording: Path) -> None:
    bare = recording.with_name("bare.parquet")
    write_recording(read_recording([recording]).drop(columns="service"), bare)
    answer = call("lab", "list", bare)
    assert answer.exit_code == 2
    assert answer.err == f"podlab: {bare}: column 'service' is not there for every row\n"


SERVICE = """
name = "mine"
kind = "cache"
protocol = "redis"
port = 1
whole_core_requests_per_s = 10
memory_needed = "64m"
version_command = ["mine", "-v"]
version_pattern = '(\\d+)'
profile = { size = [2, 4, 8], threads = [2, 4] }
[debian]
packages = ["mine"]
command = ["mine", "@{size}", "@{threads}"]
[knobs]
size.range = [1, 16]
threads.range = [1, 8]
"""


def test_a_users_own_services_stand_beside_podlabs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SERVICE)
    listed = json.loads(call("lab", "list", "--catalogue", tmp_path, "--json").out)["services"]
    assert {"mine", "redis"} <= {service["name"] for service in listed}
    only = json.loads(call("lab", "list", "--catalogue", tmp_path, "--services", "mine", "--json").out)["services"]
    assert [service["name"] for service in only] == ["mine"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERVICE.replace('"mine"', '"redis"', 1), "states the service 'redis', which podlab has; choose another name"),
        (SERVICE.replace("port = 1", "part = 1"), "mine.toml: key 'part' is unknown"),
        (SERVICE + '[faults.flu]\nbegin = ["a"]\nend = ["b"]\n', "mine.toml: faults: 'flu' is unknown"),
        ("name = 1", "mine.toml: key 'debian' is missing"),
    ],
)
def test_a_wrong_service_file_is_named_with_its_key(call: Call, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    answer = call("lab", "list", "--catalogue", tmp_path)
    assert answer.exit_code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--site", "zulu"), "site 'zulu' is unknown; known are alpha, bravo, charlie, delta"),
        (("--per-service", "0"), "the matrix is empty"),
        (("--for", "2"), "--for: '2' is not a duration"),
        (("--faults", "3", "--fault-seconds", "100"), "fault seconds are 100"),
        (("--seconds", "20"), "at least 60"),
        (("--services", "nothing"), "no service 'nothing'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_written(
    call: Call, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    answer = call("lab", "record", "--out", tmp_path / "r.parquet", *words)
    assert answer.exit_code == 2
    assert said in answer.err
    assert list(tmp_path.iterdir()) == []
