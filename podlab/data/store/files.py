"""Where a data set's files are: a local folder, or an object store by fsspec."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from podlab.errors import InputError
from podlab.files import WORKING, atomic_file, explain_os_error

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
        """Remove a file; nothing happens where there is none."""


class LocalStore:
    """A folder on a disk of this machine.

    Parameters
    ----------
    folder : Path
        It need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def names(self) -> dict[str, int]:
        """List the files; see :class:`Store`."""
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
        """Open a file; see :class:`Store`."""
        return (self._folder / name).open("rb")

    def write(self, name: str, content: bytes) -> None:
        """Write a file; see :class:`Store`."""
        with atomic_file(self._folder / name) as temporary:
            temporary.write_bytes(content)

    def working_files(self, before: datetime) -> dict[str, int]:
        """List what :func:`podlab.files.atomic_file` left; see :class:`Store`."""
        found = {}
        for path in self._folder.rglob(f"{WORKING}*/*"):
            with suppress(FileNotFoundError):  # its writer is at work
                status = path.stat()
                if status.st_mtime < before.timestamp():
                    found[path.relative_to(self._folder).as_posix()] = status.st_size
        return found

    def remove(self, name: str) -> None:
        """Remove a file, and its working folder; see :class:`Store`."""
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            if path.parent.name.startswith(WORKING):
                path.parent.rmdir()
        except OSError as error:
            raise explain_os_error(error, path) from error

    def path_of(self, name: str) -> Path:
        """Give a file's whole path."""
        return (self._folder / name).absolute()

    def _refuse(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise explain_os_error(error, self._folder) from error


class RemoteStore:
    """A folder of an object store, or of whatever else fsspec knows.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/folder``; credentials are the driver's business (environment, its own files).

    Raises
    ------
    InputError
        If fsspec or the driver for such a URL is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise InputError(
                "object stores need fsspec", where=url, hint="install podlab's extra `scale`: pip install podlab[scale]"
            ) from None
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InputError(f"no driver for such a URL: {error}", where=url, hint="install its driver") from None
        self._url = url

    @property
    def where(self) -> str:
        """The URL."""
        return self._url

    def names(self) -> dict[str, int]:
        """List the files; see :class:`Store`."""
        with _Explained(self._url):
            self._files.invalidate_cache()
            try:
                listed = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            root = self._root.rstrip("/") + "/"
            named = {path.removeprefix(root): int(entry["size"] or 0) for path, entry in listed.items()}
            return {name: size for name, size in named.items() if not any(p.startswith(".") for p in name.split("/"))}

    def open(self, name: str) -> BinaryIO:
        """Open a file; see :class:`Store`."""
        with _Explained(self._url):
            opened: BinaryIO = self._files.open(f"{self._root}/{name}", "rb")
            return opened

    def write(self, name: str, content: bytes) -> None:
        """Write a file; an object store shows an object when all of it has arrived, never before."""
        with _Explained(self._url):
            self._files.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(f"{self._root}/{name}", content)

    def working_files(self, before: datetime) -> dict[str, int]:
        """There are none: an object is there as a whole or not at all."""
        return {}

    def remove(self, name: str) -> None:
        """Remove an object; see :class:`Store`."""
        with _Explained(self._url), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")


class _Explained:
    """Turns a driver's errors, which may be of any kind, into one clear line; a missing file stays one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
            reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
            raise InputError(
                f"cannot be reached: {reason}", where=self._url, hint="check address and access"
            ) from error


def open_store(path: Path | str) -> Store:
    """Give the files of a folder, or of a URL.

    Raises
    ------
    InputError
        If the URL holds a password, or nothing here can read such a URL.
    """
    url = url_of(path)
    if url is not None and _PASSWORD.search(url):
        raise InputError(
            "a password does not belong into an address",
            where=_PASSWORD.sub("//...@", url),
            hint="give it to the driver by its environment variables or its own file",
        )
    return LocalStore(Path(path)) if url is None else RemoteStore(url)


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

    Parameters
    ----------
    path : Path or str
        What the user named.
    new : bool
        It may not be there yet: then a name without a suffix means a folder.
    """
    if url_of(path) is not None or Path(path).is_dir():
        return True
    return new and not Path(path).suffix and not Path(path).exists()
