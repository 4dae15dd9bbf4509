"""`podlab fit`, `identify` and `models`: the contract's lines, and one clear line for each mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from podlab.cli.model import _print_predictions
from podlab.cli.options import Form
from podlab.data.recordings import read_recording, write_recording
from podlab.identify import Prediction
from tests.support.command import Call

FIELDS = [
    "cluster", "namespace", "pod", "pod_uid", "container", "seconds_observed", "service", "confidence", "candidates",
    "similar", "known", "novelty", "model", "shortlist", "promise", "columns",
]  # fmt: skip


def test_identify_prints_one_line_of_the_contract_per_container(call: Call, other_recording: Path, model: Path) -> None:
    answer = call("identify", other_recording, "--model", model, "--json")
    assert answer.exit_code == 0
    assert answer.err == ""
    truth = read_recording([other_recording]).drop_duplicates("pod").set_index("pod")["service"]
    assert [line["pod"] for line in answer.lines] == list(truth.index)
    assert len(answer.lines) == 8
    for line in answer.lines:
        assert list(line) == FIELDS
        assert sum(line["candidates"].values()) == pytest.approx(1, abs=1e-3)
        assert 0 <= line["confidence"] <= 1
        assert 0 <= line["novelty"] <= 1
        assert line["model"].startswith("small@")
        assert (line["service"] is None) == (not line["known"])
    hits = [line["service"] == truth[line["pod"]] for line in answer.lines]
    assert sum(hits) >= 7


def test_horizon_uses_only_the_first_seconds(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    samples = read_recording([other_recording])
    young = samples[samples["time"] < samples["started_at"] + pd.Timedelta(seconds=20)]
    write_recording(young, tmp_path / "young.parquet")
    of_all = call("identify", other_recording, "--model", model, "--horizon", "20s", "--json")
    of_young = call("identify", tmp_path / "young.parquet", "--model", model, "--horizon", "20s", "--json")
    assert of_all.lines == of_young.lines
    assert all(line["seconds_observed"] < 20 for line in of_all.lines)


def test_names_images_and_labels_do_not_change_the_answer(
    call: Call, other_recording: Path, model: Path, tmp_path: Path
) -> None:
    samples = read_recording([other_recording])
    disguised = samples.assign(
        image="example.test/other:2", namespace="elsewhere", node="n9", image_size_bytes=1.0, version="9", service="x",
        time=samples["time"] + pd.Timedelta(days=400), started_at=samples["started_at"] + pd.Timedelta(days=400),
    )  # fmt: skip
    write_recording(disguised, tmp_path / "disguised.parquet")
    plain = call("identify", other_recording, "--model", model, "--json").lines
    other = call("identify", tmp_path / "disguised.parquet", "--model", model, "--json").lines
    assert [{**line, "namespace": None} for line in plain] == [{**line, "namespace": None} for line in other]


def test_identify_without_json_is_a_table(call: Call, other_recording: Path, model: Path) -> None:
    answer = call("identify", other_recording, "--model", model)
    assert answer.exit_code == 0
    assert len(answer.out.splitlines()) == 9


def test_explain_adds_a_key_or_sentences(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    samples = read_recording([other_recording])
    one = samples[samples["pod"] == samples["pod"].iloc[0]].reset_index(drop=True)
    write_recording(one, tmp_path / "one.parquet")
    words = ("identify", tmp_path / "one.parquet", "--model", model, "--horizon", "30s", "--explain")
    (line,) = call(*words, "--json").lines
    assert list(line) == [*FIELDS, "explanation"]
    told = line["explanation"]
    assert [told["for"], told["against"]] == list(line["candidates"])[:2]
    assert sum(own["log_odds"] for own in told["metrics"]) == pytest.approx(told["log_odds"], abs=0.01)
    assert sum(abs(own["share"]) for own in told["metrics"]) == pytest.approx(1, abs=0.01)
    text = call(*words)
    assert text.exit_code == 0
    head, *sentences = text.out.splitlines()
    assert head.startswith(f"{line['namespace']}/{line['pod']}/{line['container']}: {line['service']} ({told['for']} ")
    assert sentences == [f"  {sentence}" for sentence in told["words"]]


def test_models_are_listed_shown_and_verified(call: Call, model: Path) -> None:
    listed = call("models", "list", model.parent, "--json").lines[0]
    assert [info["name"] for info in listed] == ["small"]
    shown = call("models", "show", model, "--json").lines[0]
    assert shown["services"] == ["mysql", "nginx", "postgres", "redis"]
    assert "small" in call("models", "show", model).out
    verified = call("models", "verify", model, "--json").lines[0]
    assert verified["valid"] is True


def test_a_model_with_a_changed_byte_is_refused(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    victim = max(broken.glob("**/*.npz"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    for words in (("models", "verify", broken), ("identify", other_recording, "--model", broken)):
        answer = call(*words)
        assert answer.exit_code == 2
        assert victim.name in answer.err
        assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("identify", "nowhere.parquet", "--model", "nowhere"), "nowhere"),
        (("identify", "--json"), "Missing argument"),
        (("fit", "nowhere.parquet", "--out", "model"), "nowhere.parquet: no such file"),
        (("fit", "nowhere.parquet"), "Missing option '--out'"),
        (("fit", "nowhere.parquet", "--out", "m", "--colour", "red"), "No such option: --colour"),
        (("models", "verify", "nowhere"), "nowhere"),
        (("conjure",), "No such command 'conjure'"),
    ],
)
def test_wrong_use_is_one_clear_line(
    call: Call, words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call(*words)
    assert answer.exit_code == 2
    assert answer.out == ""
    assert answer.err.startswith("podlab: ")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda samples: samples.drop(columns="service"), "service"),
        (lambda samples: samples.assign(service="mysql"), "one service"),
        (lambda samples: samples.assign(deployment="only"), "deployment"),
        (lambda samples: samples.drop(columns="deployment"), "--group"),
    ],
)
def test_recordings_that_cannot_be_learned_from_are_refused(
    call: Call, recording: Path, tmp_path: Path, change: object, said: str
) -> None:
    assert callable(change)
    write_recording(change(read_recording([recording])), tmp_path / "bad.parquet")
    for command in (
        ("fit", tmp_path / "bad.parquet", "--out", tmp_path / "model"),
        ("evaluate", tmp_path / "bad.parquet"),
    ):
        answer = call(*command)
        assert answer.exit_code == 2, answer
        assert said in answer.err
        assert answer.err.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_services_limit_what_is_learned(call: Call, recording: Path, tmp_path: Path) -> None:
    done = call("fit", recording, "--out", tmp_path / "two", "--services", "mysql,nginx", "--horizons", "30s", "--json")
    assert done.exit_code == 0
    assert done.lines[0]["services"] == ["mysql", "nginx"]
    refused = call("fit", recording, "--out", tmp_path / "three", "--services", "mysql,sendmail")
    assert refused.exit_code == 2
    assert "sendmail" in refused.err
    assert not (tmp_path / "three").exists()


def test_by_workload_there_is_a_line_for_all_replicas(
    call: Call, other_recording: Path, model: Path, tmp_path: Path
) -> None:
    samples = read_recording([other_recording])
    pods = samples[["pod", "service"]].drop_duplicates()
    names = {pod: f"{service}-{number}" for number, (pod, service) in enumerate(pods.itertuples(index=False))}
    write_recording(samples.assign(pod=samples["pod"].map(names)), tmp_path / "named.parquet")
    words = ("identify", tmp_path / "named.parquet", "--model", model, "--by", "workload")
    lines = call(*words, "--json").lines
    assert sorted(line["workload"] for line in lines) == [f"StatefulSet/{name}" for name in
                                                          ("mysql", "nginx", "postgres", "redis")]  # fmt: skip
    assert [line["replicas"] for line in lines] == [2] * 4
    assert all(line["service"] in (None, line["workload"].partition("/")[2]) for line in lines)
    assert len(call(*words).out.splitlines()) == 5
    refused = call(*words, "--explain")
    assert (refused.exit_code, refused.err) == (
        2, "podlab: --explain: cannot be combined with --by workload; leave one of them out\n"
    )  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_what_a_confidence_beside_unknown_means_is_said(known: bool, capsys: pytest.CaptureFixture[str]) -> None:
    service = "redis" if known else None
    answer = Prediction(
        "local", "shop", "db-0", None, "main", 60.0, service, 0.97, {"redis": 0.97, "nginx": 0.03}, (("nginx", 0.2),),
        known, 0.999, "m@1",
    )  # fmt: skip
    _print_predictions([answer], None, Form.TABLE)
    printed = capsys.readouterr()
    assert ("unknown" in printed.out) is not known
    assert ("its confidence is the probability of the most probable service" in printed.err) is not known
