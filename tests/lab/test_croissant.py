from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from lab.croissant import CONFORMS_TO, describe
from podlab.cli import main
from podlab.data.recordings import write_recording
from podlab.errors import InputError
from podlab.files import sha256_of
from tests.support.synthetic import draw_design, make_samples

COMMITTED = Path(__file__).parents[2] / "data" / "recordings"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    samples, draws = draw_design(make_samples(("mysql", "nginx"), deployments_per_service=2, seconds=4))
    path = tmp_path / "r.parquet"
    write_recording(samples, path)
    draws.to_csv(tmp_path / "r-draws.csv", index=False)
    card = f"# Recording `r.parquet`\n\n| | |\n|---|---|\n| services | 2 |\n| SHA-256 | `{sha256_of(path)}` |\n"
    path.with_suffix(".md").write_text(card)
    return path


def check_against_files(described: dict[str, Any], folder: Path) -> None:
    """Hold a description against Croissant's required properties and the files it speaks of."""
    for name in ("name", "description", "license", "url", "creator", "datePublished", "distribution"):
        assert described[name], name
    assert described["@type"] == "sc:Dataset"
    assert described["conformsTo"] == CONFORMS_TO
    assert described["@context"]["conformsTo"] == "dct:conformsTo"
    ids = [
        node["@id"]
        for top in (*described["distribution"], *described["recordSet"])
        for node in (top, *top.get("field", ()))
    ]
    assert len(ids) == len(set(ids))
    files = {each["@id"]: folder / each["contentUrl"] for each in described["distribution"]}
    for each in described["distribution"]:
        assert each["sha256"] == sha256_of(files[each["@id"]])
        assert each["contentSize"] == f"{files[each['@id']].stat().st_size} B"
    for record in described["recordSet"]:
        (file,) = {field["source"]["fileObject"]["@id"] for field in record["field"]}
        path = files[file]
        columns = pq.read_schema(path).names if path.suffix == ".parquet" else list(pd.read_csv(path, nrows=0))
        assert [field["source"]["extract"]["column"] for field in record["field"]] == columns
        keys = record["key"] if isinstance(record["key"], list) else [record["key"]]
        for named in (*keys, *(f["references"]["field"] for f in record["field"] if "references" in f)):
            assert named["@id"] in ids


def test_files_and_columns_are_described_as_they_are(recording: Path) -> None:
    described = describe([recording], recording.parent)
    check_against_files(described, recording.parent)
    samples, draws = described["recordSet"]
    fields = {field["name"]: field for field in samples["field"]}
    assert fields["rx_bytes"]["description"] == "Metric (network): counter in bytes, of the whole pod."
    assert fields["rx_bytes"]["dataType"] == "sc:Integer"
    assert fields["time"]["dataType"] == "sc:DateTime"
    assert fields["deployment"]["references"] == {"field": {"@id": "r-draws/deployment"}}
    assert "services: 2" in described["distribution"][0]["description"]
    assert "knob:workers" in {field["name"] for field in draws["field"]}


def test_a_card_of_another_recording_is_refused(recording: Path) -> None:
    card = recording.with_suffix(".md")
    card.write_text(card.read_text().replace("`", "`0"))
    with pytest.raises(InputError, match="another SHA-256"):
        describe([recording], recording.parent)
    card.unlink()
    with pytest.raises(InputError, match="no data card"):
        describe([recording], recording.parent)


def test_the_recordings_of_the_repository_are_described_as_they_are() -> None:
    written = json.loads((COMMITTED / "croissant.json").read_text(encoding="utf-8"))
    check_against_files(written, COMMITTED)
    assert written == describe(sorted(COMMITTED.glob("*.parquet")), COMMITTED), "run make croissant"


def test_the_command_writes_the_description_and_never_over_a_recording(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recording.parent / "croissant.json"
    assert main(["lab", "describe", str(recording), "--out", str(out)]) == 0
    check_against_files(json.loads(out.read_text(encoding="utf-8")), recording.parent)
    assert "2 files described" in capsys.readouterr().out
    assert main(["lab", "describe", str(recording), "--out", str(recording)]) == 2
    assert "is an input as well" in capsys.readouterr().err
