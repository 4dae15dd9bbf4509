"""Writing files so that nobody ever sees half of one, and their digests."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from podlab.errors import InputError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")
#: How the folders begin in which files are written until they are whole.
WORKING = ".podlab-"
# Faults of the user's disk or folder, as opposed to faults of podlab.
_SURROUNDINGS = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EFBIG: ("the file would pass the size limit", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "choose another folder"),
    errno.EACCES: ("no permission to write", "choose another folder or change its mode"),
    errno.EPERM: ("no permission to write", "choose another folder or change its mode"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("a part of the path is a file, not a folder", "choose another folder"),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "choose a shorter one"),
    errno.EISDIR: ("is a folder, a file is needed", "choose another name"),
}


def explain_os_error(error: OSError, path: Path) -> InputError:
    """Turn the operating system's refusal into one clear line."""
    what, hint = _SURROUNDINGS.get(error.errno or 0, (error.strerror or str(error), "check the path"))
    return InputError(what, where=str(path), hint=hint)


def refuse_device(path: Path) -> None:
    """Refuse to read a device, such as /dev/zero, which has no end; raises InputError."""
    if path.is_char_device() or path.is_block_device():
        raise InputError("is a device, not a file", where=str(path))


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """Turn the system's refusal to read a file into one clear line; also for :func:`refuse_device`."""
    refuse_device(Path(path))
    try:
        yield
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises InputError if it cannot be read, or is none."""
    try:
        with readable(path):
            return tomllib.loads(decode_text(path.read_bytes()))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(f"not valid TOML: {error}", where=str(path)) from error


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` that takes its place when the block ends well; missing folders are made.

    A symbolic link stays: what it leads to is replaced. If the block raises, the temporary file is removed and
    ``target`` is as it was. Raises InputError if the disk is full, the folder is read-only, and the like; or if
    something else than a file is there.
    """
    refuse_unwritable(target)
    if target.is_symlink():
        target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():
        # Before any work; and root's rename would take the place of a device such as /dev/null.
        what = "is a folder, a file is needed" if target.is_dir() else "is not a plain file"
        raise InputError(what, where=str(target), hint="choose another name")
    with _beside(target) as folder:
        temporary = folder / target.name
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that takes the place of ``target`` when the block ends well; see :func:`atomic_file`.

    A folder that stood there before is removed only after the new one is complete.
    """
    with _beside(target) as folder:
        temporary = folder / "new"
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.replace(folder / "old")
        temporary.replace(target)


def table_format(target: Path) -> str:
    """Tell by its suffix whether a table is to be written as "parquet" or "csv"; InputError where it is neither."""
    if (suffix := target.suffix.lower()) not in (".parquet", ".csv"):
        what = f"no table is written as {suffix}" if suffix else "has no suffix that says how to write it"
        raise InputError(what, where=str(target), hint="name it .parquet or .csv")
    return suffix[1:]


def require_suffix(target: Path, *suffixes: str) -> None:
    """Refuse an output whose suffix is none of these, the first of which says what is written; raises InputError."""
    if target.suffix.lower() not in suffixes:
        raise InputError(f"is written as {suffixes[0][1:].upper()}", where=str(target), hint=f"name it {suffixes[0]}")


def refuse_inputs(target: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse an output that is one of the inputs, in one of them, or the folder of one: inputs never change.

    Inputs that are None or not there are passed over, podlab.toml always counts. Raises InputError, also where a
    symbolic or hard link leads to an input.
    """
    if str(target) == "-":
        raise InputError("is not the standard output", where="-", hint="name a file, or a folder as ./name")
    where = _local(target)
    for given in (*inputs, Path("podlab.toml")):
        if given is None or where is None or (source := _local(given)) is None:
            continue
        try:
            same = source == where or (source.exists() and where.exists() and source.samefile(where))
            within = (source.is_dir() and where.is_relative_to(source)) or (
                source.is_relative_to(where) and source.exists()
            )
        except OSError as error:
            raise explain_os_error(error, target) from error
        if same:
            raise InputError("is an input as well", where=str(target), hint="choose another name for the output")
        if within:
            relation = "holds" if source.is_relative_to(where) else "is within"
            what = f"{relation} {given}, which is an input as well"
            raise InputError(what, where=str(target), hint="choose another place for the output")


def _local(path: Path) -> Path | None:
    """Give a path without links; None for the address of an object store."""
    text = str(path)
    if text.startswith("file:"):
        text = "/" + text.removeprefix("file:").lstrip("/")
    elif _ADDRESS.match(text):
        return None
    return Path(os.path.realpath(text))  # Path.resolve fails for a link that leads to itself


def refuse_unwritable(target: Path) -> None:
    """See before long work whether its result can be written; nothing is made.

    Raises InputError if a part of the path is a file, a name is too long, or the nearest folder cannot be written.
    """
    try:
        target.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise explain_os_error(error, target) from error
    folder = next(path for path in target.absolute().parents if path.exists())
    if not folder.is_dir():
        raise explain_os_error(NotADirectoryError(errno.ENOTDIR, ""), target)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise explain_os_error(PermissionError(errno.EACCES, ""), target)


def decode_text(content: bytes) -> str:
    r"""Read a text file's bytes: UTF-8, with a byte order mark or without one, or UTF-16 with one.

    Notepad and PowerShell write such marks. Raises UnicodeDecodeError if it is neither.

    Examples
    --------
    >>> decode_text(b"\xef\xbb\xbfa = 1"), decode_text(b"\xff\xfea\x00")
    ('a = 1', 'a')
    """
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


#: How files begin that are no text, and what to do with them.
_PACKED: Final = {
    b"\x1f\x8b": "gzip: unpack it first", b"BZh": "bzip2: unpack it first", b"\xfd7zXZ\x00": "xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it first", b"\x04\x22\x4d\x18": "lz4: unpack it first",
    b"PK\x03\x04": "zip, or a spreadsheet: unpack it, or save it as CSV", b"PAR1": "Parquet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV",
    b"SQLite format 3": "a database of SQLite: export a table as CSV",
}  # fmt: skip
#: In which the first line of a table ends.
_HEADER_BYTES: Final = 65_536


def packed_kind(content: bytes) -> str | None:
    r"""Tell from how a file begins what it is instead of text, and what to do with it; None where it may be text.

    Examples
    --------
    >>> packed_kind(b"\x1f\x8b\x08"), packed_kind(b"pod,cpu")
    ('gzip: unpack it first', None)
    """
    return next((kind for begin, kind in _PACKED.items() if content.startswith(begin)), None)


def read_csv_bytes(path: Path) -> tuple[bytes, str, int]:
    """Read a CSV file as UTF-8, and say what separates its fields and how many lines come before: :func:`separator_of`.

    Raises
    ------
    ValueError
        If it is no text: packed, or UTF-16 that breaks off.
    """
    content = path.read_bytes()
    if kind := packed_kind(content):
        raise ValueError(f"is not text, but {kind}")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = decode_text(content).encode()
    return content, *separator_of(content[:_HEADER_BYTES].decode("utf-8-sig", "replace"))


def separator_of(text: str) -> tuple[str, int]:
    r"""Find what stands between the fields of a table, and how many lines say only that, as spreadsheets' ``sep=;``.

    A comma where the first line that is not empty has one, else a semicolon, tab or ``|``.

    Examples
    --------
    >>> separator_of("pod,cpu;s"), separator_of("pod;cpu"), separator_of("sep=,\npod,cpu")
    ((',', 0), (';', 0), (',', 1))
    """
    first = text.partition("\n")[0].rstrip("\r")
    if first[:4].lower() == "sep=" and len(first) == 5:
        return first[4], 1
    first = text.lstrip("\r\n").partition("\n")[0]
    found = [each for each in (";", "\t", "|") if each in first]
    return (found[0], 0) if found and "," not in first else (",", 0)


def shorten_name(name: str, most_bytes: int = 200) -> str:
    """Give a name that fits into a file's; of a longer one the begin and a digest, so that no two become one.

    File systems take 255 bytes, and the name is only a part.

    Examples
    --------
    >>> shorten_name("east")
    'east'
    >>> len(shorten_name("x" * 300))
    200
    """
    encoded = os.fsencode(name)
    if len(encoded) <= most_bytes:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: most_bytes - len(digest) - 1].decode('utf-8', 'ignore')}-{digest}"


def names_inside(folder: Path) -> set[str]:
    """Name what is in a folder that shall be replaced, nothing if it is not there; InputError if it is no folder."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError("is not a folder", where=str(folder), hint="choose another path")
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Make a working folder in the folder of ``target`` and remove it at the end."""
    folder: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # From the root on: pyarrow takes a relative path that begins with ~ for one of a home folder.
        folder = Path(tempfile.mkdtemp(prefix=WORKING, dir=target.parent.absolute()))
        # mkdtemp's mode 0700 would stay on a folder that is renamed out of it; the user's umask shall rule.
        yield folder
    except OSError as error:
        raise explain_os_error(error, target) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
