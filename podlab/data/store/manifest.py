"""What a data set says about itself: one file per append, which is written whole or not at all.

``manifest/<append>.json`` names the partitions that one append added. It is written twice: once before the append's
first partition, as ``begun``, so that its files are not foreign ones, and once after the last one, as ``whole``. Only
that second write makes the rows appear, all at once. Appends never touch each other's files, so any number of
writers may be at work, on a store that can do no more than replace one object.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

import msgspec

from podlab.data.store.files import Store
from podlab.errors import InputError
from podlab.files import shorten_name

FORMAT = 1
#: The folder of the appends' manifests.
FOLDER = "manifest"
_APPEND = re.compile(r"[0-9]{19}-[0-9a-f]{12}")
_PARTITION = re.compile(
    # An older podlab took an empty text for a cluster's name; that data is read all the same.
    r"cluster=(?P<cluster>[^/]*)/day=(?P<day>\d{4}-\d{2}-\d{2})/(?P<append>[0-9a-f-]+)\.\d+\.parquet"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Partition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file: rows of one cluster and day.

    Attributes
    ----------
    name : str
        Of the file, relative to the data set's folder.
    cluster, day : str
        Whose rows, and of which day in UTC.
    rows, bytes : int
        How many there are.
    sha256 : str
        Of the file's bytes.
    columns : dict of str to str
        The rows' schema: Arrow types by column.
    """

    name: str
    cluster: str
    day: str
    rows: int
    bytes: int
    sha256: str
    columns: dict[str, str]


class Append(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one append added.

    Attributes
    ----------
    format : int
        :data:`FORMAT`.
    state : {"begun", "whole"}
        Rows count when it is whole.
    source : str
        SHA-256 of the file that was added, empty where there was none.
    partitions : list of Partition
        In order of cluster, day and file.
    """

    format: int
    state: Literal["begun", "whole"]
    source: str = ""
    partitions: list[Partition] = msgspec.field(default_factory=list)


class _Format(msgspec.Struct):
    format: int


def manifest_name(append: str) -> str:
    """Name the manifest of an append."""
    return f"{FOLDER}/{append}.json"


def read_appends(store: Store, names: Iterable[str]) -> dict[str, Append]:
    """Read the manifests among a folder's files.

    Returns
    -------
    dict of str to Append
        By the append's id, in order of time.

    Raises
    ------
    InputError
        If a file there is no manifest, was damaged, is of a later format, or names files that are not its own.
    """
    found = {}
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        if folder != FOLDER:
            continue
        append = file.removesuffix(".json")
        if not (file.endswith(".json") and _APPEND.fullmatch(append)):
            raise InputError("is not a manifest of a data set", where=f"{store.where}/{name}", hint="move it away")
        with store.open(name) as opened:
            found[append] = _parse(opened.read(), append, f"{store.where}/{name}")
    return found


def partition_name(cluster: str, day: str, append: str, number: int) -> str:
    """Name a partition's file; of a cluster's name that is too long for a folder, the begin and a digest.

    Examples
    --------
    >>> partition_name("eu/1", "2026-03-01", "0000000000000000001-0123456789ab", 0)
    'cluster=eu%2F1/day=2026-03-01/0000000000000000001-0123456789ab.0.parquet'
    """
    folder = shorten_name(quote(cluster, safe=""))
    return f"cluster={folder}/day={day}/{append}.{number}.parquet"


def append_of(name: str) -> str | None:
    """Tell which append a partition is of by its name, None where the name is none of a partition."""
    matched = _PARTITION.fullmatch(name)
    return matched["append"] if matched else None


def time_of(append: str) -> datetime:
    """Tell when an append was begun, by its id."""
    return datetime.fromtimestamp(int(append.partition("-")[0]) / 1e9, UTC)


def digest_of(partitions: Iterable[Partition]) -> str:
    """Give one SHA-256 for many partitions, whoever added them and in which order."""
    lines = sorted(f"{each.sha256} {each.rows}\n" for each in partitions)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def encode(append: Append) -> bytes:
    """Write a manifest."""
    return msgspec.json.format(msgspec.json.encode(append), indent=1)


def _parse(content: bytes, append: str, where: str) -> Append:
    try:
        if (version := msgspec.json.decode(content, type=_Format).format) != FORMAT:
            raise InputError(f"is of format {version}, this podlab reads {FORMAT}", where=where, hint="upgrade podlab")
        parsed = msgspec.json.decode(content, type=Append)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"a damaged manifest: {error}", where=where, hint="restore it from a copy") from None
    for each in parsed.partitions:
        matched = _PARTITION.fullmatch(each.name)
        if matched is None or matched["append"] != append or matched["day"] != each.day:
            raise InputError(f"names a file that is not its own: {each.name!r}", where=where, hint="restore it")
        if not _DIGEST.fullmatch(each.sha256) or each.rows < 1:
            raise InputError(f"says nothing usable of {each.name!r}", where=where, hint="restore it from a copy")
    named = [each if each.cluster else msgspec.structs.replace(each, cluster="local") for each in parsed.partitions]
    return msgspec.structs.replace(parsed, partitions=named)
