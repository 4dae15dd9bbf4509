"""How much the protocol alone is worth: the original's tree on rows, and what can be left out of training as a whole.

The original's tree learns from rows as they are: levels, counters as levels, the image's size, and names as codes. Rows
drawn at random test it on other seconds of the same containers, which it recognises instead of their services.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import IntArray
from podlab.evaluation.baselines import j48_like_tree
from podlab.evaluation.dataset import LabelledSamples
from podlab.evaluation.splits import Plan
from podlab.parallel import ignore_training_warnings

#: Share of rows that the original trained on.
TRAINING_RATIO = 0.1
#: What can be left out as a whole, from the mildest on. A profile is what configurations drawn from a space have in
#: common; in recordings from before there were any, a configuration is the variant's second part.
KINDS = ("load", "version", "profile", "configuration", "site")


def kinds_of(containers: pd.DataFrame) -> tuple[str, ...]:
    """Name the :data:`KINDS` of which some services have several values, so that one can be left out.

    Of ``profile`` and ``configuration`` the first that all containers have.
    """
    has_profiles = "profile" in containers and containers["profile"].notna().all()
    doubled = "configuration" if has_profiles else "profile"
    return tuple(
        kind
        for kind in KINDS
        if kind in containers
        and kind != doubled
        and containers[kind].notna().all()
        and (containers.drop_duplicates(["service", kind])["service"].value_counts() > 1).sum() > 1
    )


def predict_rows(
    dataset: LabelledSamples, plan: Plan, columns: Sequence[str], *, by_deployment: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Train the original's tree on rows and predict other rows.

    Parameters
    ----------
    plan : Plan
        Of its containers.
    columns : sequence of str
        From :func:`podlab.evaluation.dataset.columns_of`.
    by_deployment : bool
        Train on all rows of the plan's training sides, and predict those of its tested sides. By default as the
        original did: :data:`TRAINING_RATIO` of the rows train, drawn at random, and all others are predicted.
    seed : int
        Of the draw and of the tree.

    Returns
    -------
    DataFrame
        One line per row predicted, with the columns that :func:`podlab.evaluation.score` needs: ``service``,
        ``predicted``, ``best_guess`` (the same), ``confidence`` (NaN: it claims nothing), ``unit``, ``position``.
    """
    X = encode_rows(dataset.samples, columns).to_numpy()
    sides = [draw_rows(len(X), TRAINING_RATIO, seed)]
    if by_deployment:
        sides = [
            (np.flatnonzero(np.isin(dataset.code, split.train)), np.flatnonzero(np.isin(dataset.code, split.test)))
            for split in plan.splits
        ]
    services = plan.services[dataset.code]
    with ignore_training_warnings():
        answers = [j48_like_tree(seed).fit(X[train], services[train]).predict(X[test]) for train, test in sides]
    tested = np.concatenate([test for _, test in sides])
    code, predicted = dataset.code[tested], np.concatenate(answers)
    return pd.DataFrame(
        {
            "service": services[tested],
            "predicted": predicted,
            "best_guess": predicted,
            "confidence": np.nan,
            "unit": plan.units[code],
            "position": code,
        }
    )


def draw_rows(count: int, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows to train on, at least one and not all of ``count``; the others are tested."""
    order = np.random.default_rng(seed).permutation(count)
    trained = max(1, min(round(share * count), count - 1))
    return np.sort(order[:trained]), np.sort(order[trained:])


def encode_rows(samples: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Turn rows into numbers for a tree.

    Parameters
    ----------
    samples : DataFrame (n_rows,)
        A checked samples table.
    columns : sequence of str
        From :func:`podlab.evaluation.dataset.columns_of`; those that the table lacks or has no value of are left out.

    Returns
    -------
    DataFrame of float64 (n_rows, n_columns)
        Numbers as they are, NaN where missing; a string as the CRC-32 of its bytes.
    """
    numbers: dict[str, NDArray[np.float64]] = {}
    for name in columns:
        if name not in samples or samples[name].isna().all():
            continue
        if pd.api.types.is_numeric_dtype(samples[name]):
            numbers[name] = samples[name].to_numpy(np.float64, na_value=np.nan)
        else:
            codes, words = pd.factorize(samples[name])
            numbers[name] = np.array([*(zlib.crc32(str(word).encode()) for word in words), np.nan])[codes]
    return pd.DataFrame(numbers, index=samples.index)
