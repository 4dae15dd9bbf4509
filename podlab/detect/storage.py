"""A library as the bytes of two files, and back. Nothing in them is executed, and everything is checked.

``detectors.json`` names the services, the signals and, if they are not podlab's own, the kinds of the components.
``detectors.npz`` holds the arrays of all detectors, those of the pooled one last. podlab's own components are stacked
into arrays over all detectors; the arrays of others are stored one by one, by the name
``<detector>.<ensemble>.<component>.<array>``. Detectors learned from synthetic faults share a forest, whose arrays are
``forest.<array>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from podlab.arrays import Arrays, ArraySpec, Codec, check_arrays, pack, unpack
from podlab.detect.components import (
    COMPONENTS,
    MahalanobisDistance,
    NearestCentre,
    RootMeanSquare,
    outlier_scores,
)
from podlab.detect.detector import Detector, DetectorEnsemble
from podlab.detect.discriminative import FEATURES, KINDS, FaultDetector
from podlab.detect.library import DetectorLibrary
from podlab.detect.reference import AGES_S, LEVELS, ParetoTailEcdf, RobustScaler
from podlab.detect.signals import ORIGINAL_SIGNALS, SIGNALS
from podlab.errors import InputError
from podlab.identify.forest import forest_from_arrays

_HEAD, _ARRAYS = "detectors.json", "detectors.npz"
#: The files that hold a library.
FILES = (_HEAD, _ARRAYS)
_HINT = "fit the model again"
_WIDTH, _AGES = len(ORIGINAL_SIGNALS), len(AGES_S) + 1
_OWN = (RootMeanSquare, NearestCentre, MahalanobisDistance)

#: Arrays of all libraries, named as in the first format.
_SHARED = {
    "centre": ArraySpec(np.float64, ("detectors", _AGES, 2 * _WIDTH)),
    "stray": ArraySpec(np.float64, ("detectors", _AGES, 2 * _WIDTH), above=0),
    "levels": ArraySpec(np.float64, ("detectors", "ecdfs", LEVELS), ascending=True),
    "share": ArraySpec(np.float64, ("detectors", "ecdfs"), above=0, high=1),
    "shape": ArraySpec(np.float64, ("detectors", "ecdfs"), above=0),
    "learned": ArraySpec(np.int64, ("detectors", 2), low=0),
    "threshold": ArraySpec(np.float64, (2,), above=0),
}
#: Arrays of podlab's own components: cluster centres and their number, mean and whitening matrix.
_STACKED = {
    "modes": ArraySpec(np.float64, ("centres", _WIDTH)),
    "mode_count": ArraySpec(np.int64, ("ensembles",), low=1),
    "middle": ArraySpec(np.float64, ("detectors", 2, _WIDTH)),
    "root": ArraySpec(np.float64, ("detectors", 2, _WIDTH, _WIDTH)),
}
#: Arrays of detectors learned from synthetic faults, beside the forest's; the ECDFs are for known and unknown services.
_OF_FAULTS = {
    "centre": ArraySpec(np.float64, ("detectors", _AGES, 2 * len(SIGNALS))),
    "stray": ArraySpec(np.float64, ("detectors", _AGES, 2 * len(SIGNALS)), above=0),
    "levels": ArraySpec(np.float64, (2, LEVELS), ascending=True),
    "share": ArraySpec(np.float64, (2,), above=0, high=1),
    "shape": ArraySpec(np.float64, (2,), above=0),
    "learned": _SHARED["learned"],
    "threshold": _SHARED["threshold"],
}
#: Of detectors that raise alarms by kinds; older ones have none, and no odds are unusual to them.
_ODDS = {
    "odds_location": ArraySpec(np.float64, (len(KINDS) - 1,)),
    "odds_scale": ArraySpec(np.float64, (len(KINDS) - 1,), above=0),
}
_NO_ODDS = (np.zeros(len(KINDS) - 1), np.full(len(KINDS) - 1, 1e9))
_FOREST = "forest."


class _Head(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    services: list[str]
    signals: list[str]
    components: list[str] = []
    learned_from: Literal["normal", "synthetic-faults"] = "normal"


def to_files(library: DetectorLibrary) -> dict[str, bytes]:
    """Write a library as files by name; the same library gives the same bytes.

    Raises
    ------
    InputError
        If a component's class is not registered, or detectors have different components.
    """
    every = (*library.detectors.values(), library.pooled)
    of_faults = [each for each in every if isinstance(each, FaultDetector)]
    detectors = [each for each in every if isinstance(each, Detector)]
    if of_faults and detectors:
        raise InputError("detectors of different kinds cannot be stored together", hint=_HINT)
    if of_faults:
        return _fault_files(library, of_faults)
    ensembles = [each for detector in detectors for each in (detector.value_ensemble, detector.change_ensemble)]
    kinds = _kinds_of(ensembles)
    own = tuple(kind.type for kind in kinds) == _OWN
    ecdfs = [
        (*values.ecdfs, *changes.ecdfs, detector.evidence_ecdf, detector.change_ecdf)
        for detector, values, changes in zip(detectors, ensembles[::2], ensembles[1::2], strict=True)
    ]
    head = _Head(list(library.detectors), list(ORIGINAL_SIGNALS), [] if own else [kind.name for kind in kinds])
    arrays: dict[str, NDArray[Any]] = {
        "centre": np.stack([detector.scaler.location for detector in detectors]),
        "stray": np.stack([detector.scaler.scale for detector in detectors]),
        **(_stack_own(ensembles) if own else _list_arrays(ensembles, kinds)),
        "levels": np.array([[each.levels for each in group] for group in ecdfs]),
        "share": np.array([[each.share for each in group] for group in ecdfs]),
        "shape": np.array([[each.shape for each in group] for group in ecdfs]),
        "learned": np.array([[detector.deployments, detector.rows] for detector in detectors], dtype=np.int64),
        "threshold": np.array([library.threshold, library.pooled_threshold]),
    }
    return {_HEAD: msgspec.json.format(msgspec.json.encode(head), indent=1), _ARRAYS: pack(arrays)}


def _fault_files(library: DetectorLibrary, detectors: Sequence[FaultDetector]) -> dict[str, bytes]:
    """Write detectors learned from synthetic faults, the pooled one last."""
    pooled = detectors[-1]
    ecdfs = (detectors[0].evidence_ecdf, pooled.evidence_ecdf)
    arrays: dict[str, NDArray[Any]] = {
        "centre": np.stack([detector.scaler.location for detector in detectors]),
        "stray": np.stack([detector.scaler.scale for detector in detectors]),
        "levels": np.stack([each.levels for each in ecdfs]),
        "share": np.array([each.share for each in ecdfs]),
        "shape": np.array([each.shape for each in ecdfs]),
        "learned": np.array([[detector.deployments, detector.rows] for detector in detectors], dtype=np.int64),
        "threshold": np.array([library.threshold, library.pooled_threshold]),
        **dict(zip(_ODDS, pooled.usual_odds, strict=True)),
        **{_FOREST + name: array for name, array in pooled.forest.to_arrays().items()},
    }
    head = _Head(list(library.detectors), list(SIGNALS), learned_from="synthetic-faults")
    return {_HEAD: msgspec.json.format(msgspec.json.encode(head), indent=1), _ARRAYS: pack(arrays)}


def _read_fault_files(arrays: Arrays, services: Sequence[str], where: str) -> DetectorLibrary:
    """Read detectors learned from synthetic faults."""
    number = len(services) + 1
    arrays = {**dict(zip(_ODDS, _NO_ODDS, strict=True)), **arrays}
    checked = check_arrays(arrays, _OF_FAULTS | _ODDS, where=where, sizes={"detectors": number})
    usual_odds = np.stack([checked[name] for name in _ODDS])
    forest = forest_from_arrays(
        {name.removeprefix(_FOREST): array for name, array in arrays.items() if name.startswith(_FOREST)},
        n_features=FEATURES, n_classes=len(KINDS), where=where,
    )  # fmt: skip
    names = forest.to_nodes() if f"{_FOREST}feature" in arrays else forest.to_arrays()
    if set(arrays) != {*_OF_FAULTS, *_ODDS, *(_FOREST + name for name in names)} or np.any(
        checked["levels"][:, -1] <= 0
    ):
        raise InputError("holds no usable detectors", where=where, hint=_HINT)
    known, unknown = (
        ParetoTailEcdf(levels, share, shape)
        for levels, share, shape in zip(
            checked["levels"], checked["share"].tolist(), checked["shape"].tolist(), strict=True
        )
    )
    detectors = [
        FaultDetector(
            RobustScaler(centre, stray), forest, usual_odds, known if place < number - 1 else unknown, *learned
        )
        for place, (centre, stray, learned) in enumerate(
            zip(checked["centre"], checked["stray"], checked["learned"].tolist(), strict=True)
        )
    ]
    threshold, pooled_threshold = checked["threshold"].tolist()
    return DetectorLibrary(dict(zip(services, detectors, strict=False)), detectors[-1], threshold, pooled_threshold)


def _kinds_of(ensembles: Sequence[DetectorEnsemble]) -> list[Codec]:
    """Find the kinds of the components that all ensembles have."""
    found = [[COMPONENTS.of(each) for each in ensemble.components] for ensemble in ensembles]
    odd = {type(each).__name__ for ensemble in ensembles for each in ensemble.components if COMPONENTS.of(each) is None}
    if odd:
        raise InputError(
            f"detectors made of {', '.join(sorted(odd))} cannot be stored without code",
            hint="make the class storable with podlab.detect.register_detector, or keep the library in memory",
        )
    if any(kinds != found[0] for kinds in found):
        raise InputError("detectors made of different components cannot be stored together", hint=_HINT)
    return [kind for kind in found[0] if kind is not None]


def _stack_own(ensembles: Sequence[DetectorEnsemble]) -> dict[str, NDArray[Any]]:
    """Stack the arrays of podlab's own components: (n_detectors, 2, ...), and all cluster centres in one."""
    _, centres, distances = zip(*(ensemble.components for ensemble in ensembles), strict=True)
    mean, whitening = ([getattr(each, name) for each in distances] for name in ("mean", "whitening"))
    return {
        "modes": np.concatenate([each.centres for each in centres]),
        "mode_count": np.array([len(each.centres) for each in centres], dtype=np.int64),
        "middle": np.array(mean).reshape(-1, 2, _WIDTH),
        "root": np.array(whitening).reshape(-1, 2, _WIDTH, _WIDTH),
    }


def _list_arrays(ensembles: Sequence[DetectorEnsemble], kinds: Sequence[Codec]) -> dict[str, NDArray[Any]]:
    """List the arrays of all components by name."""
    return {
        f"{number // 2}.{number % 2}.{place}.{name}": np.asarray(array)
        for number, ensemble in enumerate(ensembles)
        for place, (component, kind) in enumerate(zip(ensemble.components, kinds, strict=True))
        for name, array in kind.to_arrays(component).items()
    }


def from_files(files: Mapping[str, bytes], *, services: Sequence[str], where: str) -> DetectorLibrary:
    """Read a library from its files.

    Parameters
    ----------
    files : mapping of str to bytes
        By name; others than :data:`FILES` are ignored.
    services : sequence of str
        Services of the model; no other one may have a detector.
    where : str
        The bundle, for errors.

    Raises
    ------
    InputError
        If a file is missing, is no such file (a pickle, say), names components that are not registered, or holds
        anything that cannot be a library.
    """
    if absent := [name for name in FILES if name not in files]:
        raise InputError(f"{absent[0]} is missing", where=where, hint=_HINT)
    try:
        head = msgspec.json.decode(files[_HEAD], type=_Head)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{_HEAD} is not a library: {error}", where=where, hint=_HINT) from None
    of_faults = head.learned_from == "synthetic-faults"
    if tuple(head.signals) != (SIGNALS if of_faults else ORIGINAL_SIGNALS):
        raise InputError(f"{_HEAD} was made for other signals than this version's", where=where, hint=_HINT)
    if len(set(head.services)) != len(head.services) or not set(head.services) <= set(services):
        raise InputError(f"{_HEAD} names services that the model does not have", where=where, hint=_HINT)
    if of_faults:
        where = f"{where}/{_ARRAYS}"
        return _read_fault_files(unpack(files[_ARRAYS], where=where), head.services, where)
    kinds = [_find_kind(name, where) for name in head.components]
    where = f"{where}/{_ARRAYS}"
    arrays, number = unpack(files[_ARRAYS], where=where), len(head.services) + 1
    sizes = {"detectors": number, "ensembles": 2 * number, "ecdfs": 2 * len(kinds or _OWN) + 2}
    check_arrays(arrays, _SHARED | ({} if kinds else _STACKED), where=where, sizes=sizes)
    try:
        _require(arrays["share"] < 1, arrays["levels"][..., -1] > 0)
        ensembles = _read_listed(arrays, number, kinds) if kinds else _read_own(arrays)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        raise InputError("holds no usable detectors", where=where, hint=_HINT) from None
    detectors = [_read_detector(arrays, each, ensembles[2 * each : 2 * each + 2]) for each in range(number)]
    threshold, pooled_threshold = arrays["threshold"].tolist()
    return DetectorLibrary(
        dict(zip(head.services, detectors, strict=False)), detectors[-1], threshold, pooled_threshold
    )


def _find_kind(name: str, where: str) -> Codec:
    kind = COMPONENTS.named(name)
    if kind is None:
        raise InputError(
            f"{_HEAD} names components of the unknown kind {name!r:.60}",
            where=where,
            hint="import the module that registers it with podlab.detect.register_detector, or install its package",
        )
    return kind


def _require(*conditions: Any) -> None:
    """Refuse what is not sound."""
    if not all(np.all(each) for each in conditions):
        raise ValueError


def _read_own(arrays: Arrays) -> list[tuple[Any, ...]]:
    """Read podlab's own components: those of each detector's two ensembles, in order."""
    centres, count, mean, whitening = (arrays[name] for name in _STACKED)
    # The single bound keeps the sum from overflowing.
    _require(set(arrays) == {*_SHARED, *_STACKED}, count <= len(centres), count.sum() == len(centres))
    return [
        (RootMeanSquare(), NearestCentre(own), MahalanobisDistance(own_mean, own_whitening))
        for own, own_mean, own_whitening in zip(
            np.split(centres, np.cumsum(count)[:-1]), np.concatenate(mean), np.concatenate(whitening), strict=True
        )
    ]


def _read_listed(arrays: Arrays, number: int, kinds: Sequence[Codec]) -> list[tuple[Any, ...]]:
    """Read other components, and try each on a row."""
    found: dict[tuple[int, int], dict[str, NDArray[Any]]] = {
        (ensemble, place): {} for ensemble in range(2 * number) for place in range(len(kinds))
    }
    for name, array in arrays.items():
        if name not in _SHARED:
            detector, side, place, own_name = name.split(".", 3)
            found[2 * int(detector) + int(side), int(place)][own_name] = array
    _require(*(np.isfinite(array) for array in arrays.values()))
    components = {key: kinds[key[1]].from_arrays(own) for key, own in found.items()}
    for component in components.values():
        score = outlier_scores(component, np.zeros((1, _WIDTH)))
        _require(score.shape == (1,), np.isfinite(score))
    return [tuple(components[ensemble, place] for place in range(len(kinds))) for ensemble in range(2 * number)]


def _read_detector(arrays: Arrays, number: int, components: Sequence[tuple[Any, ...]]) -> Detector:
    ecdfs = [
        ParetoTailEcdf(levels, share, shape)
        for levels, share, shape in zip(
            arrays["levels"][number], arrays["share"][number].tolist(), arrays["shape"][number].tolist(), strict=True
        )
    ]
    values, changes = components
    deployments, rows = arrays["learned"][number].tolist()
    return Detector(
        scaler=RobustScaler(arrays["centre"][number], arrays["stray"][number]),
        value_ensemble=DetectorEnsemble(values, tuple(ecdfs[: len(values)])),
        change_ensemble=DetectorEnsemble(changes, tuple(ecdfs[len(values) : -2])),
        evidence_ecdf=ecdfs[-2],
        change_ecdf=ecdfs[-1],
        deployments=deployments,
        rows=rows,
    )
