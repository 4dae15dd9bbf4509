"""The report is made of the notebooks' results alone, says what matters first, and opens anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from podlab.data.units import format_number
from podlab.errors import InputError
from podlab.notebook.report import CHAIN, build_report
from podlab.notebook.results import read_results
from tests.notebook.conftest import Whole
from tests.support.browser import needs_chromium
from tools.check_pages import check_page, chromium

#: Numbers in the report's own words: F1, the perfect score, 95 %, SHA-256, the terms.
_WORDS = re.compile(
    r"F1|1 is perfect|\d+ of \d+ targets missed|All targets: [^.]*|95\s%|SHA-256|deployment One start.*24 for an hour"
)
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
        self._skip = tag in ("style", "code", "script")
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


def test_pages_load_nothing_and_run_only_podlabs_own_script(whole: Whole) -> None:
    for path in pages(whole):
        text = path.read_text()
        page = _Page(text)
        assert all(load.startswith("data:") for load in page.loads), path
        assert not {"iframe", "object", "embed"} & set(page.tags), path
        # In a drawing, which is a URL itself, "%23..." is a place in the same drawing.
        assert not re.search(r"url\((?!['\"]?data:|%23)|@import", text), path
        [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text, (
            path
        )


def test_figures_are_described_for_those_who_do_not_see_them(whole: Whole) -> None:
    found = [alt for path in pages(whole) for alt in _Page(path.read_text()).alt]
    assert len(found) > 20
    assert all(alt and len(alt) > 20 for alt in found)


@needs_chromium
def test_pages_are_in_order_on_a_desktop_a_phone_in_the_dark_and_on_paper(whole: Whole) -> None:
    with chromium() as browser:
        for path in pages(whole):
            assert check_page(browser, path) == [], path
        screen = 800
        browser.open(whole.reports / "index.html")
        browser.view(1280, screen, "light", "screen")
        assert browser.evaluate("document.documentElement.scrollHeight") < 4 * screen


@needs_chromium
def test_tables_sort_and_search_and_figures_are_enlarged(whole: Whole) -> None:
    with chromium() as browser:
        browser.open(whole.reports / "notebooks" / "01_collect.html", "table-missing")
        assert browser.evaluate("document.getElementById('table-missing').closest('details').open")
        rows = "[...document.querySelectorAll('#table-missing tbody tr:not([hidden])')]"
        metrics = f"{rows}.map(row => row.cells[0].textContent)"
        names = browser.evaluate(metrics)
        browser.evaluate("document.querySelector('#table-missing th button').click()")
        assert browser.evaluate(metrics) == sorted(names) != names
        search = "document.querySelector('details:has(#table-missing) input')"
        browser.evaluate(f"{search}.value = 'memory bytes'; {search}.dispatchEvent(new Event('input'))")
        left = browser.evaluate(metrics)
        assert 0 < len(left) < len(names)
        assert all("memory" in name for name in left)
        browser.evaluate("document.querySelector('#figure-memory img').click()")
        width = browser.evaluate("document.querySelector('dialog img').clientWidth")
        browser.evaluate("document.querySelector('dialog [aria-label=larger]').click()")
        assert browser.evaluate("document.querySelector('dialog img').clientWidth") > 1.4 * width > 0


def test_links_lead_to_every_table_and_figure_and_back(whole: Whole) -> None:
    links = _Page((whole.reports / "index.html").read_text()).links
    for name, found in read_results(whole.reports).items():
        page = f"notebooks/{name}.html"
        parts = [f"{page}#{kind.removesuffix('s')}-{part}" for kind, part in found["order"]]
        assert {page, *parts} <= set(links)
        assert f"../index.html#{name}" in _Page((whole.reports / page).read_text()).links
    chain = [whole.reports / "notebooks" / f"{name}.html" for name in CHAIN]
    for page, following in pairwise(chain):
        assert f'<a rel="next" href="{following.name}">' in page.read_text()
        assert f'<a rel="prev" href="{page.name}">' in following.read_text()


def test_code_is_folded_and_sections_are_listed(whole: Whole) -> None:
    text = (whole.reports / "notebooks" / "03_evaluate.html").read_text()
    code = re.findall(r'<details class="code"( open)?>', text)
    assert len(code) > 5
    assert not any(code)
    assert len(re.findall(r"<h2 id=", text)) == text.count('<li><a href="#') > 3


def test_every_number_comes_from_the_results(whole: Whole) -> None:
    known: set[str] = set()

    def gather(value: Any) -> None:
        if isinstance(value, dict):
            gather([*value, *value.values()])
        elif isinstance(value, list):
            known.add(str(len(value)))
            for part in value:
                gather(part)
        elif isinstance(value, str):
            known.update(_NUMBER.findall(value))
        elif isinstance(value, int | float):
            # Without the sign, which is no part of what is found on the page.
            known.update((format_number(abs(value)), f"{abs(value):.0f}", str(abs(value))))

    for path in (*(whole.reports / "results").glob("*.json"), whole.reports / "run.json"):
        gather(json.loads(path.read_text()))
    said = _WORDS.sub("", " ".join(" ".join(_Page((whole.reports / "index.html").read_text()).said).split()))
    # The notebooks' own names hold numbers, too.
    for name in CHAIN:
        said = said.replace(name, "")
    assert len(_NUMBER.findall(said)) > 100
    assert set(_NUMBER.findall(said)) - known == set()


def test_what_matters_comes_first_with_intervals(whole: Whole) -> None:
    text = (whole.reports / "index.html").read_text()
    facts = json.loads((whole.reports / "results" / "03_evaluate.json").read_text())["facts"]
    first_screen = text[: text.index("</header>")]
    assert "tested on 16 containers of 4 services" in first_screen
    last = facts["headlines"][-1]["macro_f1"]
    assert "{} ({} to {})".format(*(format_number(last[end]) for end in ("value", "low", "high"))) in first_screen
    assert "trained on shuffled labels" in first_screen
    assert "Where training also never saw the load pattern" in first_screen
    assert first_screen.count('<p class="lead">') == 3
    sections = re.findall(r'<section id="(\w+)">', text)
    assert sections == ["unseen", "targets", "yours", "notebooks", "terms", "provenance"]
    assert re.findall(r'<article id="(\w+)">', text) == list(CHAIN)


def test_sentences_are_of_the_results_that_they_stand_over(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.reports, tmp_path / "reports")
    path = tmp_path / "reports" / "results" / "03_evaluate.json"
    found = json.loads(path.read_text())
    found["facts"] |= {
        "n_containers": 1234,
        "deployments_per_service": 4,
        "headlines": [{"horizon_s": 60.0, "macro_f1": {"value": 0.123, "low": 0.1, "high": 0.2}}],
    }
    found["measures"] = {
        "macro-F1 after 60 s: the site": {
            "value": 0.456,
            "low": None,
            "high": None,
            "deployments": 9,
            "unseen": "the site",
        }
    }
    path.write_text(json.dumps(found))
    first = build_report(tmp_path / "reports").read_text().partition("</header>")[0]
    assert "tested on 1,234 containers" in first
    assert "after 60&nbsp;s <a href" in first
    assert "is <strong>0.12 (0.10 to 0.20)</strong>" in first
    assert "at most 4 deployments of each service were drawn from the 16 recorded" in first
    assert "never saw the site, macro-F1 after 60 s is <strong>0.46</strong>." in first
    path.unlink()
    first = build_report(tmp_path / "reports").read_text().partition("</header>")[0]
    assert "It was tested" not in first
    assert "How much is lost where more than the deployment is new was not measured in this run." in first


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
    assert "notebooks/04_learning_curve.html" not in text


def test_names_are_escaped(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.reports, tmp_path / "reports")
    path = tmp_path / "reports" / "results" / "01_collect.json"
    path.write_text(path.read_text().replace('"caption": "', '"caption": "<img src=x onerror=alert(1)>'))
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


def test_the_targets_of_all_notebooks_are_one_folded_table_after_the_essential_ones(tmp_path: Path) -> None:
    provenance = {"started_at": "2026-01-01T00:00:00+00:00", "recordings": [], "seed": 0, "podlab": "", "python": ""}
    provenance |= {"versions": {}, "machine": ""}
    (tmp_path / "results").mkdir()
    told = {
        "03_evaluate": [["b", "not measured"], ["c: x", "✓ yes"]],
        "06_identify": [["a", "✗ no"], ["d", "? not decided"]],
    }
    for name, rows in told.items():
        tables = {"targets": {"caption": name, "columns": ["target", "reached"], "rows": rows}}
        facts = {"essential_targets": ["c"] if name == "03_evaluate" else []}
        found = {"complete": True, "provenance": provenance, "facts": facts, "tables": tables, "figures": {}}
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(found))
    text = build_report(tmp_path).read_text()
    shown, folded = re.findall(r"<table>(.*?)</table>", text, re.DOTALL)
    assert re.findall(r'<th scope="row">(.*?)</th>', shown) == ["c: x"]
    assert re.findall(r'<th scope="row">(.*?)</th>', folded) == ["a", "d", "b", "c: x"]
    assert "1 of 3 targets missed</h2>" in text
    assert "<summary>All targets: 1 missed, 1 not decided, 1 not measured, 1 reached.</summary>" in text
