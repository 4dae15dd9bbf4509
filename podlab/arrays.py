"""Arrays in type hints and in files: ``.npz`` that is read without trust, one spec for what must be in it, and codecs.

A stored object is a dictionary of arrays of numbers. Reading one executes no code and believes nothing unchecked:
:func:`unpack` takes plain arrays only, :func:`check_arrays` compares them with an :class:`ArraySpec` each, and
:class:`Codecs` finds the pair of functions by which objects of a registered class become arrays and come back.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from podlab.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]

_HINT = "fit the model again"
#: Of a member in a zip file, up to its name.
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True)
class ArraySpec:
    """What a stored array must be."""

    dtype: type  # numpy's
    #: Lengths of the axes. A name stands for a length that all arrays have in common, or that the caller gives.
    shape: tuple[int | str, ...]
    #: No value is outside.
    low: float | None = None
    high: float | None = None
    above: float | None = None  # all values are greater
    #: The name of a length: all values are indices into it.
    below: str | None = None
    ascending: bool = False  # along the last axis no value is less than the one before
    #: Whether a value may be missing, or infinite.
    nan: bool = False
    inf: bool = False

    def fault(self, array: NDArray[Any] | None, sizes: dict[str, int]) -> str | None:
        """Say what is wrong with an array; names of lengths that are new get a value in ``sizes``."""
        if array is None:
            return "is missing"
        if array.dtype != self.dtype or array.ndim != len(self.shape):
            return "has another type or shape"
        for length, wanted in zip(array.shape, self.shape, strict=True):
            if length != (sizes.setdefault(wanted, length) if isinstance(wanted, str) else wanted):
                return "has another type or shape"
        if array.dtype.kind == "f" and (
            (not self.nan and np.isnan(array).any()) or (not self.inf and np.isinf(array).any())
        ):
            return "holds what is not a number"
        limits = (
            (self.low, np.greater_equal),
            (self.high, np.less_equal),
            (self.above, np.greater),
            (None if self.below is None else sizes[self.below], np.less),
        )
        if any(limit is not None and not np.all(holds(array, limit)) for limit, holds in limits):
            return "holds values out of range"
        return "is not in order" if self.ascending and np.any(np.diff(array, axis=-1) < 0) else None


def check_arrays(
    arrays: Arrays, specs: Mapping[str, ArraySpec], *, where: str, sizes: Mapping[str, int], prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """Check arrays against their specs, one after the other.

    Raises InputError if an array is missing or not as specified; names it.

    Parameters
    ----------
    arrays : mapping of str to array
        From a file; others than those of the specs are ignored.
    specs : mapping of str to ArraySpec
        By name.
    where : str
        The file, for errors.
    sizes : mapping of str to int
        Lengths that are known, by the names that specs give them.
    prefix : str
        Stands before each name in the file.

    Returns
    -------
    dict of str to array
        The checked arrays, by name without the prefix.
    """
    lengths = dict(sizes)
    for name, spec in specs.items():
        if fault := spec.fault(arrays.get(prefix + name), lengths):
            raise InputError(f"array {prefix + name!r} {fault}", where=where, hint=_HINT)
    return {name: arrays[prefix + name] for name in specs}


def pack(arrays: Arrays) -> bytes:
    """Write arrays as an uncompressed .npz; the same arrays give the same bytes."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **{name: np.asarray(array, order="C") for name, array in arrays.items()})
    return packed.getvalue()


def unpack(content: bytes, *, where: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of an uncompressed .npz, never more of them than the file is long.

    Raises InputError if it is no .npz (a pickle, say), is compressed or damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
            raise ValueError("it holds something else than arrays")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("its arrays are longer than itself")
        return {member.filename.removesuffix(".npy"): _read_array(_stored(content, member)) for member in members}
    except (ValueError, struct.error, zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise InputError(f"holds no arrays of numbers: {error}", where=where, hint=_HINT) from None


def _stored(content: bytes, member: zipfile.ZipInfo) -> memoryview:
    """Find the bytes of an uncompressed member; zipfile would copy them, and check their sum as if no digest were."""
    begin = member.header_offset + _LOCAL_HEADER_BYTES
    name_bytes, extra_bytes = struct.unpack_from("<HH", content, begin - 4)
    begin += name_bytes + extra_bytes
    return memoryview(content)[begin : begin + member.file_size]


def _read_array(content: memoryview) -> NDArray[Any]:
    """Read one .npy whose header says no more than there is."""
    if bytes(content[:8]) != b"\x93NUMPY\x01\x00":
        raise ValueError("an array has another version")
    begin = 10 + int.from_bytes(content[8:10], "little")
    shape, dtype = _read_header(bytes(content[10:begin]))
    size = 1
    for length in shape:
        size *= length
    if any(length < 0 for length in shape) or size * dtype.itemsize != len(content) - begin:
        raise ValueError("an array is longer or shorter than its header says")
    # Copied, so that it is aligned.
    return np.frombuffer(content, dtype=dtype, offset=begin).reshape(shape).copy()


#: As NumPy writes it: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
_HEADER: Final = re.compile(
    rb"{'descr': '(?P<type>\|[biu]1|[<>][iu][248]|[<>]f[248])', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,18}(?:, |,|(?=\))))*)\), } *\n"
)


@lru_cache(maxsize=256)
def _read_header(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type; many arrays have the same.

    NumPy's own reader tries to mend what it does not understand, and fails on it in many ways.
    """
    found = _HEADER.fullmatch(header)
    shape = tuple(map(int, found["shape"].replace(b",", b" ").split())) if found else ()
    if found is None or (found["fortran"] == b"True" and len(shape) > 1):
        raise ValueError("an array holds something else than numbers")
    return shape, np.dtype(found["type"].decode())


@dataclass(frozen=True)
class Codec:
    """How objects of one class are stored."""

    name: str  # in files
    type: type[Any]  # the class
    to_arrays: Callable[[Any], Arrays]  # gives an object's arrays by name
    #: Makes the object again; runs on arrays of numbers that nobody vouches for.
    from_arrays: Callable[[Arrays], Any]


class Codecs:
    """Classes that can be stored, registered by the program or offered by an installed package.

    Parameters
    ----------
    entry_point_group : str
        A package offers a class by an entry point of this group, whose name is the codec's and which points to the
        module that registers it.
    """

    def __init__(self, entry_point_group: str) -> None:
        self._group = entry_point_group
        self._codecs: dict[str, Codec] = {}

    def register(
        self, name: str, kind: type[Any], *, to_arrays: Callable[[Any], Arrays], from_arrays: Callable[[Arrays], Any]
    ) -> None:
        """Make objects of a class storable; a later registration of the same name replaces it."""
        self._codecs[name] = Codec(name, kind, to_arrays, from_arrays)

    def of(self, stored: object) -> Codec | None:
        """Find how an object is stored; None if its class is not registered."""
        return next((codec for codec in self._codecs.values() if type(stored) is codec.type), None)

    def named(self, name: str) -> Codec | None:
        """Find a codec by its name; None if there is none."""
        if name not in self._codecs:
            for entry in entry_points(group=self._group, name=name):
                entry.load()
        return self._codecs.get(name)
