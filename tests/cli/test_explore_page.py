"""The page of `podlab explore` in a real browser: with 420 containers, by keyboard, in order everywhere."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from podlab.explore import write_page
from tests.support.browser import needs_chromium
from tools.check_pages import Browser, check_page, chromium


@pytest.fixture(scope="module")
def page(shown: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as 420 containers make it."""
    copies = [copy.deepcopy(each) for _ in range(53) for each in shown["containers"]][:420]
    for number, each in enumerate(copies):
        each["name"] = f"lab/copy-{number:03d}/main"
    path = tmp_path_factory.mktemp("page") / "explore.html"
    write_page({**shown, "containers": copies, "all": 420}, path, model="small@0123", source="faulty.parquet")
    return path


def text(browser: Browser, place: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{place}').textContent"))


@needs_chromium
def test_a_browser_draws_only_what_is_chosen_of_420_containers(page: Path) -> None:
    # What this takes on the clock is measured by `benchmarks.explore`; here it is what makes it short.
    with chromium() as browser:
        browser.open(page)
        assert "(420 of 420)" in text(browser, "found")
        elements = "document.querySelectorAll(':not(option)').length"
        opened = browser.evaluate(elements)
        browser.evaluate("choose([7, 200, 419])")
        assert "copy-007" in text(browser, "who")
        assert browser.evaluate("document.querySelectorAll('#legend li').length") == 3
        curves = browser.evaluate("document.querySelectorAll('#charts .curve').length")
        charts = browser.evaluate("document.querySelectorAll('#charts svg').length")
        assert 3 < curves <= 3 * charts
        assert browser.evaluate(elements) < opened + 500 < 2_500


@needs_chromium
def test_a_browser_shows_evidence_searches_and_compares(page: Path) -> None:
    with chromium() as browser:
        browser.view(1280, 900, "light", "screen")
        browser.open(page)
        # The list by keyboard: one down, and one more beside it.
        browser.evaluate("document.getElementById('list').focus()")
        for key in ({"key": "ArrowDown"}, {"key": "ArrowDown", "modifiers": 8}):
            for kind in ("keyDown", "keyUp"):
                browser.call("Input.dispatchKeyEvent", type=kind, windowsVirtualKeyCode=40, **key)
        assert "copy-001" in text(browser, "who")
        assert browser.evaluate("document.querySelectorAll('#legend li').length") == 2
        browser.evaluate("const at = document.getElementById('at'); at.value = 1; at.oninput()")
        assert re.fullmatch(r"(9|10)(\.\d)? s", text(browser, "seconds"))
        assert text(browser, "why").startswith("Evidence after")
        assert "% of the evidence speaks for" in text(browser, "reason")
        assert browser.evaluate("document.querySelectorAll('#evidence tr').length") > 3
        charts = browser.evaluate("document.querySelectorAll('#charts .curve').length")
        browser.evaluate("rangeA.value = 'redis'; rangeB.value = 'nginx'; rangeA.oninput()")
        assert browser.evaluate("document.querySelectorAll('#charts .band').length") > 3
        assert browser.evaluate("document.querySelectorAll('#charts .curve').length") > charts > 3
        browser.evaluate("text.value = 'copy-01 REDIS'; text.oninput()")
        shown = browser.evaluate("[...document.querySelectorAll('#list option')].map(each => each.textContent)")
        assert 0 < len(shown) <= 10
        assert all("redis" in each and "copy-01" in each for each in shown)
        browser.evaluate("text.value = ''; only.value = 'fault'; only.oninput(); choose(shown.slice(0, 1))")
        assert "(53 of 420)" in text(browser, "found")
        assert "cpu-hog 40 to 48 s" in text(browser, "scores-about")
        assert browser.evaluate("document.querySelectorAll('#scores .fault').length") == 1


@needs_chromium
def test_the_page_is_in_order_on_a_desktop_a_phone_in_the_dark_and_on_paper(page: Path) -> None:
    with chromium() as browser:
        # A report's page has a limit of its own; this one's is in `podlab/explore.py`.
        assert [each for each in check_page(browser, page) if not each.startswith("has ")] == []
    assert page.stat().st_size < 6_000_000
