"""The documentation site: built without a network, every link leads somewhere, nothing is loaded from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import podlab
from tools import build_docs

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        # Whatever asked for the network would wait for a proxy that is not there, and fail.
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:1")
        assert build_docs.main(folder) == 0
    return folder / "site"


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_docs, "_NO_MODEL", "# Model card\n\n[lost](settings.md#no-such-heading)\n")
    monkeypatch.setattr(build_docs, "_api", lambda: iter(()))  # which takes longest
    monkeypatch.setattr(build_docs, "CARD", tmp_path / "none")
    assert build_docs.main(tmp_path) != 0


def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    for place in build_docs.list_pages().values():
        name = "index" if place.endswith("import/README.md") or place == "recordings/README.md" else Path(place).stem
        assert (site / Path(place).parent / f"{name}.html").is_file(), place


def test_the_site_has_what_podlab_says_itself(site: Path) -> None:
    commands = (site / "command-line.html").read_text()
    assert "podlab models promote" in commands
    assert "--horizons" in commands
    names = (site / "api.html").read_text()
    for place in podlab._PLACES.values():
        assert place.partition(":")[0] in names
    assert (site / "gallery.html").read_text().count("<h2") == len([*(ROOT / "examples").glob("*.*")])
    index = json.loads((site / "search" / "search_index.json").read_text())
    assert len(index["docs"]) > 100


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    what = r'script|img|iframe|link rel="(?:stylesheet|icon|preconnect|modulepreload)"'
    loaded = rf'<(?:{what})[^>]*(?:src|href)="(?:https?:)?//[^"]*'
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        assert re.findall(loaded, page.read_text()) == [], page.name


def test_the_development_container_does_what_the_makefile_can() -> None:
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / settings["build"]["dockerfile"]).is_file()
    program, target = settings["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert settings["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith(
        "/.venv/bin/python"
    )
