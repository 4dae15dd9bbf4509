"""A data set's files: a local folder, or an object store by fsspec; and what they say about themselves.

``manifest/<append>.json`` names the partitions that one append added. It is written twice: once before the append's
first partition, as ``begun``, so that its files are not foreign ones, and once after the last one, as ``whole``. Only
that second write makes the rows appear, all at once. Appends never touch each other's files, so any number of
writers may be at work, on a store that can do no more than replace one object.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, Protocol
from urllib.parse import quote

import msgspec

from podlab.errors import InputError, first_line
from podlab.files import WORKING, atomic_file, explain_os_error, shorten_name

#: Paths go through :class:`pathlib.Path`, which takes one of the two slashes of a URL away.
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.+)", re.DOTALL)

_PASSWORD = re.compile(r"//[^/]*:[^/]*@")


class Store(Protocol):
    """Files of one folder by their names relative to it, with slashes."""

    @property
    def where(self) -> str:
        """The folder, as the user named it."""

    def names(self) -> dict[str, int]:
        """Sizes of all files by name, hidden ones left out; none where there is no such folder."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading at any place; raises FileNotFoundError where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; one that is there is replaced."""

    def working_files(self, before: datetime) -> dict[str, int]:
        """Sizes of the hidden files, by name, that writers work with and nobody has changed since."""

    def remove(self, name: str) -> None:
        """Remove a file, and its working folder; nothing happens where there is none."""

    def local_path(self, name: str) -> Path | None:
        """Give a file's whole path where it is on a disk of this machine."""


class _LocalStore:
    """A folder on a disk of this machine, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        return str(self._folder)

    def names(self) -> dict[str, int]:
        found = {}
        for root, folders, files in os.walk(self._folder, onerror=self._refuse):
            # A writer's working folders are hidden, and may vanish while we look.
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                if not name.startswith("."):
                    path = Path(root, name)
                    found[path.relative_to(self._folder).as_posix()] = path.stat().st_size
        return found

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def write(self, name: str, content: bytes) -> None:
        with atomic_file(self._folder / name) as temporary:
            temporary.write_bytes(content)

    def working_files(self, before: datetime) -> dict[str, int]:
        found = {}
        for path in self._folder.rglob(f"{WORKING}*/*"):
            with suppress(FileNotFoundError):  # its writer is at work
                status = path.stat()
                if status.st_mtime < before.timestamp():
                    found[path.relative_to(self._folder).as_posix()] = status.st_size
        return found

    def remove(self, name: str) -> None:
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            if path.parent.name.startswith(WORKING):
                path.parent.rmdir()
        except OSError as error:
            raise explain_os_error(error, path) from error

    def local_path(self, name: str) -> Path | None:
        return (self._folder / name).absolute()

    def _refuse(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise explain_os_error(error, self._folder) from error


class _RemoteStore:
    """A folder of an object store, or of whatever else fsspec knows; credentials are the driver's business.

    Raises InputError if fsspec or the driver for such a URL is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            hint = "install podlab's extra `scale`: pip install podlab[scale]"
            raise InputError("object stores need fsspec", where=url, hint=hint) from None
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InputError(f"no driver for such a URL: {error}", where=url, hint="install its driver") from None
        self._url = url

    @property
    def where(self) -> str:
        return self._url

    def names(self) -> dict[str, int]:
        with _explained(self._url):
            self._files.invalidate_cache()
            try:
                listed = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            root = self._root.rstrip("/") + "/"
            named = {path.removeprefix(root): int(entry["size"] or 0) for path, entry in listed.items()}
            return {name: size for name, size in named.items() if not any(p.startswith(".") for p in name.split("/"))}

    def open(self, name: str) -> BinaryIO:
        with _explained(self._url):
            opened: BinaryIO = self._files.open(f"{self._root}/{name}", "rb")
            return opened

    def write(self, name: str, content: bytes) -> None:
        # An object store shows an object when all of it has arrived, never before.
        with _explained(self._url):
            self._files.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(f"{self._root}/{name}", content)

    def working_files(self, before: datetime) -> dict[str, int]:
        """There are none: an object is there as a whole or not at all."""
        return {}

    def remove(self, name: str) -> None:
        with _explained(self._url), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")

    def local_path(self, name: str) -> Path | None:
        return None


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn a driver's errors, which may be of any kind, into one clear line; a missing file stays one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        what = f"cannot be reached: {first_line(error)}"
        raise InputError(what, where=url, hint="check address and access") from error


def open_store(path: Path | str) -> Store:
    """Give the files of a folder or URL; raises InputError if that holds a password, or nothing here can read it."""
    url = url_of(path)
    if url is not None and _PASSWORD.search(url):
        hint = "give it to the driver by its environment variables or its own file"
        raise InputError("a password does not belong into an address", where=_PASSWORD.sub("//...@", url), hint=hint)
    return _LocalStore(Path(path)) if url is None else _RemoteStore(url)


def url_of(path: Path | str) -> str | None:
    """Give back the URL that a path was made from, None for a plain path.

    Examples
    --------
    >>> from pathlib import Path
    >>> url_of(Path("s3://bucket/samples")), url_of(Path("data/samples"))
    ('s3://bucket/samples', None)
    """
    found = _URL.fullmatch(str(path))
    if found is None:
        return None
    slashes = ":///" if found["scheme"] == "file" else "://"
    return f"{found['scheme']}{slashes}{found['rest']}"


def is_dataset_path(path: Path | str, *, new: bool = False) -> bool:
    """Tell whether a path means a data set: a URL or a folder.

    If it is ``new``, so may be a name without a suffix that is not there yet.
    """
    if url_of(path) is not None or Path(path).is_dir():
        return True
    return new and not Path(path).suffix and not Path(path).exists()


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
    """One Parquet file: rows of one cluster and day (in UTC), and their schema, Arrow types by column.

    The name is relative to the data set's folder; ``sha256`` is of the file's bytes.
    """

    name: str
    cluster: str
    day: str
    rows: int
    bytes: int
    sha256: str
    columns: dict[str, str]


class Append(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one append added: its partitions in order of cluster, day and file, which count when it is whole.

    ``source`` is the SHA-256 of the file that was added, empty where there was none.
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
    """Read the manifests among a folder's files, by the append's id, in order of time.

    Raises InputError if a file there is no manifest, was damaged, is of a later format, or names files that are not its
    own.
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
