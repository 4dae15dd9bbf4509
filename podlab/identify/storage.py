"""An identifier as the bytes of a few files, and back. Nothing in them is executed, and everything is checked.

``model.json`` says what the model knows and looks at, ``calibration.npz`` holds what held-out deployments taught, and
one ``.npz`` for each observation window holds its model: a forest, or a classifier of a registered kind. Files of a
smaller set of columns begin with its name. Names in the files are those of the first format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from podlab.arrays import Arrays, ArraySpec, Codec, Codecs, check_arrays, pack, unpack
from podlab.data.catalogue import MEASURED_METRICS
from podlab.errors import InputError
from podlab.features.features import feature_names
from podlab.features.windows import series_of
from podlab.identify.calibration import MEASURES, Calibration, ClaimScore, Condition, ConformalQuantiles
from podlab.identify.classifier import ClassifierModel, ForestModel
from podlab.identify.forest import forest_from_arrays
from podlab.identify.identifier import Identifier
from podlab.identify.novelty import NearestNeighbours, OodScore
from podlab.identify.observation import STORED_KINDS, ObservationWindow

_MODEL, _CALIBRATION = "model.json", "calibration.npz"
_HINT = "fit the model again"
_STORED_CONDITIONS = {
    Condition.RECORDED: "RECORDED",
    Condition.SPARSE: "SELDOM",
    Condition.INCOMPLETE: "LACKING",
    Condition.SPARSE_AND_INCOMPLETE: "SELDOM_AND_LACKING",
}
#: Prefix of the arrays that a registered classifier gives.
_CLASSIFIER = "classifier."

_KNOWN = {"known_service": ArraySpec(np.int16, ("known",), low=0, below="services", ascending=True)}
#: Counted from their trees' roots; in earlier models, and of very large trees, from the first of all nodes.
_LEAVES = {"known_leaf": ArraySpec(np.uint16, ("known", "trees"))}
_LEAVES_BEFORE = {"known_leaves": ArraySpec(np.int32, ("known", "trees"))}
_NEIGHBOURS = {
    "feature": ArraySpec(np.int16, ("chosen",), low=0, below="features"),
    "scale": ArraySpec(np.float32, ("chosen",), above=0),
    "weight": ArraySpec(np.float32, ("chosen",), low=0),
    "points": ArraySpec(np.float32, ("known", "chosen"), nan=True, inf=True),
}
_SCALING = {
    "fill": ArraySpec(np.float32, ("features",), nan=True),
    "location": ArraySpec(np.float32, ("features",)),
    "scale": ArraySpec(np.float32, ("features",), above=0),
    "classes": ArraySpec(np.int64, ("classes",), low=0, below="services", ascending=True),
}
_OOD_SCORE = {
    "usual": ArraySpec(np.float64, (MEASURES, "services"), inf=True),
    "deviations": ArraySpec(np.float64, (MEASURES, "kept"), ascending=True, inf=True),
    "familiarity": ArraySpec(np.float64, ("kept",), ascending=True, inf=True),
}
_QUANTILES = {
    "least": ArraySpec(np.float64, ("services",), inf=True),
    "basis": ArraySpec(np.int8, ("services",), low=0, high=2),
}
#: All calibrations of a model one after the other, condition by condition.
_STACKED = {
    "usual": ArraySpec(np.float64, ("calibrations", MEASURES, "services"), inf=True),
    "deviations": ArraySpec(np.float64, (MEASURES, "all kept"), inf=True),
    "familiarity": ArraySpec(np.float64, ("all kept",), inf=True),
    "kept": ArraySpec(np.int32, ("calibrations",), low=0),
    "least": ArraySpec(np.float64, ("calibrations", "services"), inf=True),
    "basis": ArraySpec(np.int8, ("calibrations", "services"), low=0, high=2),
}
#: What claims are tested with, likewise; earlier bundles lack it, and calibrations of few deployments keep none.
_CLAIMS = {
    "claim_kept": ArraySpec(np.int32, ("calibrations",), low=0),
    "claim_deployments": ArraySpec(np.int32, ("calibrations",), low=0),
    "claim_scale": ArraySpec(np.float64, ("calibrations",), above=0),
    "claim_rank": ArraySpec(np.int32, ("all claims",), low=1),
    "claim_log_probability": ArraySpec(np.float64, ("all claims",)),
}
_SIMILARITY = {"similarity": ArraySpec(np.float64, ("services", "services"), low=0, high=1)}

#: Kinds of classifiers that a bundle may hold beside podlab's forest.
CLASSIFIERS = Codecs("podlab.classifiers")


def register_classifier(
    name: str, kind: type[Any], *, to_arrays: Callable[[Any], Arrays], from_arrays: Callable[[Arrays], Any]
) -> None:
    """Make identifiers with classifiers of a class storable.

    Parameters
    ----------
    name : str
        Name of the kind in bundles.
    kind : type
        The class of the fitted classifier.
    to_arrays : callable
        Gives the arrays of numbers of a fitted classifier, by name.
    from_arrays : callable
        Makes of them what has ``predict_proba``: (n, n_features) to (n, n_classes), classes ascending.

    Notes
    -----
    A process that loads the bundle must have registered the kind too: by itself, or by an installed package with an
    entry point of the group ``podlab.classifiers`` that has the kind's name and points to the registering module.
    """
    CLASSIFIERS.register(name, kind, to_arrays=to_arrays, from_arrays=from_arrays)


class _StoredWindow(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["birth", "midlife"]
    length_s: float


class _StoredCalibration(msgspec.Struct, forbid_unknown_fields=True):
    looks: list[str]
    temperatures: list[float]


class _StoredModel(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    services: list[str]
    columns: list[str]
    features: list[str]
    looks: list[_StoredWindow]
    calibrations: list[_StoredCalibration]
    interval_s: float
    seed: int
    classifier: str = ""
    reduced: list[str] = []


def to_files(identifier: Identifier) -> dict[str, bytes]:
    """Write an identifier as files by name; the same identifier gives the same bytes.

    Raises InputError if it is not fitted, or its classifier's class is not registered.
    """
    identifier.require_fitted()
    codec = _codec_of(identifier)
    stored = _StoredModel(
        services=list(identifier.services),
        columns=list(identifier.columns),
        features=list(identifier.features),
        looks=[_StoredWindow(STORED_KINDS[each.kind], each.length_s) for each in identifier.windows],
        calibrations=[
            _StoredCalibration(list(names), [each.temperature for each in conditions])
            for names, conditions in identifier.calibrations.items()
        ],
        interval_s=identifier.interval_s,
        seed=identifier.seed,
        classifier="" if codec is None else codec.name,
        reduced=list(identifier.reduced),
    )
    files = {_MODEL: msgspec.json.format(msgspec.json.encode(stored), indent=1)}
    for name, model in identifier.horizon_models.items():
        files[f"{name}.npz"] = pack(_model_to_arrays(model, codec))
    calibrations = [each for conditions in identifier.calibrations.values() for each in conditions]
    scores = [each.ood_score for each in calibrations]
    stacked = {
        "similarity": identifier.similarity,
        "usual": np.stack([each.medians for each in scores]),
        "deviations": np.concatenate([each.deviations for each in scores], axis=1),
        "familiarity": np.concatenate([each.scores for each in scores]),
        "kept": np.array([each.scores.size for each in scores], dtype=np.int32),
        "least": np.stack([each.quantiles.lowest for each in calibrations]),
        "basis": np.stack([each.quantiles.basis for each in calibrations]),
    }
    files[_CALIBRATION] = pack(stacked | _claim_arrays([each.claim_score for each in calibrations]))
    for name, reduced in identifier.reduced.items():
        files |= {f"{name}.{file}": content for file, content in to_files(reduced).items()}
    return files


def _codec_of(identifier: Identifier) -> Codec | None:
    """Find how the classifiers are stored; None for podlab's own forests."""
    kinds = [each.classifier for each in identifier.horizon_models.values() if isinstance(each, ClassifierModel)]
    codec = CLASSIFIERS.of(kinds[0]) if kinds else None
    if kinds and codec is None:
        hint = "register its class with podlab.identify.register_classifier, or keep the model in memory"
        raise InputError(f"a {type(kinds[0]).__name__} cannot be saved without code", hint=hint)
    return codec


def _model_to_arrays(model: ForestModel | ClassifierModel, codec: Codec | None) -> dict[str, NDArray[Any]]:
    near = model.neighbours
    neighbours = {f"space_{name}": getattr(near, name) for name in _NEIGHBOURS}
    if isinstance(model, ForestModel):
        leaf = model.leaves - model.forest.roots
        small = leaf.size == 0 or leaf.max() <= np.iinfo(np.uint16).max
        leaves = {"known_leaf": leaf.astype(np.uint16)} if small else {"known_leaves": model.leaves}
        return {**model.forest.to_arrays(), **leaves, "known_service": near.service, **neighbours}
    own = {} if codec is None else codec.to_arrays(model.classifier)
    return {
        **{name: getattr(model, name) for name in _SCALING},
        **{f"{_CLASSIFIER}{name}": np.asarray(array) for name, array in own.items()},
        "known_service": near.service,
        **neighbours,
    }


class _Parts(Mapping[str, Identifier]):
    """Identifiers of smaller sets of columns, by name; each is made of its files when it is first asked for.

    A source needs one of them at most, and reading all takes most of the time that a model takes to load.
    """

    def __init__(self, parts: Mapping[str, tuple[_StoredModel, Mapping[str, bytes]]], where: str) -> None:
        self._parts, self._where = parts, where
        self._made: dict[str, Identifier] = {}

    def __getitem__(self, name: str) -> Identifier:
        if name not in self._made:
            self._made[name] = _assemble(*self._parts[name], f"{self._where}/{name}")
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def from_files(files: Mapping[str, bytes], *, where: str) -> Identifier:
    """Read an identifier from its files; those of a smaller set of columns when that is first used.

    Raises InputError if a file is missing, is no such file (a pickle, say), or holds anything that cannot be a model.
    """
    stored = _describe(files, where)
    parts: dict[str, tuple[_StoredModel, Mapping[str, bytes]]] = {}
    for name in stored.reduced:
        own = {file.removeprefix(f"{name}."): files[file] for file in files if file.startswith(f"{name}.")}
        part = _describe(own, f"{where}/{name}")
        if part.services != stored.services or not set(part.columns) < set(stored.columns) or part.reduced:
            raise InputError(f"{_MODEL} is not a model: its part {name!r:.60} is of another", where=where, hint=_HINT)
        _check_names(own, part, f"{where}/{name}")
        parts[name] = part, own
    own = {file: content for file, content in files.items() if file.partition(".")[0] not in parts}
    _check_names(own, stored, where)
    identifier = _assemble(stored, own, where)
    identifier.reduced = _Parts(parts, where)
    return identifier


def _describe(files: Mapping[str, bytes], where: str) -> _StoredModel:
    try:
        stored = msgspec.json.decode(files[_MODEL], type=_StoredModel)
    except KeyError:
        raise InputError(f"{_MODEL} is missing", where=where, hint=_HINT) from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{_MODEL} is not a model: {error}", where=where, hint=_HINT) from None
    _check(stored, _windows(stored), where)
    return stored


def _windows(stored: _StoredModel) -> tuple[ObservationWindow, ...]:
    kinds = {name: kind for kind, name in STORED_KINDS.items()}
    return tuple(ObservationWindow(kinds[each.kind], each.length_s) for each in stored.looks)


def _check_names(files: Mapping[str, bytes], stored: _StoredModel, where: str) -> None:
    expected = {_MODEL, _CALIBRATION, *(f"{each.name}.npz" for each in _windows(stored))}
    if set(files) != expected:
        odd = sorted(set(files) ^ expected)[0]
        raise InputError(f"{odd} is missing or does not belong to the model", where=where, hint=_HINT)


def _assemble(stored: _StoredModel, files: Mapping[str, bytes], where: str) -> Identifier:
    """Read an identifier without those of smaller sets."""
    windows = _windows(stored)
    codec = _codec_named(stored.classifier, where)
    packed = unpack(files[_CALIBRATION], where=f"{where}/{_CALIBRATION}")
    sizes = {"services": len(stored.services)}
    similarity = check_arrays(packed, _SIMILARITY, where=f"{where}/{_CALIBRATION}", sizes=sizes)["similarity"]
    if np.any(similarity != similarity.T):
        raise InputError("the similarity of services is not symmetric", where=f"{where}/{_CALIBRATION}", hint=_HINT)
    return Identifier.from_fitted(
        services=tuple(stored.services),
        columns=tuple(stored.columns),
        features=tuple(stored.features),
        windows=windows,
        horizon_models={
            each.name: _model_from_arrays(files[f"{each.name}.npz"], stored, codec, f"{where}/{each.name}.npz")
            for each in windows
        },
        calibrations=_calibrations(packed, stored.calibrations, sizes, f"{where}/{_CALIBRATION}"),
        similarity=similarity,
        interval_s=stored.interval_s,
        seed=stored.seed,
    )  # fmt: skip


def _check(stored: _StoredModel, windows: tuple[ObservationWindow, ...], where: str) -> None:
    """Refuse a description that the code could not work with."""
    startup = [each.name for each in windows if each.kind == "startup"]
    needed = {tuple(dict.fromkeys((a, b))) for n, a in enumerate(startup) for b in startup[n:]}
    needed |= {(each.name,) for each in windows}
    order = [(look.kind, look.length_s) for look in stored.looks]
    temperatures = [each.temperatures for each in stored.calibrations]
    features = feature_names(series_of(stored.columns))
    sound = {
        "it knows fewer than two services": len(stored.services) >= 2,
        "it repeats a service": len(set(stored.services)) == len(stored.services),
        "it uses columns that podlab does not know": stored.columns and set(stored.columns) <= {*MEASURED_METRICS},
        "it was made for other features than this version's, or for features that are not registered": stored.features
        and len(set(stored.features)) == len(stored.features)
        and set(stored.features) <= set(features),
        "its windows are missing or in disorder": order and order == sorted(set(order)),
        "a window's length is not positive": all(0 < look.length_s < np.inf for look in stored.looks),
        "a calibration is missing or repeated": sorted(tuple(each.looks) for each in stored.calibrations)
        == sorted(needed),
        "a temperature is missing or not positive": all(len(each) == len(Condition) for each in temperatures)
        and all(0 < value < np.inf for each in temperatures for value in each),
        "its sampling interval is negative": 0 <= stored.interval_s < np.inf,
    }
    for fault, is_sound in sound.items():
        if not is_sound:
            raise InputError(f"{_MODEL} is not a model: {fault}", where=where, hint=_HINT)


def _codec_named(name: str, where: str) -> Codec | None:
    codec = CLASSIFIERS.named(name) if name else None
    if name and codec is None:
        hint = "import the module that registers it with podlab.identify.register_classifier"
        raise InputError(f"{_MODEL} names a classifier of the unknown kind {name!r:.60}", where=where, hint=hint)
    return codec


def _model_from_arrays(
    content: bytes, stored: _StoredModel, codec: Codec | None, where: str
) -> ForestModel | ClassifierModel:
    arrays = unpack(content, where=where)
    sizes = {"services": len(stored.services), "features": len(stored.features)}
    service = check_arrays(arrays, _KNOWN, where=where, sizes=sizes)["known_service"]
    sizes["known"] = service.size
    near = check_arrays(arrays, _NEIGHBOURS, prefix="space_", where=where, sizes=sizes)
    if not near["feature"].size:
        raise InputError("array 'space_feature' is empty", where=where, hint=_HINT)
    neighbours = NearestNeighbours(**near, service=service)
    if codec is None:
        forest = forest_from_arrays(arrays, n_features=sizes["features"], n_classes=sizes["services"], where=where)
        specs = _LEAVES_BEFORE if "known_leaves" in arrays else _LEAVES
        (leaves,) = check_arrays(arrays, specs, where=where, sizes=sizes | {"trees": forest.roots.size}).values()
        leaves = leaves if specs is _LEAVES_BEFORE else leaves + forest.roots
        return ForestModel(neighbours, forest, leaves)
    scaling = check_arrays(arrays, _SCALING, where=where, sizes=sizes)
    own = {name.removeprefix(_CLASSIFIER): array for name, array in arrays.items() if name.startswith(_CLASSIFIER)}
    try:
        model = ClassifierModel(neighbours, codec.from_arrays(own), **scaling)
        model.predict(np.zeros((1, sizes["features"]), dtype=np.float32), sizes["services"])
    except Exception as error:  # noqa: BLE001 - a registered function may raise anything
        message = f"holds no classifier of the kind {codec.name!r}: {type(error).__name__}: {error}"
        raise InputError(message.replace("\n", " "), where=where, hint=_HINT) from None
    return model


def _calibrations(
    arrays: Arrays, stored: Sequence[_StoredCalibration], sizes: dict[str, int], where: str
) -> dict[tuple[str, ...], tuple[Calibration, ...]]:
    """Read the calibrations by names of their windows, one for each condition."""
    count = len(stored) * len(Condition)
    scores: Iterable[OodScore]
    quantiles: Iterable[ConformalQuantiles]
    if "kept" in arrays:
        packed = check_arrays(arrays, _STACKED, where=where, sizes=sizes | {"calibrations": count})
        ends = np.cumsum(packed["kept"])
        if ends[-1] != packed["familiarity"].size:
            raise InputError("array 'kept' holds values out of range", where=where, hint=_HINT)
        for name in ("deviations", "familiarity"):
            falls = np.diff(packed[name], axis=-1) < 0
            falls[..., ends[(ends > 0) & (ends < ends[-1])] - 1] = False
            if falls.any():
                raise InputError(f"array {name!r} is not in order", where=where, hint=_HINT)
        scores = map(OodScore, packed["usual"], np.split(packed["deviations"], ends[:-1], axis=1),
                     np.split(packed["familiarity"], ends[:-1]))  # fmt: skip
        quantiles = map(ConformalQuantiles, packed["least"], packed["basis"])
    else:  # an earlier model, with arrays of their own for each
        prefixes = [f"{number}.{_STORED_CONDITIONS[each]}." for number in range(len(stored)) for each in Condition]
        parts = [check_arrays(arrays, _OOD_SCORE, prefix=each, where=where, sizes=sizes) for each in prefixes]
        scores = (OodScore(*each.values()) for each in parts)
        parts = [check_arrays(arrays, _QUANTILES, prefix=each, where=where, sizes=sizes) for each in prefixes]
        quantiles = (ConformalQuantiles(*each.values()) for each in parts)
    temperatures = [each for own in stored for each in own.temperatures]
    every = list(map(Calibration, temperatures, scores, quantiles, _claim_scores(arrays, count, where)))
    step = len(Condition)
    return {tuple(own.looks): tuple(every[n * step : (n + 1) * step]) for n, own in enumerate(stored)}


def _claim_arrays(scores: Sequence[ClaimScore | None]) -> dict[str, NDArray[Any]]:
    there = [each for each in scores if each is not None]
    return {
        "claim_kept": np.array([0 if each is None else each.log_probability.size for each in scores], dtype=np.int32),
        "claim_deployments": np.array([0 if each is None else each.rank[-1] - 1 for each in scores], dtype=np.int32),
        "claim_scale": np.array([1.0 if each is None else each.scale for each in scores]),
        "claim_rank": np.concatenate([np.empty(0, np.int32), *(each.rank[:-1] for each in there)]),
        "claim_log_probability": np.concatenate([np.empty(0), *(each.log_probability for each in there)]),
    }


def _claim_scores(arrays: Arrays, count: int, where: str) -> list[ClaimScore | None]:
    if "claim_kept" not in arrays:
        return [None] * count
    packed = check_arrays(arrays, _CLAIMS, where=where, sizes={"calibrations": count})
    ends = np.cumsum(packed["claim_kept"])
    if ends[-1] != packed["claim_rank"].size:
        raise InputError("array 'claim_kept' holds values out of range", where=where, hint=_HINT)
    scores: list[ClaimScore | None] = []
    for rank, value, deployments, scale in zip(
        np.split(packed["claim_rank"], ends[:-1]), np.split(packed["claim_log_probability"], ends[:-1]),
        packed["claim_deployments"].tolist(), packed["claim_scale"].tolist(), strict=True,
    ):  # fmt: skip
        ranks = np.append(rank, np.int32(deployments + 1)).astype(np.int32)
        if np.any(np.diff(ranks) <= 0) or np.any(np.diff(value) < 0):
            raise InputError("array 'claim_rank' is not in order", where=where, hint=_HINT)
        scores.append(ClaimScore(ranks, value, scale) if rank.size else None)
    return scores
