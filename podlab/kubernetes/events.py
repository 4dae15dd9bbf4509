"""The lines of a watch: cut from the stream as they arrive, and decoded to the few needed fields.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes: one JSON object a line,
with ``type`` ADDED, MODIFIED or DELETED and a pod, BOOKMARK and a version, or ERROR and a ``Status``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec
from urllib3 import BaseHTTPResponse

from podlab.kubernetes.errors import UnreadableError
from podlab.kubernetes.objects import Pod
from podlab.kubernetes.refusals import Status, one_line

#: No object of the API server is larger than the 1.5 MB of its database, and the 3 MB of a request.
LONGEST_LINE_BYTES: Final = 16 * 2**20
_PIECE_BYTES: Final = 65536


class PodEvent(msgspec.Struct, gc=False):
    """A change of a pod."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Pod


class _Version(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class Notice(Status):
    """What a BOOKMARK or an ERROR carries: a version, or a refusal."""

    metadata: _Version = msgspec.field(default_factory=_Version)


class NoticeEvent(msgspec.Struct):
    """A bookmark, or the end of the watch."""

    type: Literal["BOOKMARK", "ERROR"]
    object: Notice


_POD_EVENT: Final = msgspec.json.Decoder(PodEvent)
_NOTICE_EVENT: Final = msgspec.json.Decoder(NoticeEvent)


def read_pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Read a stream as it arrives; raises what urllib3 raises where it breaks off."""
    if response.chunked:
        # The API server sends each event as a chunk, and chunk by chunk costs a third of what read1 does.
        yield from response.stream(_PIECE_BYTES, decode_content=False)
        return
    while piece := response.read1(_PIECE_BYTES, decode_content=False):
        yield piece


def read_lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    r"""Cut a stream into lines.

    Parameters
    ----------
    pieces : iterable of bytes
        The stream, as it arrives.

    Yields
    ------
    list of bytes
        The lines that each piece completes, some with their line break; often one, sometimes none.

    Raises
    ------
    UnreadableError
        If a line has no end.

    Examples
    --------
    >>> list(read_lines([b"one\ntw", b"o\nthree\n", b"four\n"]))
    [[b'one'], [b'two', b'three'], [b'four\n']]
    """
    begun: list[bytes] = []
    begun_bytes = 0
    for piece in pieces:
        if not begun and 0 < piece.find(b"\n") == len(piece) - 1:
            # One event in one piece, as the API server sends it: nothing to cut, nothing to copy.
            yield [piece]
            continue
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            begun.append(head)
            yield [line for line in b"".join(begun).split(b"\n") if line]
            begun, begun_bytes = [], 0
        else:
            yield []
        if tail:
            begun.append(tail)
            begun_bytes += len(tail)
        if begun_bytes > LONGEST_LINE_BYTES:
            raise UnreadableError(f"the watch sent a line of more than {LONGEST_LINE_BYTES} bytes")
    if begun:
        raise UnreadableError("the watch ended in the middle of a line")


def decode_event(line: bytes) -> PodEvent | NoticeEvent:
    """Decode a line; raises UnreadableError if it is no event."""
    try:
        return _POD_EVENT.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        try:
            # What a bookmark leaves out, no pod may lack; so it is not taken for one.
            return _NOTICE_EVENT.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise UnreadableError(f"the watch sent what is no event: {one_line(str(error))}") from None
