"""Every command's help has an example, which works as it stands there."""

from __future__ import annotations

import glob
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer

from podlab.cli import app
from podlab.cli.help import examples_of
from podlab.data.recordings import read_recording, write_recording
from tests.support.bundles import write_keys
from tests.support.command import Call
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples

ROOT = Path(__file__).parents[2]


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(_commands(typer.main.get_command(app)))
#: Those that start containers or run for ever: what they call is replaced, and called with what the example says.
REPLACED = {
    ("watch",): "podlab.watcher.app.watch",
    ("lab", "record"): "lab.session.record_lab",
    ("lab", "check"): "lab.selftest.run",
    ("lab", "down"): "lab.session.down",
}


@pytest.fixture
def project(
    recording: Path, other_recording: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    influxd: Influxd, database: str,
) -> Path:  # fmt: skip
    """A folder with small files where podlab's own has large ones."""
    recordings = tmp_path / "data" / "recordings"
    recordings.mkdir(parents=True)
    shutil.copy(recording, recordings / "first.parquet")
    shutil.copy(other_recording, recordings / "second.parquet")
    write_recording(make_samples(deployments_per_service=1, seconds=70, seed=3), recordings / "second-faults.parquet")
    unlabelled = read_recording(other_recording).drop(columns=["service", "deployment"])
    write_recording(unlabelled, tmp_path / "mine.parquet")
    labels = read_recording(other_recording)[["pod", "service"]].drop_duplicates()
    labels.to_csv(tmp_path / "labels.csv", index=False)
    shutil.copytree(model, tmp_path / "data" / "models" / "first")
    write_keys(tmp_path)
    shutil.copytree(ROOT / "docs" / "import", tmp_path / "docs" / "import")
    cell = nbformat.v4.new_code_cell('samples = ""\nfolds = 5', metadata={"tags": ["parameters"]})
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "notebooks" / "03_evaluate.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODLAB_INFLUXDB_URL", influxd.url)
    monkeypatch.setenv("PODLAB_INFLUXDB_DATABASE", database)
    monkeypatch.setenv("PODLAB_INFLUXDB_USER", influxd.admin[0])
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", influxd.admin[1])
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


def test_examples_read_only_what_is_there_or_what_other_examples_write() -> None:
    examples = [shlex.split(each) for command in COMMANDS.values() for each in examples_of(command.help)]
    made = {words[n + 1] for words in examples for n, word in enumerate(words) if word in ("--out", "--html")}
    made |= {"data/fleet", "key.pem"}  # what "dataset add" creates, and the key that the help of "models sign" makes
    files = {
        word for words in examples for word in words if re.search(r"^data/|^docs/|\.\w+$", word) and "=" not in word
    }
    assert files >= {"data/models/first", "docs/import/machine-1.csv", "samples.parquet"}
    assert [each for each in files - made if not glob.glob(each, root_dir=ROOT)] == []  # noqa: PTH207  as a shell does


@pytest.mark.parametrize(
    ("words", "example"), [(words, each) for words, command in COMMANDS.items() for each in examples_of(command.help)]
)
@pytest.mark.usefixtures("project")
def test_the_example_works(words: tuple[str, ...], example: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    given = shlex.split(example.partition("&&")[0])
    assert given[: len(words) + 1] == ["podlab", *words]
    if words[0] == "dataset" and words[1] != "add":
        assert call("dataset", "add", "data/fleet", "data/recordings/second.parquet").exit_code == 0
    if words == ("lab", "describe"):
        shutil.rmtree("data/recordings")
        Path("data/recordings").mkdir()
        for suffix in ("parquet", "md"):
            shutil.copy(ROOT / "data" / "recordings" / f"first.{suffix}", "data/recordings")
    if words == ("collect",):
        assert call("replay", "data/recordings/first.parquet", "--to", "influxdb", "--now").exit_code == 0
    called: list[Any] = []
    if words in REPLACED:
        empty: Any = {} if words[-1] == "down" else []
        monkeypatch.setattr(REPLACED[words], lambda *args, **named: called.append((args, named)) or empty)
    names = [(sorted(glob.glob(word)) if "*" in word else []) or [word] for word in given[1:]]  # noqa: PTH207  as a shell does
    answer = call(*(name for found in names for name in found))
    # There is no cluster here for doctor to find well.
    assert answer.exit_code == (1 if words == ("doctor",) else 0), answer.err
    assert bool(called) == (words in REPLACED)
    for place, word in enumerate(given):
        if word in ("--out", "--html", "--csv") and words not in REPLACED:
            assert Path(given[place + 1]).exists()
    if "--json" in given:
        assert all(json.loads(line) for line in answer.out.splitlines())
        assert answer.out
