"""Models of one observation window: podlab's forest, or any classifier of scikit-learn's kind.

Both give probabilities, and the proximity to the training containers of each service. In a forest that is the proximity
of Breiman and Cutler, the share of trees in which two containers fall into the same leaf. It lives in the model's own
space, needs no scaling, and copes with missing features. Other classifiers have no leaves; there it is made from the
distance to the nearest training container.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.arrays import FloatArray
from podlab.identify.forest import Forest, Members, fit_subspace_forest
from podlab.identify.novelty import NearestNeighbours, fit_nearest_neighbours

Int32Array = NDArray[np.int32]
Matrix = NDArray[np.float32]

#: Training containers kept for proximity, at most.
_MOST_KNOWN = 2000
#: From this many rows on it pays to sort the training containers by leaf.
_MANY_ROWS = 256
#: Looking up a run of those that share a leaf costs this many times as much as comparing one pair of leaves.
_LOOK_UP_COST = 16
_BLOCK_RUNS = 100_000


@dataclass(frozen=True)
class ForestModel:
    """A forest, and where the training containers fall in it."""

    neighbours: NearestNeighbours  # the training containers
    forest: Forest  # predicts a service from the features of an observation window
    leaves: NDArray[np.int32]  # leaves of the training containers (n_known, n_trees)

    def predict(self, X: Matrix, n_services: int) -> tuple[FloatArray, FloatArray]:
        """Compute probabilities and proximities (n, n_features) -> 2 x (n, n_services)."""
        leaves = self.forest.leaves(X)
        probability = self.forest.predict_from(leaves)
        return probability, service_proximity(leaves, self.leaves, self.neighbours.service, n_services)

    def importance(self, n_features: int) -> FloatArray:
        """How much each feature is used (n_features,)."""
        return self.forest.importance(n_features)


@dataclass(frozen=True)
class ClassifierModel:
    """A classifier on standardised features."""

    neighbours: NearestNeighbours  # the training containers
    classifier: Any  # has ``predict_proba``
    #: Stands in for a missing value; NaN where the classifier copes with them (n_features,).
    fill: Matrix
    #: Mean and standard deviation of each feature (n_features,).
    location: Matrix
    scale: Matrix
    classes: NDArray[np.int64]  # the service of each column of ``predict_proba``, ascending (n_classes,)

    def predict(self, X: Matrix, n_services: int) -> tuple[FloatArray, FloatArray]:
        """Compute probabilities and proximities (n, n_features) -> 2 x (n, n_services)."""
        probability = np.zeros((len(X), n_services))
        if len(X):
            probability[:, self.classes] = self.classifier.predict_proba(_standardise(X, self))
        return probability, np.exp(-np.exp(-self.neighbours.neg_log_distances(X, n_services)))

    def importance(self, n_features: int) -> FloatArray:
        """Take all features for equal: classifiers do not tell in one way what they use (n_features,)."""
        return np.ones(n_features)


@dataclass(frozen=True)
class TrainingSet:
    """Windows to learn from: as recorded first, then augmented copies."""

    X: Matrix  # (n, n_features)
    owner: NDArray[np.intp]  # the container that a row is of (n,)
    copy: NDArray[np.intp]  # which kind of copy a row is (n,)
    #: Of the row in the training; one of weight 0 only calibrates (n,).
    weight: NDArray[np.float64]
    names: tuple[str, ...]  # of the features

    def only(self, chosen: NDArray[np.bool_]) -> TrainingSet:
        """Keep some rows (n,)."""
        return TrainingSet(self.X[chosen], self.owner[chosen], self.copy[chosen], self.weight[chosen], self.names)


def fit_model(
    data: TrainingSet, y: NDArray[np.intp], recorded: NDArray[np.bool_], *,
    estimator: Any, services: int, trees: int, seed: int, jobs: int | None, members: Members = "subspaces",
) -> ForestModel | ClassifierModel:  # fmt: skip
    """Fit the model of one observation window.

    Parameters
    ----------
    data : TrainingSet
        Of the containers to learn from.
    y : array of int (n,)
        The service of each row.
    recorded : array of bool (n,)
        Rows that show containers as recorded, which proximity is measured to. All show how much containers of one
        service differ.
    estimator : object or None
        A classifier to fit a copy of; None: a forest.
    services, trees : int
        How many.
    seed : int
        Same input and seed, same model.
    jobs : int, optional
        Threads of the forest.
    members : {"subspaces", "one", "both"}
        Of the forest.
    """
    known = np.flatnonzero(recorded)
    known = known[np.sort(np.random.default_rng([seed, 3]).permutation(known.size)[:_MOST_KNOWN])]
    known = known[np.argsort(y[known], kind="stable")]

    def neighbours(importance: FloatArray) -> NearestNeighbours:
        return fit_nearest_neighbours(data.X[known], y[known], importance, reference=(data.X, y))

    if estimator is None:
        forest = fit_subspace_forest(
            data.X, y, data.weight, data.names,
            services=services, trees=trees, seed=seed, members=members, jobs=jobs,
        )  # fmt: skip
        return ForestModel(neighbours(forest.importance(data.X.shape[1])), forest, forest.leaves(data.X[known]))

    from sklearn.base import clone
    from sklearn.feature_selection import f_classif
    from sklearn.utils import get_tags
    from sklearn.utils.validation import has_fit_parameter

    X = data.X
    fitted = clone(estimator)
    shown = ~np.isnan(X).all(axis=0)
    median, location, scale = np.zeros((3, X.shape[1]), dtype=np.float32)
    median[shown] = np.nanmedian(X[:, shown], axis=0)
    location[shown] = np.nanmean(X[:, shown], axis=0)
    scale[shown] = np.nanstd(X[:, shown], axis=0)
    scale[scale <= 0] = 1.0
    filled = np.where(np.isnan(X), median, X)
    importance = np.zeros(X.shape[1])
    varies = np.ptp(filled, axis=0) > 0
    with np.errstate(divide="ignore", invalid="ignore"):  # a feature may be constant within each service
        importance[varies] = np.log1p(np.nan_to_num(f_classif(filled[:, varies], y)[0], posinf=1e9))
    fill = np.full_like(median, np.nan) if get_tags(fitted).input_tags.allow_nan else median
    model = ClassifierModel(neighbours(importance), fitted, fill, location, scale, np.unique(y).astype(np.int64))
    weighted = {"sample_weight": data.weight} if has_fit_parameter(fitted, "sample_weight") else {}
    fitted.fit(_standardise(X, model), y, **weighted)
    return model


def _standardise(X: Matrix, model: ClassifierModel) -> Matrix:
    return np.asarray((np.where(np.isnan(X), model.fill, X) - model.location) / model.scale, dtype=np.float32)


def service_proximity(
    leaves: NDArray[np.int32], known: NDArray[np.int32], service: NDArray[np.int16], n_services: int
) -> FloatArray:
    """Compute the proximity of rows to services.

    Parameters
    ----------
    leaves : array of int32 (n, n_trees)
        Leaves of the rows.
    known : array of int32 (n_known, n_trees)
        Leaves of training containers.
    service : array of int16 (n_known,)
        Their services, ascending.
    n_services : int
        How many there are.

    Returns
    -------
    array of float64 (n, n_services)
        To each service's nearest training container, 0 to 1; 0 for a service without one.
    """
    begins = np.searchsorted(service, np.arange(n_services + 1))
    there = np.flatnonzero(np.diff(begins))
    out = np.zeros((leaves.shape[0], n_services))
    for begin, shared in _shared_trees(leaves, known):
        # Services without a container would break the runs that `reduceat` takes the maximum of.
        most = np.maximum.reduceat(shared, begins[there], axis=1) if there.size else shared[:, :0]
        out[begin : begin + len(shared), there] = most.astype(np.float32) / np.float32(leaves.shape[1])
    return out


def service_similarity(proximity: Sequence[FloatArray], truth: NDArray[np.intp], services: int) -> FloatArray:
    """Compute how similar each two services are.

    With m(a, b) the mean proximity of a's held-out containers to b, it is (m(a, b) + m(b, a)) / (m(a, a) + m(b, b)):
    1 where containers of another service are as near as those of the own one, 0 where no tree ever confuses them.

    Parameters
    ----------
    proximity : sequence of array (n, n_services)
        One for each observation window: of held-out containers, NaN where one was not observed.
    truth : array of int (n,)
        Their services.
    services : int
        How many there are.

    Returns
    -------
    array of float64 (n_services, n_services)
        Symmetric, 0 to 1, 1 for each service with itself; 0 for one that was never held out.
    """
    total, count = np.zeros((2, services, services))
    for each in proximity:
        seen = ~np.isnan(each[:, 0])
        np.add.at(total, truth[seen], each[seen])
        np.add.at(count, truth[seen], 1.0)
    mean = total / np.maximum(count, 1.0)
    own = np.diag(mean)
    both = own[:, None] + own[None, :]
    similarity = np.clip((mean + mean.T) / np.where(both > 0, both, 1.0), 0.0, 1.0)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def _shared_trees(leaves: Int32Array, known: Int32Array) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """Count the trees in which rows and training containers share the leaf: first row, counts (n_block, n_known)."""
    if len(leaves) >= _MANY_ROWS and len(known):
        by_leaf = _ByLeaf(leaves, known)
        if by_leaf.runs.sum() * _LOOK_UP_COST < leaves.size * len(known):
            yield from by_leaf.shared_trees()
            return
    for row, own in enumerate(leaves):
        yield row, np.count_nonzero(known == own, axis=1)[None]


class _ByLeaf:
    """Training containers sorted by leaf, so that only those in a row's own leaves are looked at.

    Containers that share a leaf mostly stand side by side, being of one service. So a leaf keeps runs of them: where a
    run begins, and where the first container behind it stands.
    """

    def __init__(self, leaves: Int32Array, known: Int32Array) -> None:
        self._known = len(known)
        self._leaves = leaves
        order = np.argsort(known, axis=None, kind="stable")
        leaf, container = known.reshape(-1)[order], order // known.shape[1]
        goes_on = (np.diff(leaf) == 0) & (np.diff(container) == 1)
        begins = np.flatnonzero(np.concatenate([[True], ~goes_on]))
        ends = np.flatnonzero(np.concatenate([~goes_on, [True]]))
        self._begin, self._behind = container[begins], container[ends] + 1
        self._number = np.bincount(leaf[begins], minlength=int(leaves.max()) + 1)
        self._first = np.cumsum(self._number) - self._number
        #: How many runs are in each row's leaves (n,).
        self.runs = self._number[leaves].sum(axis=1)

    def shared_trees(self) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
        """Count them in blocks with a limited number of runs."""
        width = self._known + 1
        block = (np.cumsum(self.runs) + np.arange(len(self.runs)) * width) // _BLOCK_RUNS
        for begin, end in pairwise((*np.flatnonzero(np.diff(block, prepend=-1)).tolist(), len(block))):
            leaf = self._leaves[begin:end]
            number = self._number[leaf].reshape(-1)
            # All runs of a leaf stand side by side, as do all leaves of a row.
            run = np.arange(number.sum())
            run += np.repeat(self._first[leaf].reshape(-1) - (np.cumsum(number) - number), number)
            row = np.repeat(np.arange(0, (end - begin) * width, width), self.runs[begin:end])
            size = (end - begin) * width
            change = np.bincount(self._begin[run] + row, minlength=size) - np.bincount(
                self._behind[run] + row, minlength=size
            )
            yield begin, change.reshape(-1, width).cumsum(axis=1)[:, :-1]
