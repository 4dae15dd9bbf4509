"""A library as the bytes of two files, and back; nothing in them is run, and nothing is believed unchecked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from podlab.detect.detector import Detector, Jury
from podlab.detect.library import Library
from podlab.detect.measures import Ellipse, NearestMode, RootMeanSquare
from podlab.detect.signals import SIGNALS
from podlab.detect.tail import LEVELS, Tail
from podlab.detect.usual import AGES_S, Usual
from podlab.errors import InputError
from podlab.identify.storage import pack, unpack

_WORDS, _ARRAYS = "detectors.json", "detectors.npz"
#: The files that hold a library.
FILES = (_WORDS, _ARRAYS)
_REMEDY = "fit the model again"
_WIDTH = len(SIGNALS)
_PARTS = [RootMeanSquare, NearestMode, Ellipse]
#: Tails of a detector: of each part of both juries, of their evidence, and of its part about changes.
_TAILS = 2 * len(_PARTS) + 2


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    services: list[str]
    signals: list[str]


def to_files(library: Library) -> dict[str, bytes]:
    """Write a library as files by name; the same library gives the same bytes.

    Raises
    ------
    InputError
        If a detector has other parts than podlab's own, which could be stored as running code only.
    """
    detectors = (*library.detectors.values(), library.pooled)
    for detector in detectors:
        parts = (*detector.of_service.parts, *detector.of_change.parts)
        if [type(part) for part in parts] != 2 * _PARTS:
            names = ", ".join(sorted({type(part).__name__ for part in parts} - {part.__name__ for part in _PARTS}))
            raise InputError(
                f"detectors made of {names or 'fewer parts'} cannot be stored without code",
                hint="keep them in memory, or fit the default",
            )
    juries = [(detector.of_service, detector.of_change) for detector in detectors]
    tails = [
        (*jury.tails, *other.tails, detector.evidence, detector.changed)
        for detector, (jury, other) in zip(detectors, juries, strict=True)
    ]
    modes = [jury.parts[1].modes for pair in juries for jury in pair]
    words = _Words(list(library.detectors), list(SIGNALS))
    arrays: dict[str, NDArray[Any]] = {
        "centre": np.stack([detector.usual.centre for detector in detectors]),
        "stray": np.stack([detector.usual.stray for detector in detectors]),
        "modes": np.concatenate(modes),
        "mode_count": np.array([len(own) for own in modes], dtype=np.int64),
        "middle": np.array([[jury.parts[2].middle for jury in pair] for pair in juries]),
        "root": np.array([[jury.parts[2].root for jury in pair] for pair in juries]),
        "levels": np.array([[tail.levels for tail in own] for own in tails]),
        "share": np.array([[tail.share for tail in own] for own in tails]),
        "shape": np.array([[tail.shape for tail in own] for own in tails]),
        "learned": np.array([[detector.deployments, detector.rows] for detector in detectors], dtype=np.int64),
        "threshold": np.array([library.threshold, library.pooled_threshold]),
    }
    return {_WORDS: msgspec.json.format(msgspec.json.encode(words), indent=1), _ARRAYS: pack(arrays)}


def from_files(files: Mapping[str, bytes], *, services: Sequence[str], where: str) -> Library:
    """Read a library from its files.

    Parameters
    ----------
    files : mapping of str to bytes
        By name; others than :data:`FILES` are not looked at.
    services : sequence of str
        What the model can answer: no other service has a detector.
    where : str
        The bundle, for errors.

    Raises
    ------
    InputError
        If a file is missing, is no such file (a pickle, say), or holds anything that cannot be a library.
    """
    if absent := [name for name in FILES if name not in files]:
        raise InputError(f"{absent[0]} is missing", where=where, hint=_REMEDY)
    try:
        words = msgspec.json.decode(files[_WORDS], type=_Words)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{_WORDS} is no library: {error}", where=where, hint=_REMEDY) from None
    if tuple(words.signals) != SIGNALS:
        raise InputError(f"{_WORDS} was made for other signals than this version's", where=where, hint=_REMEDY)
    if len(set(words.services)) != len(words.services) or not set(words.services) <= set(services):
        raise InputError(f"{_WORDS} names services that the model does not have", where=where, hint=_REMEDY)
    arrays = unpack(files[_ARRAYS], where=f"{where}/{_ARRAYS}")
    if not _are_sound(arrays, len(words.services) + 1):
        raise InputError("holds no usable detectors", where=f"{where}/{_ARRAYS}", hint=_REMEDY)
    modes = np.split(arrays["modes"], np.cumsum(arrays["mode_count"])[:-1])
    detectors = [_detector(arrays, number, modes[2 * number : 2 * number + 2]) for number in range(len(modes) // 2)]
    threshold, pooled_threshold = arrays["threshold"].tolist()
    return Library(dict(zip(words.services, detectors, strict=False)), detectors[-1], threshold, pooled_threshold)


def _are_sound(arrays: Mapping[str, NDArray[Any]], count: int) -> bool:
    """Tell whether the arrays are of the right kinds, shapes and ranges."""
    ages, floats, whole = len(AGES_S) + 1, np.dtype(np.float64), np.dtype(np.int64)
    wanted: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "centre": (floats, (count, ages, 2 * _WIDTH)),
        "stray": (floats, (count, ages, 2 * _WIDTH)),
        "mode_count": (whole, (2 * count,)),
        "middle": (floats, (count, 2, _WIDTH)),
        "root": (floats, (count, 2, _WIDTH, _WIDTH)),
        "levels": (floats, (count, _TAILS, LEVELS)),
        "share": (floats, (count, _TAILS)),
        "shape": (floats, (count, _TAILS)),
        "learned": (whole, (count, 2)),
        "threshold": (floats, (2,)),
    }
    if set(arrays) != {*wanted, "modes"}:
        return False
    if any((arrays[name].dtype, arrays[name].shape) != kind for name, kind in wanted.items()):
        return False
    number, modes = arrays["mode_count"], arrays["modes"]
    if np.any(number < 1) or np.any(number > len(modes)) or number.sum() != len(modes):
        return False
    if modes.dtype != floats or modes.shape != (len(modes), _WIDTH):
        return False
    return bool(
        all(np.isfinite(array).all() for array in arrays.values())
        and np.all(arrays["stray"] > 0)
        and np.all(np.diff(arrays["levels"], axis=-1) >= 0)
        and np.all(arrays["levels"][..., -1] > 0)
        and np.all((arrays["share"] > 0) & (arrays["share"] < 1))
        and np.all(arrays["shape"] > 0)
        and np.all(arrays["learned"] >= 0)
        and np.all(arrays["threshold"] > 0)
    )


def _detector(arrays: Mapping[str, NDArray[Any]], number: int, modes: Sequence[NDArray[np.float64]]) -> Detector:
    *tails, evidence, changed = (
        Tail(levels, share, shape)
        for levels, share, shape in zip(
            arrays["levels"][number], arrays["share"][number].tolist(), arrays["shape"][number].tolist(), strict=True
        )
    )
    of_service, of_change = (
        Jury(
            (RootMeanSquare(), NearestMode(own), Ellipse(arrays["middle"][number, side], arrays["root"][number, side])),
            tuple(tails[side * len(_PARTS) : (side + 1) * len(_PARTS)]),
        )
        for side, own in enumerate(modes)
    )
    deployments, rows = arrays["learned"][number].tolist()
    usual = Usual(arrays["centre"][number], arrays["stray"][number])
    return Detector(usual, of_service, of_change, evidence, changed, deployments, rows)
