"""`podlab explore`: a page that a browser opens offline, with the answers of the model, and bounded in size."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import podlab.explore
from podlab.data.catalogue import CATALOGUE
from podlab.data.recordings import read_recording
from podlab.errors import InputError
from podlab.explore import explore, pack
from podlab.model import bundle
from tests.support.command import Call


def unpack(packed: list[Any]) -> np.ndarray:
    low, high, text = packed
    scaled = np.frombuffer(base64.b64decode(text), dtype="<u2").astype(float)
    return np.where(scaled == 65535, np.nan, low + (high - low) * scaled / 65534)


def test_the_command_writes_one_page_with_nothing_from_elsewhere(
    call: Call, faulty: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "explore.html"
    told = call("explore", faulty, "--model", model, "--out", out)
    assert (told.exit_code, told.out) == (0, f"{out}: 8 containers, {out.stat().st_size / 1e6:.1f} MB\n")
    text = out.read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(json.loads(data)["containers"]) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("FILE", "--out", "page.csv"), "page.csv: is written as HTML; name it .html"),
        (("missing.parquet", "--out", "page.html"), "missing.parquet: "),
        (("FILE", "--out", "FILE/page.html"), "faulty.parquet"),
        (("FILE",), "--out"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    call: Call, faulty: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = call("explore", *(word.replace("FILE", str(faulty)) for word in words), "--model", model)
    assert (told.exit_code, told.out) == (2, "")
    assert said in told.err
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_never_one_of_the_recordings(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.html"
    path.write_text("time,pod\n")
    told = call("explore", path, "--model", model, "--out", path)
    assert told.exit_code == 2
    assert path.read_text() == "time,pod\n"


def test_answers_are_those_of_the_model_after_as_many_seconds(shown: dict[str, Any], faulty: Path, model: Path) -> None:
    identifier = bundle.load(model).identifier
    for place, (until_s, horizon_s) in enumerate([(5, 5), (10, 10), (15, 15), (20, 20), (30, 30)]):
        for container, answer in zip(
            shown["containers"], identifier.identify(read_recording([faulty]), horizon_s=horizon_s), strict=True
        ):
            seconds, known, _, likely, similar = container["answers"][place]
            assert until_s - 2 <= seconds <= until_s
            assert [shown["services"][number] for number, _ in likely] == list(answer.candidates)[:4]
            assert bool(known) is answer.known
            assert shown["services"][similar[0][0]] == answer.similar[0][0]


def test_evidence_adds_up_and_is_for_the_answer(shown: dict[str, Any]) -> None:
    for container in shown["containers"]:
        assert len(container["evidence"]) == 3  # after 10, 30 and 60 s
        for seconds, for_it, against, supports, metrics in container["evidence"]:
            answer = next(each for each in container["answers"] if each[0] == seconds)
            assert [number for number, _ in answer[3][:2]] == [for_it, against]
            assert 0 < sum(abs(share) for _, share, _ in metrics) <= 1.01
            assert sum(share for _, share, _ in metrics if share > 0) <= supports + 0.01


def test_the_nearest_containers_are_others_of_the_service(shown: dict[str, Any]) -> None:
    services = [each["service"] for each in shown["containers"]]
    for number, container in enumerate(shown["containers"]):
        others = [other for other, _ in container["near"]]
        assert number not in others
        assert services[others[0]] == services[number]


def test_faults_and_scores_are_marked_in_seconds_since_the_start(shown: dict[str, Any]) -> None:
    first, *others = shown["containers"]
    assert [(*map(round, fault[:2]), fault[2]) for fault in first["faults"]] == [(40, 48, "cpu-hog")]
    assert all(each["faults"] == [] for each in others)
    for each in shown["containers"]:
        times, scores = map(unpack, each["score"])
        assert len(times) == len(scores)
        assert 0 <= np.nanmin(scores) <= np.nanmax(scores) <= 1


def test_series_are_the_samples_of_short_recordings(shown: dict[str, Any], faulty: Path) -> None:
    names = [each["name"] for each in shown["metrics"]]
    samples = read_recording([faulty])
    own = samples[samples["pod"] == samples["pod"].iloc[0]]
    container = next(each for each in shown["containers"] if own["pod"].iloc[0] in each["name"])
    level = unpack(container["series"][names.index("memory_rss_bytes")])
    assert level == pytest.approx(own["memory_rss_bytes"].to_numpy(float), rel=1e-3)
    rate = unpack(container["series"][names.index("rx_bytes")])
    step_s = own["time"].diff().dt.total_seconds().to_numpy()[1:]
    assert np.isnan(rate[0])
    assert rate[1:] == pytest.approx(np.diff(own["rx_bytes"].to_numpy(float)) / step_s, rel=1e-3, abs=1.0)


def test_long_series_are_thinned_out_and_keep_their_peaks(
    faulty: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = read_recording([faulty])
    samples.loc[samples.index[33], "memory_rss_bytes"] = 9e12
    monkeypatch.setattr("podlab.explore._MOST_VALUES", 0)
    monkeypatch.setattr("podlab.explore.ANSWERS_AT_S", (10,))
    found = explore(samples, bundle.load(model).identifier)
    names = [each["name"] for each in found["metrics"]]
    assert [each.get("score") for each in found["containers"]] == [None] * 8
    for each in found["containers"]:
        assert {len(unpack(one)) for one in [each["times"], *filter(None, each["series"])]} == {24}
    peaks = [each["series"][names.index("memory_rss_bytes")][1] for each in found["containers"]]
    assert peaks[0] == 9e12
    assert max(peaks[1:]) < 1e12


def test_of_too_many_containers_some_are_drawn_and_the_page_knows(
    faulty: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podlab.explore, "MOST_CONTAINERS", 3)
    monkeypatch.setattr(podlab.explore, "ANSWERS_AT_S", (10,))
    found = explore(read_recording([faulty]), bundle.load(model).identifier)
    assert (len(found["containers"]), found["all"]) == (3, 8)


def test_containers_without_a_value_are_shown_as_such(
    faulty: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podlab.explore, "ANSWERS_AT_S", (10,))
    samples, identifier = read_recording([faulty]), bundle.load(model).identifier
    first = samples["pod"] == samples["pod"].iloc[0]
    silent = samples.assign(**{name: samples[name].where(~first) for name in samples if name in CATALOGUE})
    container, *others = explore(silent, identifier)["containers"]
    assert [answer[3] for answer in container["answers"]] == [[]]
    assert (container["evidence"], set(container["series"])) == ([], {None})
    assert all(answer[3] for each in others for answer in each["answers"])
    with pytest.raises(InputError, match="there are no samples"):
        explore(samples.head(0), identifier)


def test_packed_numbers_come_back_with_gaps() -> None:
    assert pack(np.full(3, np.nan)) is None
    for values in ([1.0, np.nan, 3.0], [5.0], [0.0, 1e12, 2.5e11]):
        packed = pack(np.array(values))
        assert packed is not None
        assert unpack(packed) == pytest.approx(values, rel=1e-4, nan_ok=True)
