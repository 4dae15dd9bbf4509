"""A forest of decision trees as flat arrays, and how podlab grows one: as a feature-subspace ensemble.

Flat arrays are quick to load, contain no code, and predict the same as scikit-learn's trees.

What the deployments of a recording have in common need not be what a service has in common: the size of its files, say,
is the same in all deployments of one configuration, and differs in the next. Trees that may use all features use little
else, and fail where it changes. Here the trees of a subspace see some features only, such as proportions or network
and I/O, and the subspaces are joined as a product of experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from podlab.arrays import ArraySpec, check_arrays
from podlab.data.catalogue import CATALOGUE
from podlab.errors import InputError
from podlab.features.features import series_in
from podlab.features.windows import ALL_SERIES

#: No tree may be deeper; training stays below, and a forest from a file is refused.
MAX_DEPTH = 48
#: Rows and trees that are walked at once: their places, values and nodes stay in the processor's cache.
_BLOCK_ROWS = 256
_BLOCK_WALKERS = 25_600
#: Those that have arrived are left out only this often: it costs as much as half a step.
_STEPS_BETWEEN = 3
#: A probability of 0 is not proof of absence: no subspace alone rules a service out. From .003 to .2 scores are alike.
_FLOOR = 0.1
Members = Literal["subspaces", "one", "both"]
MEMBERS: tuple[Members, ...] = ("subspaces", "one", "both")
#: A node holds twice the number of its feature.
_MOST_FEATURES = np.iinfo(np.int16).max // 2


@dataclass(frozen=True)
class Forest:
    """All trees' nodes one after the other, laid out for walking: a leaf leads to itself."""

    roots: NDArray[np.int32]  # the node each tree begins with (n_trees,)
    inner: NDArray[np.bool_]  # whether a node has children (n_nodes,)
    #: Twice the column that a node asks for, plus 1 where a missing value goes left; 0 in a leaf (n_nodes,).
    asked: NDArray[np.int16]
    #: Left if the value is not above it; NaN in a leaf, which sends everything right. It is scikit-learn's float64
    #: threshold rounded down, which sends every float32 value to the same side (n_nodes,).
    threshold: NDArray[np.float32]
    #: Each node's right child and then its left one, which always come after it. A leaf's right one is itself, its left
    #: one its row in ``distributions``. Half as wide as numpy's own indices, they take half the memory, and as long.
    child: NDArray[np.int32]
    #: Every different class distribution that a leaf has (n_distributions, n_classes).
    distributions: NDArray[np.float64]
    members: NDArray[np.int32]  # the first tree of each feature subspace, ascending from 0 (n_members,)

    def leaves(self, X: NDArray[np.float32]) -> NDArray[np.int32]:
        """Find the leaf that each row falls into (n, n_features) -> (n, n_trees)."""
        out = np.empty((X.shape[0], self.roots.size), dtype=np.int32)
        for begin in range(0, X.shape[0], _BLOCK_ROWS):
            rows = X[begin : begin + _BLOCK_ROWS]
            # Beside each value stands the one to compare where a missing value goes left. NaN itself goes right.
            values = np.stack([rows, np.where(np.isnan(rows), np.float32(-np.inf), rows)], axis=2)
            trees = max(1, _BLOCK_WALKERS // len(rows))
            for tree in range(0, self.roots.size, trees):
                roots = self.roots[tree : tree + trees]
                out[begin : begin + _BLOCK_ROWS, tree : tree + trees] = self._walk(values, roots)
        return out

    def _walk(self, values: NDArray[np.float32], roots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Walk from these roots to the leaves, values (n, n_features, 2) -> (n, n_roots)."""
        count, per_row = len(values), values[0].size
        flat = values.reshape(-1)
        node = np.tile(roots, count)
        row = np.repeat(np.arange(0, count * per_row, per_row, dtype=np.int32), roots.size)
        arrived, walker = node, np.arange(node.size)
        while walker.size:
            for _ in range(_STEPS_BETWEEN):
                # No index lies outside; a mode other than "raise" spares the check, and half of the time.
                at = self.asked.take(node, mode="wrap") + row
                goes_left = flat.take(at, mode="wrap") <= self.threshold.take(node, mode="wrap")
                node = node + node
                node += goes_left
                node = self.child.take(node, mode="wrap")
            arrived[walker] = node
            on = np.flatnonzero(self.inner.take(node, mode="wrap"))
            walker, node, row = walker.take(on), node.take(on), row.take(on)
        return arrived.reshape(count, roots.size)

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the classes (n, n_features) -> (n, n_classes)."""
        return self.predict_from(self.leaves(X))

    def predict_from(self, leaves: NDArray[np.int32]) -> NDArray[np.float64]:
        """As :meth:`predict`, from leaves already found (n, n_trees) -> (n, n_classes).

        The trees of one subspace are averaged. Subspaces are joined as a product of experts (Hinton 2002, Training
        Products of Experts by Minimizing Contrastive Divergence), that is by their geometric mean: a service must be
        plausible by its files, its traffic and its proportions, and one that any of them rules out is.
        """
        if self.members.size == 1:
            return self._mean_of(leaves)
        log = np.zeros((leaves.shape[0], self.distributions.shape[1]))
        for begin, end in pairwise((*self.members.tolist(), self.roots.size)):
            log += np.log(self._mean_of(leaves[:, begin:end]) + _FLOOR)
        log /= self.members.size
        joined = np.exp(log - log.max(axis=1, keepdims=True))
        return np.asarray(joined / joined.sum(axis=1, keepdims=True))

    def _mean_of(self, leaves: NDArray[np.int32]) -> NDArray[np.float64]:
        """Mean of the class distributions of leaves (n, n_leaves) -> (n, n_classes)."""
        rows, trees = leaves.shape
        services = self.distributions.shape[1]
        service, share = self._shares
        out = np.empty((rows, services))
        step = max(1, _BLOCK_WALKERS // trees)
        for begin in range(0, rows, step):
            leaf = self.child.take(2 * leaves[begin : begin + step] + 1)
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
        """How much each feature is used: a root counts 1, and every node half as much as its parent."""
        out = np.zeros(n_features)
        level, weight = self.roots.astype(np.intp), 1.0
        while (level := level[self.inner[level]]).size:
            out += weight * np.bincount(self.asked[level] // 2, minlength=n_features)
            level, weight = (
                np.concatenate([self.child[2 * level], self.child[2 * level + 1]]).astype(np.intp),
                weight / 2,
            )
        return out

    def to_nodes(self) -> dict[str, NDArray[Any]]:
        """Give the arrays that :func:`assemble_forest` reads, by name.

        Returns
        -------
        dict
            ``roots``, ``members`` and ``distributions`` as they are; by node ``feature`` (int16, -1 in a leaf),
            ``threshold`` (float32), ``left`` and ``right`` (int32; in a leaf its row in ``distributions``, and 0),
            ``missing_left`` (bool).
        """
        inner = self.inner
        return {
            "roots": self.roots,
            "members": self.members,
            "feature": np.where(inner, self.asked // 2, np.int16(-1)),
            "threshold": np.where(inner, self.threshold, np.float32(0)),
            "left": self.child[1::2].copy(),
            "right": np.where(inner, self.child[::2], np.int32(0)),
            "missing_left": self.asked % 2 == 1,
            "distributions": self.distributions,
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays that :func:`forest_from_arrays` reads, by name, for a file: six bytes a node.

        Returns
        -------
        dict
            ``roots``, ``members`` and ``distributions`` as they are; by node ``asked`` (int16, -1 in a leaf) and
            ``step`` (uint16): how much farther its right child is, in a leaf its row in ``distributions``; by inner
            node ``threshold``. The left child of a node is the next one. A forest that is otherwise, or larger, is
            stored as earlier models are: see :meth:`to_nodes`.
        """
        here = np.flatnonzero(self.inner)
        step = self.child[1::2].copy()
        step[here] = self.child[2 * here] - here
        if step.max() > np.iinfo(np.uint16).max or np.any(self.child[2 * here + 1] != here + 1):
            return self.to_nodes()
        return {
            "roots": self.roots,
            "members": self.members,
            "asked": np.where(self.inner, self.asked, np.int16(-1)),
            "step": step.astype(np.uint16),
            "threshold": self.threshold[here],
            "distributions": self.distributions,
        }


def assemble_forest(arrays: Mapping[str, NDArray[Any]]) -> Forest:
    """Make a forest of the arrays that :meth:`Forest.to_nodes` gives, which are taken to be sound."""
    inner = arrays["feature"] >= 0
    child = np.empty(2 * inner.size, dtype=np.int32)
    child[::2] = np.where(inner, arrays["right"], np.arange(inner.size))
    child[1::2] = arrays["left"]
    return Forest(
        roots=arrays["roots"].astype(np.int32),
        inner=inner,
        asked=np.where(inner, 2 * arrays["feature"] + arrays["missing_left"], 0).astype(np.int16),
        threshold=np.where(inner, arrays["threshold"], np.nan).astype(np.float32),
        child=child,
        distributions=np.asarray(arrays["distributions"], dtype=np.float64),
        members=arrays.get("members", np.zeros(1)).astype(np.int32),
    )


def join_forests(forests: Sequence[Forest]) -> Forest:
    """Put the trees of several forests of the same features and classes side by side; each keeps its members."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _NODES}
    nodes = distributions = trees = 0
    for forest in forests:
        own = forest.to_nodes()
        own |= {"members": own["members"] + trees, "roots": own["roots"] + nodes}
        own["left"] += np.where(forest.inner, nodes, distributions).astype(np.int32)
        own["right"] += (forest.inner * nodes).astype(np.int32)
        for name, array in own.items():
            parts[name].append(array)
        nodes, trees = nodes + forest.inner.size, trees + forest.roots.size
        distributions += len(forest.distributions)
    return assemble_forest({name: np.concatenate(arrays) for name, arrays in parts.items()})


def forest_from_sklearn(
    models: Sequence[Any], n_classes: int, features: Sequence[NDArray[np.intp]] | None = None
) -> Forest:
    """Flatten fitted scikit-learn forests, and join them.

    Parameters
    ----------
    models : sequence of ForestClassifier
        Fitted on classes 0 .. ``n_classes`` - 1, or some of them. Each is a member of the joined forest.
    n_classes : int
        Columns of the result's predictions.
    features : sequence of array of int, optional
        The columns of the feature matrix that each model was fitted on; by default all.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _NODES}
    offset = leaves = 0
    for number, model in enumerate(models):
        parts["members"].append(np.array([len(parts["roots"])]))
        classes = np.asarray(model.classes_, dtype=np.intp)
        for tree in (estimator.tree_ for estimator in model.estimators_):
            inner = tree.children_left >= 0
            feature = tree.feature if features is None else features[number][tree.feature.clip(0)]
            distribution = np.zeros((int((~inner).sum()), n_classes))
            distribution[:, classes] = tree.value[~inner, 0, :]
            left = tree.children_left + offset
            left[~inner] = leaves + np.arange(distribution.shape[0])
            parts["roots"].append(np.array([offset]))
            parts["feature"].append(np.where(inner, feature, -1))
            parts["threshold"].append(_round_down(np.where(inner, tree.threshold, 0.0)))
            parts["left"].append(left)
            parts["right"].append(np.where(inner, tree.children_right + offset, 0))
            parts["missing_left"].append(tree.missing_go_to_left.astype(bool) & inner)
            parts["distributions"].append(distribution)
            offset += tree.node_count
            leaves += distribution.shape[0]
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    distributions, index = distinct(joined["distributions"])
    is_leaf = joined["feature"] < 0
    joined["left"][is_leaf] = index[joined["left"][is_leaf]]
    return assemble_forest({**joined, "distributions": distributions})


def distinct(distributions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Keep each distribution once, which makes the file small, and number them (n_leaves,)."""
    # As bytes: comparing rows number by number, as np.unique does with an axis, takes a third of the whole training.
    rows = np.ascontiguousarray(distributions)
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
    _, first, index = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], index.reshape(-1)


def _round_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


_COMMON = {
    "roots": ArraySpec(np.int32, ("trees",), low=0, below="nodes"),
    "members": ArraySpec(np.int32, ("members",), low=0, below="trees", ascending=True),
    "distributions": ArraySpec(np.float64, ("distributions", "classes"), low=0),
}
#: As :meth:`Forest.to_nodes` gives them: what earlier models have, their trees being one where there is no member.
_NODES = _COMMON | {
    "feature": ArraySpec(np.int16, ("nodes",), low=-1, below="features"),
    "threshold": ArraySpec(np.float32, ("nodes",), inf=True),  # an infinite one asks only whether the value is missing
    "left": ArraySpec(np.int32, ("nodes",), low=0),
    "right": ArraySpec(np.int32, ("nodes",), low=0),
    "missing_left": ArraySpec(np.bool_, ("nodes",)),
}
#: As :meth:`Forest.to_arrays` gives them.
_SPECS = _COMMON | {
    "asked": ArraySpec(np.int16, ("nodes",), low=-1, below="asked"),
    "step": ArraySpec(np.uint16, ("nodes",)),
    "threshold": ArraySpec(np.float32, ("inner",), inf=True),
}


def forest_from_arrays(arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int, where: str) -> Forest:
    """Build a forest from a file's arrays after checking that no row can leave it or walk in circles.

    Raises InputError if an array is missing or of another type or length, or an index points outside.
    """
    specs, by_node = (_NODES, "feature") if "feature" in arrays else (_SPECS, "asked")
    nodes = arrays.get(by_node, np.empty(0))
    features = min(n_features, _MOST_FEATURES)
    sizes = {"nodes": nodes.size, "inner": int(np.count_nonzero(nodes >= 0)), "classes": n_classes}
    sizes |= {"features": features, "asked": 2 * features}
    arrays = check_arrays({"members": np.zeros(1, dtype=np.int32), **arrays}, specs, where=where, sizes=sizes)
    members, distributions = arrays["members"], arrays["distributions"]
    if not arrays["roots"].size:
        raise _broken("there is no tree", where)
    if not members.size or members[0] != 0 or np.any(np.diff(members) == 0):
        raise _broken("its subspaces are not one after the other", where)
    forest = assemble_forest(arrays) if specs is _NODES else _from_steps(arrays)
    number, outer = np.arange(nodes.size, dtype=np.int32), ~forest.inner
    right, left = forest.child[::2], forest.child[1::2]
    if np.any(((left <= number) | (right <= number) | (left >= nodes.size) | (right >= nodes.size)) & forest.inner):
        raise _broken("a node's child lies outside or before it", where)
    if np.any((left >= len(distributions)) & outer):
        raise _broken("a leaf has no distribution", where)
    if not np.allclose(distributions.sum(axis=1), 1.0, atol=1e-6):
        raise _broken("a leaf's distribution is none over the services", where)
    if _depth(forest) > MAX_DEPTH:
        raise _broken(f"a tree is deeper than {MAX_DEPTH}", where)
    return forest


def _from_steps(arrays: Mapping[str, NDArray[Any]]) -> Forest:
    inner, step = arrays["asked"] >= 0, arrays["step"].astype(np.int32)
    number = np.arange(inner.size, dtype=np.int32)
    child = np.empty(2 * inner.size, dtype=np.int32)
    child[::2] = number + step * inner
    child[1::2] = np.where(inner, number + 1, step)
    threshold = np.full(inner.size, np.nan, dtype=np.float32)
    threshold[inner] = arrays["threshold"]
    asked = np.maximum(arrays["asked"], np.int16(0))
    return Forest(arrays["roots"], inner, asked, threshold, child, arrays["distributions"], arrays["members"])


def _depth(forest: Forest) -> int:
    """Levels below the roots, at most one more than allowed; that as well where nodes have several parents."""
    children, level, left = forest.child.reshape(-1, 2), forest.roots, forest.inner.size
    for depth in range(MAX_DEPTH + 1):
        level = level[forest.inner.take(level)]
        if not level.size:
            return depth
        left -= 2 * level.size
        if left < 0:
            break
        level = children.take(level, axis=0).reshape(-1)
    return MAX_DEPTH + 1


def _broken(what: str, where: str) -> InputError:
    return InputError(f"no usable forest: {what}", where=where, hint="fit the model again")


@dataclass(frozen=True)
class _Subspace:
    """The features that some of the trees see: those of these families, all ratios, or medians of these series."""

    families: frozenset[str] = frozenset()
    ratios: bool = False
    medians: frozenset[str] = frozenset()

    def has(self, feature: str) -> bool:
        series, _, statistic = feature.partition(".")
        if (self.ratios and "/" in feature) or (statistic == "median" and series in self.medians):
            return True
        return {CATALOGUE[ALL_SERIES[each][0]].family for each in series_in(feature)} <= self.families


#: Each has an equal part of the trees, and an equal say; those that a recording does not have are left out. Chosen on
#: new configurations and on new sites together, with all columns and with the original's alone: ratios and medians are
#: what load and data change least, files tell most where the configuration is known and mislead most where it is not.
_SUBSPACES: tuple[_Subspace, ...] = (
    _Subspace(frozenset({"filesystem", "volume"})),
    _Subspace(
        ratios=True,
        medians=frozenset(
            {
                *(name for name, metric in CATALOGUE.items() if metric.family == "processes"),
                "memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes", "memory_mapped_file_bytes",
                "memory_kernel_bytes", "memory_cache_bytes", "open_files", "disk_used_bytes",
            }
        ),
    ),
    _Subspace(frozenset({"cpu", "network", "io"})),
    _Subspace(frozenset({"cpu", "memory", "processes"})),
)  # fmt: skip
#: What the trees that see everything else do not see: where a container keeps its data.
_PLACES = frozenset({"rootfs_used_bytes", "volume_used_bytes"})
#: Better than the square root of all where some columns are missing.
_FEATURES_PER_SPLIT = 0.2


def fit_subspace_forest(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    weight: NDArray[np.float64],
    names: Sequence[str],
    *,
    services: int,
    trees: int,
    seed: int,
    members: Members = "subspaces",
    jobs: int | None = None,
) -> Forest:
    """Grow extra trees (Geurts et al. 2006, Extremely randomized trees) on several feature subspaces.

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
    members : {"subspaces", "one", "both"}
        Whether trees see the features of a subspace each, all features, or some of them the one and some the other.
    jobs : int, optional
        Threads; by default all cores.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    from podlab.parallel import ignore_training_warnings

    per_service = np.bincount(y, weights=weight, minlength=services)
    balanced = weight / per_service[y] * weight.sum() / services
    every = np.arange(len(names))
    subspaces = [every] if members == "one" else feature_subspaces(names) + [every] * (members == "both")
    models: list[Any] = []
    for number, features in enumerate(subspaces):
        model = ExtraTreesClassifier(
            n_estimators=len(range(number, max(trees, len(subspaces)), len(subspaces))),
            max_features=_FEATURES_PER_SPLIT, max_depth=MAX_DEPTH, random_state=seed + number, n_jobs=jobs or -1,
        )  # fmt: skip
        with ignore_training_warnings():
            models.append(model.fit(X[:, features], y, sample_weight=balanced))
    return forest_from_sklearn(models, services, subspaces)


def feature_subspaces(names: Sequence[str]) -> list[NDArray[np.intp]]:
    """List the features of each subspace that has any, without duplicates.

    The last are all features but the sizes of the root file system and of volumes, which are there as their sum.
    """
    found = [tuple(number for number, name in enumerate(names) if subspace.has(name)) for subspace in _SUBSPACES]
    placed = [number for number, name in enumerate(names) if name.partition(".")[0] in _PLACES]
    found.append(tuple(sorted(set(range(len(names))) - set(placed))))
    return [np.array(each, dtype=np.intp) for each in dict.fromkeys(each for each in found if each)]
