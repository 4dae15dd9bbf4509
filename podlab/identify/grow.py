"""Growing a forest whose trees see different kinds of evidence, so that no single kind decides alone.

What the deployments of a recording have in common need not be what a service has in common: the bytes that its files
take, say, are the same in all deployments of one configuration, and others in the next. Trees that may use everything
use little else, and are lost where it changes. Trees that see one kind of evidence each make up for one another: for a
configuration never seen they answer far more often rightly, and hardly less often for one that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE
from podlab.features.features import SHAPES, series_in
from podlab.features.windows import SERIES
from podlab.identify.forest import MAX_DEPTH, Forest, from_sklearn, lay_out


@dataclass(frozen=True)
class _View:
    """Which features some of the trees see: those of these families, perhaps only shapes and ratios."""

    families: frozenset[str]
    only_shapes: bool = False

    def shows(self, feature: str) -> bool:
        families = {CATALOGUE[SERIES[series][0]].family for series in series_in(feature)}
        is_shape = "/" in feature or feature.rpartition(".")[2] in SHAPES
        return families <= self.families and (is_shape or not self.only_shapes)


#: Each kind of evidence and equal parts of the trees; those that a recording cannot show are left out. Files first.
_VIEWS: tuple[_View, ...] = (
    _View(frozenset({"filesystem", "volume"})),
    _View(frozenset({"cpu"})),
    _View(frozenset({"cpu", "memory"})),
    _View(frozenset({"cpu", "network", "io"})),
    _View(frozenset({"memory"}), only_shapes=True),
    _View(frozenset({"cpu", "memory", "network", "io"}), only_shapes=True),
)
#: Better than the square root of all where some columns are missing.
_FEATURES_PER_SPLIT = 0.2


def grow_forest(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    weight: NDArray[np.float64],
    names: Sequence[str],
    *,
    services: int,
    trees: int,
    seed: int,
    jobs: int | None = None,
) -> Forest:
    """Grow extra trees (Geurts et al. 2006, Extremely randomized trees) on several views of the features.

    Parameters
    ----------
    X : array of float32 (n, n_features)
        NaN where a value is missing.
    y : array of int (n,)
        Services, 0 to ``services`` - 1.
    weight : array (n,)
        Of each row; services are balanced on top of it.
    names : sequence of str
        Of the features.
    services, trees : int
        How many.
    seed : int
        Same input and seed, same forest.
    jobs : int, optional
        Threads; by default all cores.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    per_service = np.bincount(y, weights=weight, minlength=services)
    balanced = weight / per_service[y] * weight.sum() / services
    views = view_features(names)
    grown = []
    for number, features in enumerate(views):
        model: Any = ExtraTreesClassifier(
            n_estimators=len(range(number, max(trees, len(views)), len(views))), max_features=_FEATURES_PER_SPLIT,
            max_depth=MAX_DEPTH, random_state=seed + number, n_jobs=jobs or -1,
        )  # fmt: skip
        model.fit(X[:, features], y, sample_weight=balanced)
        grown.append(_see(from_sklearn(model, services), features))
    return _join(grown)


def view_features(names: Sequence[str]) -> list[NDArray[np.intp]]:
    """List the features of each view that shows any, none of them twice.

    Where no files are seen, the trees that would see them see everything: 2 to 6 points more with CPU and memory alone.
    Where they are, such trees would cost 6 points of the best guess, and more of the answers, in a configuration never
    seen.
    """
    files, *others = (tuple(n for n, name in enumerate(names) if view.shows(name)) for view in _VIEWS)
    views = [files or tuple(range(len(names))), *dict.fromkeys(view for view in others if view)]
    return [np.array(view, dtype=np.intp) for view in views]


def _see(forest: Forest, features: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """Let a forest that counts the features of a view count all of them."""
    arrays = forest.to_arrays()
    feature = arrays["feature"]
    return {**arrays, "feature": np.where(feature >= 0, features[feature], -1)}


def _join(forests: Sequence[dict[str, NDArray[Any]]]) -> Forest:
    """Put the trees of several forests into one."""
    nodes = [0, *accumulate(forest["feature"].size for forest in forests)]
    leaves = [0, *accumulate(len(forest["distributions"]) for forest in forests)]
    parts: dict[str, list[NDArray[Any]]] = {}
    for forest, node, leaf in zip(forests, nodes, leaves, strict=False):
        inner = forest["feature"] >= 0
        moved = {
            "roots": forest["roots"] + node,
            "left": forest["left"] + np.where(inner, node, leaf),
            "right": forest["right"] + np.where(inner, node, 0),
        }
        for name, array in {**forest, **moved}.items():
            parts.setdefault(name, []).append(array)
    return lay_out({name: np.concatenate(arrays) for name, arrays in parts.items()})
