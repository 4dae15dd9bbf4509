"""A watcher that cannot start in a pod says so as it says everything else there: in one JSON object on one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from podlab.cli import main
from tests.support.bundles import write_bundle


@pytest.fixture(autouse=True)
def _pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    # As Kubernetes does in every container.
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("PODLAB_KUBERNETES_ACCESS", "inside")


def _error(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    out, err = capsys.readouterr()
    assert err == ""
    [line] = out.splitlines()
    said: dict[str, str] = json.loads(line)
    assert list(said) == ["time", "event", "level", "message", "logger"]
    assert (said["event"], said["level"]) == ("log", "error")
    return said


def test_no_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_MODEL_PATH", "/models/default")
    assert main(["watch"]) == 2
    assert _error(capsys)["message"].startswith("/models/default: ")


def test_no_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = write_bundle(tmp_path / "model")
    assert main(["watch", "--model", str(model)]) == 2
    assert "not in a pod with a service account" in _error(capsys)["message"]


def test_a_setting_that_is_no_good(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_WATCH_INTERVAL", "often")
    assert main(["watch"]) == 2
    assert "PODLAB_WATCH_INTERVAL" in _error(capsys)["message"]


def test_an_option_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--loudly"]) == 2
    assert "--loudly" in _error(capsys)["message"]


def test_at_a_terminal_it_is_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["watch", "--loudly"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("podlab: ")


def test_elsewhere_it_is_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert main(["watch", "--loudly"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("podlab: ")


def test_of_other_commands_it_is_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "nothing"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("podlab: nothing: ")
