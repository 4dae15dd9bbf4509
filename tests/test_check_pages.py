"""What troubles a reader of a page is found in a real browser, and nothing is found on a page that is in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import needs_chromium
from tools.check_pages import check_page, chromium, main

GOOD = """<!DOCTYPE html><html lang="en">
<head><meta name="viewport" content="width=device-width"><title>Good</title></head>
<body><main><h1>Good</h1><p>{}</p><h2 id="next">Next</h2><p><a href="#next">here</a> {}</p></main></body></html>"""
WORDS = "All that a page needs to be read by anybody. " * 4
FAULTS = {
    '<h4 id="a">deep</h4>': "heading skips a level: deep",
    '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">': "image without a text",
    '<span id="b"></span><span id="b"></span>': "id is there twice: b",
    '<a href="nowhere.html">there</a>': "links to nowhere.html, which is not there",
    '<a href="#nowhere">there</a>': "links to #nowhere, which is not there",
    "<button></button>": "button without a name",
    '<span style="color: #bbb; background: #fff">pale</span>': "contrast of 1.9",
    '<script>console.log("oh")</script>': "logs oh",
    '<img alt="far" src="http://127.0.0.1:9/far.png">': "asks for http://127.0.0.1:9/far.png",
    '<div style="overflow: auto"><table style="width: 900px"><tr><td>wide</td></tr></table></div>': "table is cut off",
    "<nav></nav>": "navigation without a name of its own",
}


@needs_chromium
def test_each_fault_is_found_and_named(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with chromium() as browser:
        page.write_text(GOOD.format(WORDS, "and there."))
        assert check_page(browser, page) == []
        for fault, complaint in FAULTS.items():
            page.write_text(GOOD.format(WORDS, fault))
            found = check_page(browser, page)
            assert any(complaint in each for each in found), (fault, found)
        page.write_text(GOOD.format(WORDS, "") + "<!--" + "x" * 1_000_000 + "-->")
        assert any("more than 1,000,000" in each for each in check_page(browser, page))


@needs_chromium
def test_pages_that_are_not_in_order_fail_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text(GOOD.format(WORDS, ""))
    assert main([str(page), "--pictures", str(tmp_path / "pictures")]) == 0
    assert len(list((tmp_path / "pictures").glob("page-*.png"))) == 4
    page.write_text("<p>short")
    assert main([str(page)]) == 1
    said = capsys.readouterr()
    assert "page.html: is empty" in said.err
    assert "1 pages opened" in said.out
