"""What README says about settings and commands is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from podlab.cli import command_names
from podlab.config import Settings
from podlab.data.units import format_duration

README = Path(__file__).parent.parent / "README.md"
ORIGINAL_SETTINGS = {
    "data.aggregator.decision.tree.interval": "training_interval",
    "data.metrics.fetch.interval.seconds": "fetch_window",
    "data.aggregator.decision.tree.classifier.list": "services",
    "training.iterations": "training_iterations",
    "training.ratio": "training_ratio",
    "training.maxNumber": "learning_curve_samples",
    "timeout.fetching.metrics": "metrics_timeout",
    "path.serialized.model": "model_path",
    "influxdb.server.url": "influxdb_url",
    "influxdb.username": "influxdb_user",
    "influxdb.password": "influxdb_password",
    "influxdb.database": "influxdb_database",
    "kubernetes.api.endpoint": "kubernetes_endpoint",
    "kubernetes.connect.from.outside": "kubernetes_access",
    "metric filter, in the source code": "metric_filter",
}


def _rows() -> dict[str, list[str]]:
    table = README.read_text().split("| original setting |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {row[0].strip("`"): row for row in cells}


def test_every_original_setting_has_its_equal() -> None:
    rows = _rows()
    for old, ours in ORIGINAL_SETTINGS.items():
        assert rows[old][2] == f"`{ours}`"


def test_every_setting_is_named() -> None:
    text = README.read_text()
    assert [name for name in Settings.model_fields if f"`{name}`" not in text] == []


def test_defaults_in_the_table_are_the_real_ones() -> None:
    for row in _rows().values():
        default = Settings.model_fields[row[2].strip("`")].default
        if hasattr(default, "total_seconds"):
            stated = row[3].strip("`")
            assert stated in (format_duration(default.total_seconds()), f"{default.total_seconds():.0f}s")
        elif default in (None, ()):
            assert row[3].startswith(("empty", "none"))
        else:
            assert row[3] == f"`{default}`"


def _commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), flags=re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_commands_exist() -> None:
    commands = [shlex.split(line)[1:] for line in _commands() if line.startswith(".venv/bin/podlab ")]
    assert len(commands) >= 8
    known = command_names()
    for words in commands:
        assert words[0] in known, words


@pytest.mark.parametrize("line", [line for line in _commands() if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text(), flags=re.MULTILINE)
