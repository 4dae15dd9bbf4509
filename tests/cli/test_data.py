"""`podlab replay` and `podlab collect` against a real InfluxDB."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.recordings import read_recording, write_recording
from tests.support.command import Call
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples


@pytest.fixture
def database(influxd: Influxd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A new database's name; the settings lead to the server, as administrator."""
    monkeypatch.chdir(tmp_path)
    name = influxd.new_database()
    monkeypatch.setenv("PODLAB_INFLUXDB_URL", influxd.url)
    monkeypatch.setenv("PODLAB_INFLUXDB_DATABASE", name)
    monkeypatch.setenv("PODLAB_INFLUXDB_USER", influxd.admin[0])
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", influxd.admin[1])
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return name


@pytest.mark.usefixtures("database")
def test_a_recording_comes_back_the_same(call: Call, tmp_path: Path) -> None:
    samples = make_samples(deployments_per_service=2, seconds=40)
    write_recording(samples, tmp_path / "sent.parquet")
    sent = call("replay", "sent.parquet", "--now", "--json")
    assert sent.exit_code == 0
    assert sent.lines[0]["samples"] == len(samples)
    got = call("collect", "--since", "10h", "--out", "got.parquet", "--json")
    assert got.exit_code == 0
    assert got.lines[0]["rows"] == len(samples)
    back = read_recording([tmp_path / "got.parquet"])
    shift = back["time"].max() - samples["time"].max()
    for column in ("time", "started_at"):
        back[column] -= shift
    pd.testing.assert_frame_equal(back[samples.columns], samples)
    for _ in range(2):  # what comes twice counts once
        assert call("collect", "--since", "10h", "--out", "fleet").exit_code == 0
    pd.testing.assert_frame_equal(read_recording([tmp_path / "fleet"]), read_recording([tmp_path / "got.parquet"]))


@pytest.mark.usefixtures("database")
def test_unlabelled_pods_are_labelled_by_name_and_the_rest_reported(call: Call, tmp_path: Path) -> None:
    samples = make_samples(("mysql", "nginx"), deployments_per_service=2, seconds=20)
    names = dict(zip(samples["pod"].unique(), ("mysql-0", "web-nginx-x", "mysql-nginx", "job"), strict=True))
    anonymous = samples.assign(pod=samples["pod"].map(names), image=None).drop(columns=["service", "deployment"])
    write_recording(anonymous, tmp_path / "sent.parquet")
    assert call("replay", "sent.parquet", "--now").exit_code == 0
    got = call("collect", "--since", "10h", "--services", "mysql,nginx", "--out", "got.parquet", "--json").lines[0]
    assert got["labelled"] == 2
    assert got["ambiguous"] == ["lab/mysql-nginx/main"]
    assert got["unlabelled"] == ["lab/job/main"]
    labelled = read_recording([tmp_path / "got.parquet"]).drop_duplicates("pod").set_index("pod")["service"]
    assert labelled.dropna().to_dict() == {"mysql-0": "mysql", "web-nginx-x": "nginx"}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PODLAB_INFLUXDB_PASSWORD", "wrong", "InfluxDB refuses user 'admin'"),
        ("PODLAB_INFLUXDB_URL", "http://127.0.0.1:1", "cannot be reached"),
        ("PODLAB_INFLUXDB_DATABASE", "nowhere", "there is no such database; check influxdb_database"),
        ("PODLAB_FETCH_WINDOW", "ten minutes", "is not a duration"),
        ("PODLAB_COLOUR", "red", "unknown setting"),
    ],
)
def test_bad_surroundings_are_one_clear_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    answer = call("collect", "--out", "got.parquet")
    assert answer.exit_code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert "wrong" not in answer.err.replace("is wrong", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("database")
def test_an_empty_database_says_what_is_missing(call: Call, tmp_path: Path) -> None:
    answer = call("collect", "--out", "got.parquet")
    assert answer.exit_code == 2
    assert "kubernetes_pod_container" in answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_password_cannot_be_put_on_the_command_line(call: Call) -> None:
    answer = call("collect", "--out", "got.parquet", "--influxdb-password", "hunter2")
    assert answer.exit_code == 2
    assert "hunter2" not in answer.err


def test_doctor_says_what_does_not_work_and_what_to_do(call: Call, database: str, tmp_path: Path) -> None:
    answer = call("doctor", "--json")
    assert answer.exit_code == 1
    findings = {finding["subject"]: finding for finding in answer.lines[0]["findings"]}
    assert not findings["metrics in InfluxDB"]["ok"]
    assert "replay" in findings["metrics in InfluxDB"]["todo"]
    assert answer.lines[0]["settings"]["influxdb_database"] == database

    write_recording(make_samples(deployments_per_service=1, seconds=20), tmp_path / "sent.parquet")
    assert call("replay", "sent.parquet", "--now").exit_code == 0
    again = {f["subject"]: f for f in call("doctor", "--json").lines[0]["findings"]}
    assert again["metrics in InfluxDB"]["ok"]
    assert "s3cret" not in str(again)
