"""The original's protocol: one row is one sample, and a tree learns from the rows as they are.

Raw columns go in: levels, counters as levels, the image's size, and names as codes. The rows that it trains on are
drawn at random from all rows, so that it is tested on other seconds of the same containers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from podlab.evaluation.baselines import Matrix, grow_j48_like_tree
from podlab.evaluation.splits import IntArray, TextArray

#: Share of rows that the original trained on.
TRAINING_RATIO = 0.1


def encode_rows(samples: pd.DataFrame, columns: Sequence[str]) -> tuple[Matrix, tuple[str, ...]]:
    """Turn rows into numbers for a tree.

    Parameters
    ----------
    samples : DataFrame (n_rows,)
        A checked samples table.
    columns : sequence of str
        From :func:`podlab.evaluation.filters.columns_of`; those that the table lacks or has no value of are left out.

    Returns
    -------
    matrix : array of float64 (n_rows, n_columns)
        Numbers as they are, NaN where missing; a string as the CRC-32 of its bytes.
    names : tuple of str
        The columns used.
    """
    names = tuple(name for name in columns if name in samples and samples[name].notna().any())
    if not names:
        return np.empty((len(samples), 0)), names
    return np.column_stack([_encode(samples[name]) for name in names]), names


def _encode(values: pd.Series) -> Matrix:
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    codes, words = pd.factorize(values)
    numbers = np.array([*(zlib.crc32(str(word).encode()) for word in words), np.nan])
    return np.asarray(numbers[codes])


def draw_rows(count: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows to train on; the others are tested.

    Parameters
    ----------
    count : int
        How many rows there are, at least 2.
    share : float
        Part of them to train on; at least one row and not all.
    seed : int
        The same arguments give the same rows.
    """
    order = np.random.default_rng(seed).permutation(count)
    trained = max(1, min(round(share * count), count - 1))
    return np.sort(order[:trained]), np.sort(order[trained:])


def predict_rows(X: Matrix, services: TextArray, train: IntArray, test: IntArray, seed: int) -> TextArray:
    """Train the original's tree on some rows and name the services of others."""
    tree = grow_j48_like_tree(X[train], services[train], seed)
    return np.asarray(tree.predict(X[test]), dtype=object)
