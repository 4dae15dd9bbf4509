"""What a model must beat: simple classifiers on the same features and the same splits."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from podlab.evaluation.splits import TextArray

Matrix = NDArray[np.floating]


class Baseline(Protocol):
    """Learns from a feature matrix (n, n_features) with NaN where a value is missing."""

    def fit(self, X: Matrix, y: TextArray, names: tuple[str, ...]) -> None:
        """Learn services (n,) from features with these names."""

    def predict(self, X: Matrix) -> TextArray:
        """Name a service for each row."""


def grow_j48_like_tree(X: Matrix, y: TextArray, seed: int) -> DecisionTreeClassifier:
    """Grow the tree the original used, as near as scikit-learn comes to it.

    C4.5 (J48 in Weka) with its defaults: splits by information gain and at least two samples in a leaf. J48 takes the
    gain's ratio and prunes afterwards, which scikit-learn does not.
    """
    with warnings.catch_warnings():
        # A few samples of many services are what a learning curve begins with.
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        return DecisionTreeClassifier(criterion="entropy", min_samples_leaf=2, random_state=seed).fit(X, y)


@dataclass
class Majority:
    """Always the service with most containers in training; of several, the first by name."""

    answer: str = ""

    def fit(self, X: Matrix, y: TextArray, names: tuple[str, ...]) -> None:
        """Find the most frequent service."""
        counts = Counter(y)
        self.answer = min(counts, key=lambda service: (-counts[service], service))

    def predict(self, X: Matrix) -> TextArray:
        """Name it for each row."""
        return np.full(len(X), self.answer, dtype=object)


@dataclass
class OneRule:
    """Ranges of the mean of a single metric, of the metric that tells the training's services apart best.

    After 1R (Holte 1993, "Very simple classification rules perform well on most commonly used datasets"), with as many
    ranges as services, found by a tree over the one feature.
    """

    seed: int = 0
    metric: str = ""
    _column: int = field(default=0, repr=False)
    _rule: DecisionTreeClassifier = field(default=None, repr=False)

    def fit(self, X: Matrix, y: TextArray, names: tuple[str, ...]) -> None:
        """Find the best metric and its ranges."""
        best = -1.0
        for column, name in enumerate(names):
            if not name.endswith(".mean") or np.isnan(X[:, column]).all():
                continue
            rule = DecisionTreeClassifier(
                criterion="entropy", max_leaf_nodes=max(2, len(set(y))), random_state=self.seed
            ).fit(X[:, [column]], y)
            accuracy = rule.score(X[:, [column]], y)
            if accuracy > best:
                best, self.metric, self._column, self._rule = accuracy, name.removesuffix(".mean"), column, rule

    def predict(self, X: Matrix) -> TextArray:
        """Name the service of the range that each row's metric falls into."""
        return np.asarray(self._rule.predict(X[:, [self._column]]), dtype=object)


@dataclass
class NearestNeighbour:
    """The service of the most similar training container: 1-NN on standardised features, a missing one as the mean."""

    _mean: Matrix = field(default_factory=lambda: np.empty(0), repr=False)
    _scale: Matrix = field(default_factory=lambda: np.empty(0), repr=False)
    _model: KNeighborsClassifier = field(default=None, repr=False)

    def fit(self, X: Matrix, y: TextArray, names: tuple[str, ...]) -> None:
        """Keep the training's containers."""
        seen = ~np.isnan(X)
        count = np.maximum(seen.sum(axis=0), 1)
        self._mean = np.where(seen, X, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(seen, np.square(X - self._mean), 0).sum(axis=0) / count)
        self._scale = np.where(spread > 0, spread, 1)
        with warnings.catch_warnings():
            # Few containers of many services are no mistake.
            warnings.filterwarnings("ignore", message="The number of unique classes")
            self._model = KNeighborsClassifier(n_neighbors=1).fit(self._standardise(X), y.astype(str))

    def predict(self, X: Matrix) -> TextArray:
        """Name the service of each row's nearest training container."""
        return np.asarray(self._model.predict(self._standardise(X)), dtype=object)

    def _standardise(self, X: Matrix) -> Matrix:
        return np.asarray(np.nan_to_num((X - self._mean) / self._scale))


@dataclass
class Tree:
    """One J48-like tree on all features."""

    seed: int = 0
    _tree: DecisionTreeClassifier = field(default=None, repr=False)

    def fit(self, X: Matrix, y: TextArray, names: tuple[str, ...]) -> None:
        """Grow the tree."""
        self._tree = grow_j48_like_tree(X, y, self.seed)

    def predict(self, X: Matrix) -> TextArray:
        """Name the service of the leaf that each row falls into."""
        return np.asarray(self._tree.predict(X), dtype=object)


def make_baselines(seed: int) -> dict[str, Baseline]:
    """Make all baselines by name, the simplest first."""
    return {
        "majority class": Majority(),
        "one-metric rule": OneRule(seed),
        "1-NN": NearestNeighbour(),
        "tree": Tree(seed),
    }
