"""An identifier as the bytes of a few files, and back; nothing in them is run, and nothing is believed unchecked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError
from podlab.features.features import feature_names
from podlab.features.windows import series_of
from podlab.identify.calibration import MEASURES, Calibration, Condition, ConformalQuantiles
from podlab.identify.forest import forest_from_arrays
from podlab.identify.identifier import HorizonModel, Identifier
from podlab.identify.novelty import NearestNeighbours, OodScore
from podlab.identify.observation import STORED_KINDS, ObservationWindow

_MODEL = "model.json"
_CALIBRATION = "calibration.npz"
_REMEDY = "fit the model again"
_STORED_CONDITIONS = {
    Condition.RECORDED: "RECORDED",
    Condition.SPARSE: "SELDOM",
    Condition.INCOMPLETE: "LACKING",
    Condition.SPARSE_AND_INCOMPLETE: "SELDOM_AND_LACKING",
}


class _StoredLook(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["birth", "midlife"]
    length_s: float


class _StoredCalibration(msgspec.Struct, forbid_unknown_fields=True):
    looks: list[str]
    temperatures: list[float]


class _StoredModel(msgspec.Struct, forbid_unknown_fields=True):
    services: list[str]
    columns: list[str]
    features: list[str]
    looks: list[_StoredLook]
    calibrations: list[_StoredCalibration]
    interval_s: float
    seed: int


def to_files(identifier: Identifier) -> dict[str, bytes]:
    """Write an identifier as files by name; the same identifier gives the same bytes."""
    stored = _StoredModel(
        services=list(identifier.services),
        columns=list(identifier.columns),
        features=list(identifier.features),
        looks=[_StoredLook(STORED_KINDS[each.kind], each.length_s) for each in identifier.windows],
        calibrations=[
            _StoredCalibration(list(names), [each.temperature for each in conditions])
            for names, conditions in identifier.calibrations.items()
        ],
        interval_s=identifier.interval_s,
        seed=identifier.seed,
    )
    files = {_MODEL: msgspec.json.format(msgspec.json.encode(stored), indent=1)}
    for name, expert in identifier.horizon_models.items():
        files[f"{name}.npz"] = pack(
            {
                **expert.forest.to_arrays(),
                "known_leaves": expert.leaves,
                "known_service": expert.service,
                **{
                    f"space_{name}": array for name, array in expert.neighbours.to_arrays().items() if name != "service"
                },
            }
        )
    files[_CALIBRATION] = pack(
        {"similarity": identifier.similarity}
        | {
            f"{number}.{_STORED_CONDITIONS[condition]}.{name}": array
            for number, conditions in enumerate(identifier.calibrations.values())
            for condition, calibration in zip(Condition, conditions, strict=True)
            for name, array in calibration.to_arrays().items()
        }
    )
    return files


def from_files(files: Mapping[str, bytes], *, where: str) -> Identifier:
    """Read an identifier from its files.

    Raises
    ------
    InputError
        If a file is missing, is no such file (a pickle, say), or holds anything that cannot be a model.
    """
    try:
        stored = msgspec.json.decode(files[_MODEL], type=_StoredModel)
    except KeyError:
        raise InputError(f"{_MODEL} is missing", where=where, hint=_REMEDY) from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{_MODEL} is no model: {error}", where=where, hint=_REMEDY) from None
    _check(stored, where)
    windows = _windows(stored)
    expected = {_MODEL, _CALIBRATION, *(f"{each.name}.npz" for each in windows)}
    if set(files) != expected:
        odd = sorted(set(files) ^ expected)[0]
        raise InputError(f"{odd} is missing or does not belong to the model", where=where, hint=_REMEDY)
    models = {each.name: _expert(files[f"{each.name}.npz"], stored, f"{where}/{each.name}.npz") for each in windows}
    packed = unpack(files[_CALIBRATION], where=f"{where}/{_CALIBRATION}")
    services = len(stored.services)
    return Identifier(
        services=tuple(stored.services),
        columns=tuple(stored.columns),
        features=tuple(stored.features),
        windows=windows,
        horizon_models=models,
        calibrations={
            tuple(each.looks): tuple(
                _calibration(
                    packed,
                    f"{number}.{_STORED_CONDITIONS[condition]}",
                    temperature,
                    services,
                    f"{where}/{_CALIBRATION}",
                )
                for condition, temperature in zip(Condition, each.temperatures, strict=True)
            )
            for number, each in enumerate(stored.calibrations)
        },
        similarity=_similarity(packed, services, f"{where}/{_CALIBRATION}"),
        interval_s=stored.interval_s,
        seed=stored.seed,
    )


def _windows(stored: _StoredModel) -> tuple[ObservationWindow, ...]:
    kinds = {name: kind for kind, name in STORED_KINDS.items()}
    return tuple(ObservationWindow(kinds[each.kind], each.length_s) for each in stored.looks)


def _check(stored: _StoredModel, where: str) -> None:
    """Refuse a description that the code could not work with."""
    names = [each.name for each in _windows(stored)]
    births = [name for name, look in zip(names, stored.looks, strict=True) if look.kind == "birth"]
    needed = {tuple(dict.fromkeys((a, b))) for n, a in enumerate(births) for b in births[n:]}
    needed |= {(name,) for name in names}
    order = [(look.kind, look.length_s) for look in stored.looks]
    faults = {
        "it knows fewer than two services": len(stored.services) < 2,
        "it repeats a service": len(set(stored.services)) != len(stored.services),
        "it uses columns that podlab does not know": not stored.columns
        or not set(stored.columns) <= {*FEATURE_METRICS},
        "it was made for other features than this version's": tuple(stored.features)
        != feature_names(series_of(stored.columns)),
        "its looks are none or in disorder": not order or order != sorted(set(order)),
        "a look's length is not positive": not all(0 < look.length_s < np.inf for look in stored.looks),
        "a calibration is missing or repeated": sorted(tuple(each.looks) for each in stored.calibrations)
        != sorted(needed),
        "a temperature is missing or not positive": not all(
            len(each.temperatures) == len(Condition) and all(0 < t < np.inf for t in each.temperatures)
            for each in stored.calibrations
        ),
        "its sampling interval is negative": not 0 <= stored.interval_s < np.inf,
    }
    for fault, found in faults.items():
        if found:
            raise InputError(f"{_MODEL} is no model: {fault}", where=where, hint=_REMEDY)


def _expert(content: bytes, stored: _StoredModel, where: str) -> HorizonModel:
    arrays = unpack(content, where=where)
    services = len(stored.services)
    forest = forest_from_arrays(arrays, n_features=len(stored.features), n_classes=services, where=where)
    leaves, service = arrays.get("known_leaves"), arrays.get("known_service")
    if (
        leaves is None
        or service is None
        or leaves.dtype != np.int32
        or service.dtype != np.int16
        or service.ndim != 1
        or leaves.shape != (service.size, forest.roots.size)
        or np.any(np.diff(service) < 0)
        or np.any((service < 0) | (service >= services))
    ):
        raise InputError("its training containers are not readable", where=where, hint=_REMEDY)
    return HorizonModel(forest, leaves, service, _space(arrays, service, len(stored.features), where))


def _space(
    arrays: Mapping[str, NDArray[Any]], service: NDArray[np.int16], features: int, where: str
) -> NearestNeighbours:
    chosen, scale, weight, points = (arrays.get(f"space_{name}") for name in ("feature", "scale", "weight", "points"))
    if (
        chosen is None or scale is None or weight is None or points is None
        or chosen.dtype != np.int16 or any(array.dtype != np.float32 for array in (scale, weight, points))
        or chosen.ndim != 1 or not chosen.size or scale.shape != chosen.shape or weight.shape != chosen.shape
        or points.shape != (service.size, chosen.size)
        or np.any((chosen < 0) | (chosen >= features))
        or not (np.all(scale > 0) and np.isfinite(scale).all() and np.all(weight >= 0) and np.isfinite(weight).all())
    ):  # fmt: skip
        raise InputError("its space of features is not readable", where=where, hint=_REMEDY)
    return NearestNeighbours(chosen, scale, weight, points, service)


def _similarity(arrays: Mapping[str, NDArray[Any]], services: int, where: str) -> NDArray[np.float64]:
    found = arrays.get("similarity")
    if found is None or found.dtype != np.float64 or found.shape != (services, services):
        raise InputError("the similarity of services is not readable", where=where, hint=_REMEDY)
    if not np.all((found >= 0) & (found <= 1)) or np.any(found != found.T):
        raise InputError("the similarity of services is none", where=where, hint=_REMEDY)
    return found


def _calibration(
    arrays: Mapping[str, NDArray[Any]], prefix: str, temperature: float, services: int, where: str
) -> Calibration:
    shapes: dict[str, tuple[int | None, ...]] = {
        "usual": (MEASURES, services),
        "deviations": (MEASURES, None),
        "familiarity": (None,),
        "least": (services,),
    }
    parts: dict[str, NDArray[np.float64]] = {}
    for name, shape in shapes.items():
        part = arrays.get(f"{prefix}.{name}")
        if part is None or part.dtype != np.float64 or part.ndim != len(shape):
            raise InputError("a calibration is not readable", where=where, hint=_REMEDY)
        if any(wanted not in (None, there) for wanted, there in zip(shape, part.shape, strict=True)):
            raise InputError("a calibration is not readable", where=where, hint=_REMEDY)
        if np.isnan(part).any():
            raise InputError("a calibration is not in order", where=where, hint=_REMEDY)
        parts[name] = part
    basis = arrays.get(f"{prefix}.basis")
    if basis is None or basis.dtype != np.int8 or basis.shape != (services,) or np.any((basis < 0) | (basis > 2)):
        raise InputError("a calibration is not readable", where=where, hint=_REMEDY)
    if parts["deviations"].shape[1] != parts["familiarity"].size:
        raise InputError("a calibration is not readable", where=where, hint=_REMEDY)
    if any(np.any(np.diff(parts[name], axis=-1) < 0) for name in ("deviations", "familiarity")):
        raise InputError("a calibration is not in order", where=where, hint=_REMEDY)
    typicality = OodScore(parts["usual"], parts["deviations"], parts["familiarity"])
    return Calibration(temperature, typicality, ConformalQuantiles(parts["least"], basis))


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays as an uncompressed .npz; the same arrays give the same bytes."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **dict(arrays))
    return packed.getvalue()


def unpack(content: bytes, *, where: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of an uncompressed .npz, never more of them than the file is long.

    Raises
    ------
    InputError
        If it is no .npz (a pickle, say), is compressed or damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
                raise ValueError("it holds something else than arrays")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed")
            return {name.removesuffix(".npy"): _read_array(archive.read(name)) for name in names}
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"holds no arrays of numbers: {error}", where=where, hint=_REMEDY) from None


def _read_array(content: bytes) -> NDArray[Any]:
    """Read one .npy whose header says no more than there is."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError("an array has another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or dtype.kind not in "biuf" or (fortran and len(shape) > 1):
        raise ValueError("an array holds something else than numbers")
    size = 1
    for length in shape:
        size *= length
    if any(length < 0 for length in shape) or size * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array is longer or shorter than its header says")
    return np.frombuffer(content, dtype=dtype, offset=stream.tell()).reshape(shape)
