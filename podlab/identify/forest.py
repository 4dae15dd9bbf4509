"""A forest of decision trees as flat arrays: quick to load, free of code, and the same answers as scikit-learn's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.errors import InputError

#: No tree may be deeper; training stays below, and a forest from a file is refused.
MAX_DEPTH = 48
#: So many rows walk through so many trees at once that their places, values and nodes stay in the processor's cache.
_BLOCK_ROWS = 256
_BLOCK_WALKERS = 25_600
#: Those that have arrived are left out only this often: it costs as much as half a step.
_STEPS_BETWEEN = 3


@dataclass(frozen=True)
class Forest:
    """All trees' nodes one after the other; a child always stands behind its parent.

    Attributes
    ----------
    roots : array of int32 (n_trees,)
        The node each tree begins with.
    feature : array of int16 (n_nodes,)
        Column that a node asks for, -1 in a leaf.
    threshold : array of float32 (n_nodes,)
        Left if the value is not above it. It is scikit-learn's float64 threshold rounded down, which sends every
        float32 value to the same side.
    left, right : array of int32 (n_nodes,)
        Children; in a leaf ``left`` is its row in ``distributions``.
    missing_left : array of bool (n_nodes,)
        Where a missing value goes.
    distributions : array of float64 (n_distributions, n_classes)
        Every different class distribution that a leaf has.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    distributions: NDArray[np.float64]

    def leaves(self, X: NDArray[np.float32]) -> NDArray[np.int32]:
        """Find the leaf that each row falls into (n, n_features) -> (n, n_trees)."""
        out = np.empty((X.shape[0], self.roots.size), dtype=np.int32)
        for begin in range(0, X.shape[0], _BLOCK_ROWS):
            rows = X[begin : begin + _BLOCK_ROWS]
            # Beside each value stands the one to compare where a missing value goes left. NaN itself goes right.
            values = np.stack([rows, np.where(np.isnan(rows), np.float32(-np.inf), rows)], axis=2)
            trees = max(1, _BLOCK_WALKERS // len(rows))
            for tree in range(0, self.roots.size, trees):
                roots = self._walk.roots[tree : tree + trees]
                out[begin : begin + _BLOCK_ROWS, tree : tree + trees] = self._walk.down(values, roots)
        return out

    @cached_property
    def _walk(self) -> _Walk:
        inner = self.feature >= 0
        here = np.arange(inner.size, dtype=np.int32)
        return _Walk(
            roots=self.roots,
            inner=inner,
            asked=np.where(inner, 2 * self.feature.astype(np.int32) + self.missing_left, np.int32(0)),
            threshold=self.threshold,
            child=np.stack([np.where(inner, self.right, here), np.where(inner, self.left, here)], axis=1).reshape(-1),
        )

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean of the trees' class distributions (n, n_features) -> (n, n_classes)."""
        return self.predict_from(self.leaves(X))

    def predict_from(self, leaves: NDArray[np.int32]) -> NDArray[np.float64]:
        """As :meth:`predict`, from leaves already found (n, n_trees) -> (n, n_classes)."""
        rows, trees = leaves.shape
        services = self.distributions.shape[1]
        service, share = self._shares
        out = np.empty((rows, services))
        step = max(1, _BLOCK_WALKERS // trees)
        for begin in range(0, rows, step):
            leaf = self.left.take(leaves[begin : begin + step])
            place = service.take(leaf, axis=0)
            place += np.arange(0, len(leaf) * services, services)[:, None, None]
            votes = np.bincount(place.reshape(-1), share.take(leaf, axis=0).reshape(-1), len(leaf) * services)
            out[begin : begin + step] = votes.reshape(-1, services) / trees
        return out

    @cached_property
    def _shares(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The services of each distribution that have a share, and their shares (n_distributions, most services).

        Most leaves know one service only, so that this is far less than the distributions.
        """
        most = max(1, int(np.count_nonzero(self.distributions, axis=1).max()))
        service = np.argsort(self.distributions == 0, axis=1, kind="stable")[:, :most]
        return service, np.take_along_axis(self.distributions, service, axis=1)

    def importance(self, n_features: int) -> NDArray[np.float64]:
        """Tell how much each feature is asked for: a root counts 1, and every node half as much as its parent."""
        out = np.zeros(n_features)
        level, weight = self.roots.astype(np.intp), 1.0
        while (level := level[self.feature[level] >= 0]).size:
            out += weight * np.bincount(self.feature[level], minlength=n_features)
            level, weight = np.concatenate([self.left[level], self.right[level]]).astype(np.intp), weight / 2
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class _Walk:
    """The nodes laid out for walking: everything is an index already, and a leaf leads to itself.

    ``asked`` is twice the feature's column, plus 1 where a missing value goes left (n_nodes,); ``child`` holds each
    node's right child and then its left one (2 * n_nodes,). Half as wide as numpy's own indices, they take half the
    memory, and as long.
    """

    roots: NDArray[np.int32]
    inner: NDArray[np.bool_]
    asked: NDArray[np.int32]
    threshold: NDArray[np.float32]
    child: NDArray[np.int32]

    def down(self, values: NDArray[np.float32], roots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Walk from these roots to the leaves, values (n, n_features, 2) -> (n, n_roots)."""
        count, per_row = len(values), values[0].size
        flat = values.reshape(-1)
        node = np.tile(roots, count)
        row = np.repeat(np.arange(0, count * per_row, per_row, dtype=np.int32), roots.size)
        arrived, walker = node, np.arange(node.size)
        while walker.size:
            for _ in range(_STEPS_BETWEEN):
                # No index lies outside; a mode other than "raise" spares the check, and half of the time.
                at = self.asked.take(node, mode="wrap")
                at += row
                goes_left = flat.take(at, mode="wrap") <= self.threshold.take(node, mode="wrap")
                node = node + node
                node += goes_left
                node = self.child.take(node, mode="wrap")
            arrived[walker] = node
            on = np.flatnonzero(self.inner.take(node, mode="wrap"))
            walker, node, row = walker.take(on), node.take(on), row.take(on)
        return arrived.reshape(count, roots.size)


def from_sklearn(model: Any, n_classes: int) -> Forest:
    """Flatten a fitted scikit-learn forest.

    Parameters
    ----------
    model : ForestClassifier
        Fitted on classes 0 .. ``n_classes`` - 1, or some of them.
    n_classes : int
        Columns of the answer.
    """
    classes = np.asarray(model.classes_, dtype=np.intp)
    parts: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(Forest)}
    offset = leaves = 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        inner = tree.children_left >= 0
        distribution = np.zeros((int((~inner).sum()), n_classes))
        distribution[:, classes] = tree.value[~inner, 0, :]
        left = tree.children_left + offset
        left[~inner] = leaves + np.arange(distribution.shape[0])
        parts["roots"].append(np.array([offset]))
        parts["feature"].append(np.where(inner, tree.feature, -1))
        parts["threshold"].append(_round_down(np.where(inner, tree.threshold, 0.0)))
        parts["left"].append(left)
        parts["right"].append(np.where(inner, tree.children_right + offset, 0))
        parts["missing_left"].append(tree.missing_go_to_left.astype(bool) & inner)
        parts["distributions"].append(distribution)
        offset += tree.node_count
        leaves += distribution.shape[0]
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    distributions, index = _distinct(joined["distributions"])
    is_leaf = joined["feature"] < 0
    joined["left"][is_leaf] = index[joined["left"][is_leaf]]
    return Forest(
        roots=joined["roots"].astype(np.int32),
        feature=joined["feature"].astype(np.int16),
        threshold=joined["threshold"],
        left=joined["left"].astype(np.int32),
        right=joined["right"].astype(np.int32),
        missing_left=joined["missing_left"],
        distributions=distributions,
    )


def _distinct(distributions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Keep each distribution once, which makes the file small, and tell which one each was (n_leaves,)."""
    # As bytes: comparing rows number by number, as np.unique does with an axis, takes a third of the whole training.
    rows = np.ascontiguousarray(distributions)
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
    _, first, index = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], index.reshape(-1)


def _round_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


_TYPES = {
    "roots": np.int32, "feature": np.int16, "threshold": np.float32, "left": np.int32, "right": np.int32,
    "missing_left": np.bool_, "distributions": np.float64,
}  # fmt: skip


def from_arrays(arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int, where: str) -> Forest:
    """Build a forest from a file's arrays after checking that no row can leave it or walk in circles.

    Raises
    ------
    InputError
        If an array is missing or of another type or length, or an index points outside.
    """
    for name, dtype in _TYPES.items():
        if name not in arrays:
            raise _broken(f"array {name!r} is missing", where)
        if arrays[name].dtype != dtype or arrays[name].ndim != (2 if name == "distributions" else 1):
            raise _broken(f"array {name!r} has another type or shape", where)
    forest = Forest(**{name: arrays[name] for name in _TYPES})
    count = forest.feature.size
    if any(getattr(forest, name).size != count for name in ("threshold", "left", "right", "missing_left")):
        raise _broken("arrays have different lengths", where)
    if not forest.roots.size or not _within(forest.roots, 0, count):
        raise _broken("a root lies outside", where)
    if not _within(forest.feature, -1, n_features):
        raise _broken("a node asks for a feature that there is not", where)
    inner = forest.feature >= 0
    here = np.flatnonzero(inner)
    for children in (forest.left[inner], forest.right[inner]):
        if not _within(children, 0, count) or np.any(children <= here):
            raise _broken("a node's child lies outside or before it", where)
    if not _within(forest.left[~inner], 0, forest.distributions.shape[0]):
        raise _broken("a leaf has no distribution", where)
    if forest.distributions.shape[1] != n_classes or not _are_distributions(forest.distributions):
        raise _broken("a leaf's distribution is none over the services", where)
    if np.isnan(forest.threshold).any():  # infinity is fine: such a node asks only whether the value is missing
        raise _broken("a threshold is not a number", where)
    if _depth(forest) > MAX_DEPTH:
        raise _broken(f"a tree is deeper than {MAX_DEPTH}", where)
    return forest


def _within(values: NDArray[Any], low: int, high: int) -> bool:
    return bool(np.all((values >= low) & (values < high)))


def _are_distributions(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values >= 0) and np.allclose(values.sum(axis=1), 1.0, atol=1e-6))


def _depth(forest: Forest) -> int:
    """Levels below the roots, at most one more than allowed."""
    level = np.unique(forest.roots)
    for depth in range(MAX_DEPTH + 1):
        level = level[forest.feature[level] >= 0]
        if not level.size:
            return depth
        level = np.unique(np.concatenate([forest.left[level], forest.right[level]]))
    return MAX_DEPTH + 1


def _broken(what: str, where: str) -> InputError:
    return InputError(f"no usable forest: {what}", where=where, todo="fit the model again")
