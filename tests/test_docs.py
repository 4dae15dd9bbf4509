"""What README and the guides say about settings, commands and other pages is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from podlab.cli import app
from podlab.config import Settings
from podlab.data.units import format_duration

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "settings.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "data" / "recordings" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
MOST_WORDS_IN_README = 1_500
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
    table = SETTINGS.read_text().split("| original setting |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {row[0].strip("`"): row for row in cells}


def test_every_original_setting_has_its_equal() -> None:
    rows = _rows()
    for old, ours in ORIGINAL_SETTINGS.items():
        assert rows[old][2] == f"`{ours}`"


def test_every_setting_is_named() -> None:
    text = SETTINGS.read_text()
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


def _blocks(page: Path) -> list[str]:
    """List the command lines of a page; a line that ends in a backslash goes on in the next."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("  #")[0].strip() for line in lines]


def _podlab_lines() -> list[tuple[Path, list[str]]]:
    found = []
    for page in PAGES:
        for line in _blocks(page):
            command = re.match(r"(?:\w+=\S+ )*(?:\.venv/bin/)?podlab (.+)", line)
            if command:
                found.append((page, shlex.split(command[1])))
    return found


@pytest.mark.parametrize(("page", "words"), _podlab_lines(), ids=lambda each: getattr(each, "name", None))
def test_commands_and_their_options_exist(page: Path, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        name = rest.pop(0)
        assert name in command.commands, f"{page.name}: {words}"
        command = command.commands[name]
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    given = {word.split("=")[0] for word in rest if re.match(r"-{1,2}[a-z]", word)}
    assert given <= options, f"{page.name}: {words}"


def test_readme_shows_the_whole_way() -> None:
    shown = {words[0] for page, words in _podlab_lines() if page == README}
    assert shown >= {"fit", "identify", "evaluate", "collect", "replay", "run", "watch", "doctor", "models"}


@pytest.mark.parametrize("line", [line for page in PAGES for line in _blocks(page) if re.match(r"make [a-z]", line)])
def test_make_targets_exist(line: str) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_readme_is_short() -> None:
    assert len(README.read_text().split()) <= MOST_WORDS_IN_README


#: What newcomers stumbled over, each with what is said instead.
STUMBLED_OVER = {
    "of before": "earlier", "normal lives": "normal containers", "felt by": "noticed by", "look-alike": "looks like",
    "bake-off": "comparison", "birth": "start-up", "strangers": "unknown services", "expert": "horizon model",
    "roster": "registry", "honest split": "split by deployment", "seldom": "rarely",
    "best guess": "most probable service", "model bundle": "model",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_have_no_word_that_newcomers_stumbled_over(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL).lower()
    assert [f"{word}: say {plain}" for word, plain in STUMBLED_OVER.items() if word in text] == []


def _anchors(page: Path) -> set[str]:
    """Name a page's headings as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        path = (page.parent / target) if target else page
        assert path.exists(), link
        assert not anchor or anchor in _anchors(path), link
