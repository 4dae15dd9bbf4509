"""What a model answers, on small recordings of real services: the same after any restructuring."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.contract.conftest import ASKED, BUNDLE, DATASET, TRAINING
from tests.contract.golden import check
from tests.support.command import Call


def _by_pod(lines: list[dict[str, object]]) -> dict[str, object]:
    """Leave out what names the bundle: a freshly fitted one has a digest of its own."""
    return {str(line["pod"]): {key: value for key, value in line.items() if key != "model"} for line in lines}


def test_a_bundle_of_before_answers_as_before(call: Call) -> None:
    done = call("identify", ASKED, "--model", BUNDLE, "--json")
    assert done.exit_code == 0
    check("identify", _by_pod(done.lines))
    digest = call("models", "verify", BUNDLE, "--json").lines[0]["digest"]
    assert {line["model"] for line in done.lines} == {f"model@{digest}"}


def test_a_fit_on_the_same_samples_gives_the_same_answers(call: Call, fitted: Path) -> None:
    check("identify-fitted", _by_pod(call("identify", ASKED, "--model", fitted, "--json").lines))


def test_a_data_set_gives_the_answers_of_its_recording(call: Call) -> None:
    check("identify", _by_pod(call("identify", DATASET, "--model", BUNDLE, "--json").lines))


@pytest.mark.parametrize("horizon", ["10s", "30s"])
def test_answers_from_the_first_seconds_alone(call: Call, horizon: str) -> None:
    done = call("identify", ASKED, "--model", BUNDLE, "--horizon", horizon, "--json")
    check(f"identify-{horizon}", _by_pod(done.lines))


def test_explanations(call: Call) -> None:
    done = call("identify", ASKED, "--model", BUNDLE, "--explain", "--json")
    check("identify-explain", {line["pod"]: line["explanation"] for line in done.lines})


@pytest.mark.parametrize("made", ["before", "now"])
def test_scores(call: Call, fitted: Path, made: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    done = call("score", ASKED, "--model", BUNDLE if made == "before" else fitted, "--out", out, "--json")
    assert done.exit_code == 0
    table = pd.read_parquet(out)
    suffix = "" if made == "before" else "-fitted"
    check(f"score{suffix}", {line["pod"]: line for line in done.lines})
    check("score-columns", {name: str(kind) for name, kind in table.dtypes.items()})
    by_pod = {
        str(pod): {"service": own["service"].iloc[-1], "score": own["score"].tolist(), "anomaly": own["anomaly"].sum()}
        for pod, own in table.astype({"service": object, "anomaly": int}).groupby("pod")
    }
    check(f"score-samples{suffix}", {pod: {k: _plain(v) for k, v in own.items()} for pod, own in by_pod.items()})


def _plain(value: object) -> object:
    """Turn a missing service and numpy's numbers into what JSON knows."""
    if isinstance(value, list):
        return [None if pd.isna(each) else float(each) for each in value]
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return None
    return value if isinstance(value, str) else int(value)  # type: ignore[call-overload]


def test_an_evaluation(call: Call) -> None:
    words = ("--horizons", "10s,30s", "--folds", "2", "--midlife", "60s", "--json")
    done = call("evaluate", TRAINING, *words)
    assert done.exit_code == 0
    [told] = done.lines
    assert told.pop("seconds") > 0  # how long it took
    check("evaluate", told)
