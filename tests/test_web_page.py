"""What a web page says that stands where a metrics server was meant."""

from __future__ import annotations

import pytest

from podlab.http import web_page


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><head><title>Sign in &amp; go on</title></head><body>words</body></html>", "Sign in & go on"),
        (b"\xef\xbb\xbf \r\n\t<HTML><TITLE lang='en'>\n 502\n Bad   Gateway </TITLE>", "502 Bad Gateway"),
        (b"<html><body><h1>Not here</h1><p>but there</p></body></html>", "Not here but there"),
        (b"<html></html>", "without a title"),
        (b"<html><title></title><body>words</body></html>", "without a title"),
        (b"<p>" + b"x" * 5000, "x" * 100),
        (b'{"status": "error"}', None),
        (b"plain words", None),
        (b"", None),
    ],
)
def test_its_title_or_its_first_words(body: bytes, said: str | None) -> None:
    assert web_page(body) == said


def test_of_a_long_page_only_the_beginning_is_read() -> None:
    assert web_page(b"<!--" + b" " * 4_100 + b"--><title>far down</title>") == "<!--"
