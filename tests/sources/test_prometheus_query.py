"""No text can end the string, the pattern or the selector that it is written into."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.sources.prometheus_query import any_of, quote_value, selector

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n", "\\ufffd": "\ufffd"}


def unquote(text: str) -> str:
    """Read a PromQL string naively, piece by piece; fail where it ends early."""
    inside = text[1:-1]
    assert text[0] == text[-1] == '"'
    out, rest = "", inside
    while rest:
        escape = next((e for e in _ESCAPES if rest.startswith(e)), None)
        assert escape is not None or rest[0] not in '"\\\n\ufffd'
        out += _ESCAPES[escape] if escape else rest[0]
        rest = rest[len(escape) if escape else 1 :]
    return out


@given(TEXTS)
def test_a_quoted_value_reads_back(text: str) -> None:
    assert unquote(quote_value(text)) == text


@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS)
def test_a_pattern_matches_these_and_no_other(texts: list[str], other: str) -> None:
    pattern = re.compile(any_of(texts), re.DOTALL)
    for text in texts:
        assert pattern.fullmatch(text)
    assert bool(pattern.fullmatch(other)) == (other in texts)


@given(TEXTS, TEXTS)
def test_a_selector_holds_each_value_once(value: str, pod: str) -> None:
    text = selector("up", equal={"job": value}, unequal={"pod": ["", "POD"]}, among={"name": [pod]})
    pieces = re.findall(r'(\w+)(=~|!=|=)("(?:[^"\\]|\\.)*")', text)
    assert [(label, how, unquote(quoted)) for label, how, quoted in pieces] == [
        ("__name__", "=", "up"), ("job", "=", value), ("pod", "!=", ""), ("pod", "!=", "POD"),
        ("name", "=~", any_of([pod])),
    ]  # fmt: skip
    assert text == "{" + ",".join("".join(piece) for piece in pieces) + "}"


def test_plain_names_stay_plain_for_the_servers_index() -> None:
    assert any_of(["shop-2-7c9f8d", "shop-1"]) == "shop-1|shop-2-7c9f8d"


def test_a_label_is_never_taken_for_a_value() -> None:
    with pytest.raises(ValueError, match="is not a label's name"):
        selector("up", equal={'a="b",c': "d"})
