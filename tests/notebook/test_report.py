"""The report is made of the notebooks' results alone, and opens anywhere."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from podlab.errors import InputError
from podlab.notebook.report import CHAIN, build_report
from podlab.notebook.tables import format_number
from tests.notebook.conftest import Whole

#: Numbers in the report's own words: the perfect score, F1, 95 %, SHA-256, 1-NN.
_WORDS = re.compile(r"macro-F1: 1 is perfect|F1|95\s%|SHA-256|1-NN")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class _Page(HTMLParser):
    """What a page loads, what it links to, what it says, and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.alt: list[str | None] = []
        self.said: list[str] = []
        self._skip = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._skip = tag in ("style", "code")
        given = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "data")]
        if tag == "img":
            self.alt.append(given.get("alt"))
        if "href" in given:
            (self.links if tag == "a" else self.loads).append(given["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._skip = False

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.said.append(data)


def pages(whole: Whole) -> list[Path]:
    return [whole.reports / "index.html", *sorted((whole.reports / "notebooks").glob("*.html"))]


def test_pages_load_nothing_and_run_nothing(whole: Whole) -> None:
    for path in pages(whole):
        text = path.read_text()
        page = _Page(text)
        assert all(load.startswith("data:") for load in page.loads), path
        assert not {"script", "iframe", "object", "embed"} & set(page.tags), path
        assert not re.search(r"url\((?!['\"]?data:)|@import", text), path
        assert "default-src 'none'" in text, path


def test_figures_are_described_for_those_who_do_not_see_them(whole: Whole) -> None:
    for path in pages(whole):
        assert all(alt and len(alt) > 20 for alt in _Page(path.read_text()).alt), path


def test_links_lead_to_the_notebooks_pages(whole: Whole) -> None:
    links = _Page((whole.reports / "index.html").read_text()).links
    text = (whole.reports / "index.html").read_text()
    assert all(f'id="{link[1:]}"' in text for link in links if link.startswith("#"))
    assert {link for link in links if not link.startswith("#")} == {f"notebooks/{name}.html" for name in CHAIN}
    assert all((whole.reports / link).is_file() for link in links if not link.startswith("#"))


def test_every_number_comes_from_the_results(whole: Whole) -> None:
    known: set[str] = set()

    def gather(value: Any) -> None:
        if isinstance(value, dict):
            gather([*value, *value.values()])
        elif isinstance(value, list):
            for part in value:
                gather(part)
        elif isinstance(value, str):
            known.update(_NUMBER.findall(value))
        elif isinstance(value, int | float):
            # Without the sign, which is no part of what is found on the page.
            known.update((format_number(abs(value)), f"{abs(value):.0f}", str(abs(value))))

    for path in (*(whole.reports / "results").glob("*.json"), whole.reports / "run.json"):
        gather(json.loads(path.read_text()))
    said = _WORDS.sub("", " ".join(_Page((whole.reports / "index.html").read_text()).said))
    # The notebooks' own names hold numbers, too.
    for name in CHAIN:
        said = said.replace(name, "")
    assert len(_NUMBER.findall(said)) > 100
    assert set(_NUMBER.findall(said)) - known == set()


def test_results_come_first_with_their_intervals(whole: Whole) -> None:
    text = (whole.reports / "index.html").read_text()
    facts = json.loads((whole.reports / "results" / "03_evaluate.json").read_text())["facts"]
    first_screen = text[: text.index("</header>")]
    assert "4 services in 16 deployments (16 containers)" in first_screen
    for each in facts["headlines"]:
        low, high = (format_number(each["macro_f1"][end]) for end in ("low", "high"))
        assert f"{low} to {high} (95&nbsp;%)" in first_screen
    assert "trained on shuffled labels" in first_screen
    headings = re.findall(r'<section id="(\w+)">', text)
    assert headings == ["targets", *CHAIN, "notebooks", "provenance"]


def test_provenance_names_data_versions_seed_and_command(whole: Whole) -> None:
    text = (whole.reports / "index.html").read_text()
    provenance = text[text.index('id="provenance"') :]
    results = json.loads((whole.reports / "results" / "01_collect.json").read_text())["provenance"]
    assert results["recordings"][0]["sha256"] in provenance
    for said in ("numpy ", "scikit-learn ", "<dt>seed</dt><dd>3</dd>", "make train", "seconds for all notebooks"):
        assert said in provenance


def test_what_is_missing_is_said(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.reports, tmp_path / "reports")
    (tmp_path / "reports" / "results" / "04_learning_curve.json").unlink()
    (tmp_path / "reports" / "notebooks" / "04_learning_curve.html").unlink()
    text = build_report(tmp_path / "reports").read_text()
    assert "This report is incomplete." in text
    assert "04_learning_curve did not run to its end" in text
    assert 'id="04_learning_curve"' not in text
    assert "notebooks/04_learning_curve.html" not in text


def test_names_are_escaped(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.reports, tmp_path / "reports")
    path = tmp_path / "reports" / "results" / "01_collect.json"
    path.write_text(path.read_text().replace('"nginx"', '"<img src=x onerror=alert(1)>"'))
    text = build_report(tmp_path / "reports").read_text()
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


@pytest.mark.parametrize("content", ["", "[]", '{"facts"'])
def test_damaged_results_are_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "03_evaluate.json").write_text(content)
    with pytest.raises(InputError, match=r"03_evaluate.json: damaged results; run its notebook again"):
        build_report(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_no_results_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results; run the notebooks first"):
        build_report(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("results/06_identify.json", "{}"),
        ("results/03_evaluate.json", json.dumps({"facts": {}, "tables": {}, "figures": {}, "provenance": {}})),
        ("run.json", json.dumps({"notebooks": []})),
    ],
)
def test_results_of_another_version_are_refused_in_one_line(tmp_path: Path, file: str, content: str) -> None:
    provenance = {"started_at": "2026-01-01T00:00:00+00:00", "recordings": [], "seed": 0}
    sound = {"complete": True, "provenance": provenance, "facts": {}, "tables": {}, "figures": {}}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "05_data_audit.json").write_text(json.dumps(sound))
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=r"are not those of this podlab's notebooks: .*; run the notebooks again$"):
        build_report(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_the_targets_of_all_notebooks_are_one_table_with_the_missed_ones_first(tmp_path: Path) -> None:
    provenance = {"started_at": "2026-01-01T00:00:00+00:00", "recordings": [], "seed": 0, "podlab": "", "python": ""}
    provenance |= {"versions": {}, "machine": ""}
    (tmp_path / "results").mkdir()
    for name, rows in (("03_evaluate", [["b", "not measured"], ["c", "✓ yes"]]), ("06_identify", [["a", "✗ no"]])):
        tables = {"targets": {"caption": name, "columns": ["target", "reached"], "rows": rows}}
        found = {"complete": True, "provenance": provenance, "facts": {}, "tables": tables, "figures": {}}
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(found))
    text = build_report(tmp_path).read_text()
    assert re.findall(r'<th scope="row">(\w)</th>', text) == ["a", "b", "c"]
    assert text.count("All targets, missed ones first.") == 1
