"""A watch is cut into lines wherever its pieces end, and what is no event is refused."""

from __future__ import annotations

from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.kubernetes import objects
from podlab.kubernetes.errors import UnreadableError
from podlab.kubernetes.objects import NoticeEvent, PodEvent, decode_event, read_lines

POD = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"web","uid":"u","resourceVersion":"7"}}}'
BOOKMARK = (
    b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12","creationTimestamp":null},'
    b'"spec":{"containers":null},"status":{}}}'
)
ERROR = b'{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","code":410}}'


@given(
    lines=st.lists(st.binary(min_size=1, max_size=9).filter(lambda line: b"\n" not in line)),
    cuts=st.lists(st.integers(0, 60)),
)
def test_pieces_of_any_size_give_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    batches = list(read_lines(pieces))
    assert [line.removesuffix(b"\n") for batch in batches for line in batch] == lines
    assert len(batches) == len(pieces)


def test_empty_lines_are_nothing() -> None:
    assert list(read_lines([b"\n\na\n\n", b"\n", b""])) == [[b"a"], [], []]


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "LONGEST_LINE_BYTES", 1000)
    with pytest.raises(UnreadableError, match="a line of more than 1000 bytes"):
        for _ in read_lines(repeat(b"x" * 100)):
            pass


def test_a_stream_that_ends_in_a_line_is_refused_after_the_whole_ones() -> None:
    lines = read_lines([b"a\nb"])
    assert next(lines) == [b"a"]
    with pytest.raises(UnreadableError, match="in the middle of a line"):
        next(lines)


def test_events_are_told_apart() -> None:
    pod, bookmark, error = (decode_event(line) for line in (POD, BOOKMARK, ERROR))
    assert isinstance(pod, PodEvent)
    assert (pod.type, pod.object.metadata.name) == ("ADDED", "web")
    assert isinstance(bookmark, NoticeEvent)
    assert (bookmark.type, bookmark.object.metadata.resource_version) == ("BOOKMARK", "12")
    assert isinstance(error, NoticeEvent)
    assert (error.type, error.object.code, error.object.message) == ("ERROR", 410, "too old")


@pytest.mark.parametrize(
    "line",
    [
        POD[:50], b"null", b"\xff", b"<html>", POD.replace(b"ADDED", b"STRANGE"), POD.replace(b'"name":"web",', b""),
        POD.replace(b'"web"', b"7"), b'{"type":"ERROR"}', POD.replace(b"web", b"\xff"), b"\r",
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_in_one_line(line: bytes) -> None:
    with pytest.raises(UnreadableError, match="not an event: ") as error:
        decode_event(line)
    assert "\n" not in str(error.value)
