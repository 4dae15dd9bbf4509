"""How much the protocol alone is worth: from the original's random rows to one that tests what it claims to test.

The original's tree learns from rows as they are: levels, counters as levels, the image's size, and names as codes. Rows
drawn at random test it on other seconds of the same containers. Each step of :func:`leak_table` takes away one thing by
which it recognises a container instead of a service: the names, the image's size, then the rows of the tested
deployments themselves. The last steps are podlab's, with whole kinds of containers left out of training.
:func:`row_curve` is the original's learning curve, over rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.baselines import j48_like_tree
from podlab.evaluation.cross_validation import cross_validate, ignore_small_data_warnings
from podlab.evaluation.dataset import DEFAULT_FILTER, LabelledSamples, columns_of, read_dataset
from podlab.evaluation.metrics import Scores, score_answers, score_predictions, spread
from podlab.evaluation.splits import IntArray, Plan, TextArray, plan_splits, unit_column
from podlab.identify import Identifier
from podlab.identify.observation import COMPANION_MIN_FRACTION

#: Rows that a point of the row curve is tested on, at most: enough for an error of 0.01, and quick.
_TESTED_ROWS = 2000
#: Share of rows that the original trained on.
TRAINING_RATIO = 0.1
#: What can be left out as a whole, from the mildest on. A profile is what configurations drawn from a space have in
#: common; in recordings from before there were any, a configuration is the variant's second part.
KINDS = ("load", "version", "profile", "configuration", "site")
#: Protocols of the original's tree: their names, the metric filter, and whether deployments are split.
_ROW_PROTOCOLS = (
    ("random rows, all columns", "all", False),
    ("random rows, only numbers", "only-numbers", False),
    ("random rows, no image size", DEFAULT_FILTER, False),
    ("by deployment, all columns", "all", True),
    ("by deployment, no image size", DEFAULT_FILTER, True),
)

Matrix = NDArray[np.floating]


def leak_table(
    samples: pd.DataFrame,
    *,
    predictions: pd.DataFrame | None = None,
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    horizon_s: float = 60.0,
    folds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    cache: Path | str | None = None,
) -> pd.DataFrame:
    """Score the original's tree by its own protocol and by stricter ones, and podlab where whole kinds are left out.

    Random rows are split as the original did: 10 % of the rows train, all others are tested. By deployment, the tree
    trains on all rows of four fifths of the deployments, far more than before, and is tested on those of the others.

    Parameters
    ----------
    samples, services, folds, seed, jobs, cache
        As for :func:`podlab.evaluation.evaluate`.
    predictions : DataFrame, optional
        Podlab's, from :func:`podlab.evaluation.cross_validate` with deployments held out, at several horizons. Adds
        its scores, and those with each load pattern, version, profile (or configuration) and site left out in turn.
    columns : sequence of str, optional
        The metric columns that podlab learned from.
    horizon_s : float
        Which of its horizons; the nearest is taken.

    Returns
    -------
    DataFrame
        ``protocol``, ``split`` (``random rows``, ``by deployment`` or ``left out``), ``learner``, ``metric_filter``,
        ``trained_on`` (in words), ``decides_on`` (``row`` or ``container``), ``accuracy``, ``macro_f1`` and
        ``best_guess`` (macro-F1 of the most probable service, also where the prediction is unknown), each with
        ``_low`` and ``_high``; ``n_decisions, n_containers, n_deployments`` (tested), ``chance``.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`.
    """
    dataset = read_dataset(samples, services)
    plan = plan_splits(dataset.containers, folds=folds, seed=seed)
    rows = [_score_rows(dataset, plan, *protocol, seed) for protocol in _ROW_PROTOCOLS]
    if predictions is not None:
        horizons_s = sorted(predictions["horizon_s"].unique())
        nearest_s = min(horizons_s, key=lambda each: abs(each - horizon_s))
        same = {"learner": "podlab", "metric_filter": _name_filter(columns, dataset), "decides_on": "container"}
        own = predictions[predictions["horizon_s"] == nearest_s]
        split = predictions.attrs["split"]
        rows.append({"protocol": f"by deployment, podlab after {nearest_s:g} s", "split": "by deployment",
                     "trained_on": f"{split['kind']} ({split['folds']})", **same, **_scores_of(own, seed)})  # fmt: skip
        # Models for shorter horizons have no say by then. Plain floats, so that the audit's models are these same ones.
        heard_s = [float(each) for each in horizons_s if COMPANION_MIN_FRACTION * nearest_s <= each <= nearest_s]
        for kind in kinds_of(dataset.containers):
            left_out = plan_splits(dataset.containers, group=kind, seed=seed)
            model = Identifier(
                horizons_s=heard_s, columns=columns, group=unit_column(dataset.containers, kind), seed=seed
            )
            own = cross_validate(
                dataset, left_out, [nearest_s], model, seed=seed, jobs=jobs, cache=cache, what=f"{kind} left out"
            )
            name = "load pattern" if kind == "load" else kind
            rows.append({"protocol": f"{name} left out, podlab after {nearest_s:g} s", "split": "left out",
                         "trained_on": str(left_out.description["kind"]), **same, **_scores_of(own, seed)})  # fmt: skip
    return pd.DataFrame(rows).assign(chance=1 / (len(set(plan.services)) - len(plan.untested)))


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


def encode_rows(samples: pd.DataFrame, columns: Sequence[str]) -> tuple[Matrix, tuple[str, ...]]:
    """Turn rows into numbers for a tree.

    Parameters
    ----------
    samples : DataFrame (n_rows,)
        A checked samples table.
    columns : sequence of str
        From :func:`podlab.evaluation.dataset.columns_of`; those that the table lacks or has no value of are left out.

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
    """Draw the rows to train on, at least one and not all of ``count``; the others are tested."""
    order = np.random.default_rng(seed).permutation(count)
    trained = max(1, min(round(share * count), count - 1))
    return np.sort(order[:trained]), np.sort(order[trained:])


def predict_rows(X: Matrix, services: TextArray, train: IntArray, test: IntArray, seed: int) -> TextArray:
    """Train the original's tree on some rows and predict the services of others."""
    with ignore_small_data_warnings():
        tree = j48_like_tree(seed).fit(X[train], services[train])
    return np.asarray(tree.predict(X[test]), dtype=object)


def score_row_tree(dataset: LabelledSamples, plan: Plan, columns: Sequence[str], seed: int, **scoring: Any) -> Scores:
    """Score the original's tree by its own protocol: trained on random rows, tested on all others."""
    X, _ = encode_rows(dataset.samples, columns)
    return _score_sides(dataset, plan, X, [draw_rows(len(X), TRAINING_RATIO, seed)], seed, **scoring)


def score_row_trees(
    dataset: LabelledSamples, plan: Plan, horizons_s: Sequence[float], columns: Sequence[str], *, seed: int = 0
) -> pd.DataFrame:
    """Score the original's tree on the first seconds of all containers: as :func:`podlab.evaluation.score` does."""
    scores = {horizon_s: score_row_tree(dataset.until(horizon_s), plan, columns, seed) for horizon_s in horizons_s}
    return pd.DataFrame([{"horizon_s": horizon_s, **own.to_row()} for horizon_s, own in scores.items()])


def _score_sides(
    dataset: LabelledSamples,
    plan: Plan,
    X: Matrix,
    sides: Sequence[tuple[IntArray, IntArray]],
    seed: int,
    **scoring: Any,
) -> Scores:
    truth = plan.services[dataset.code]
    answers = np.concatenate([predict_rows(X, truth, train, test, seed) for train, test in sides])
    tested = np.concatenate([test for _, test in sides])
    code = dataset.code[tested]
    return score_answers(
        list(truth[tested]), list(answers), list(plan.units[code]), containers=list(code), seed=seed, **scoring
    )


def _score_rows(
    dataset: LabelledSamples, plan: Plan, protocol: str, metric_filter: str, by_deployment: bool, seed: int
) -> dict[str, Any]:
    if by_deployment:
        X, _ = encode_rows(dataset.samples, columns_of(metric_filter))
        sides = [
            (np.flatnonzero(np.isin(dataset.code, split.train)), np.flatnonzero(np.isin(dataset.code, split.test)))
            for split in plan.splits
        ]
        scores = _score_sides(dataset, plan, X, sides, seed)
        trained_on = f"{100 * (1 - 1 / plan.description['folds']):.0f} % of deployments"
    else:
        scores = score_row_tree(dataset, plan, columns_of(metric_filter), seed)
        trained_on = f"{100 * TRAINING_RATIO:.0f} % of rows"
    return {
        "protocol": protocol,
        "split": "by deployment" if by_deployment else "random rows",
        "learner": "tree on rows",
        "metric_filter": metric_filter,
        "trained_on": trained_on,
        "decides_on": "row",
        **_tabulate(scores, scores),
    }


def _scores_of(predictions: pd.DataFrame, seed: int) -> dict[str, Any]:
    services = sorted({*predictions["service"], *predictions["best_guess"].dropna()})
    predicted, guessed = (
        score_predictions(predictions, answer, services=services, seed=seed) for answer in ("predicted", "best_guess")
    )
    return _tabulate(predicted, guessed)


def _name_filter(columns: Sequence[str] | None, dataset: LabelledSamples) -> str:
    """Name the default filter if these are all the columns it lets through, else list them."""
    default = [name for name in columns_of(DEFAULT_FILTER) if name in dataset.samples]
    return DEFAULT_FILTER if columns is None or set(default) <= set(columns) else ",".join(columns)


def _tabulate(predicted: Scores, guessed: Scores) -> dict[str, Any]:
    counts = {name: getattr(predicted, name) for name in ("n_decisions", "n_containers", "n_deployments")}
    return {
        **spread("accuracy", predicted.accuracy),
        **spread("macro_f1", predicted.macro_f1),
        **spread("best_guess", guessed.macro_f1),
        **counts,
    }


def row_curve(
    samples: pd.DataFrame,
    *,
    services: Sequence[str] | None = None,
    most: int = 200,
    iterations: int = 10,
    metric_filter: str = "all",
    seed: int = 0,
) -> pd.DataFrame:
    """Score the original's tree by the number of rows that it was trained on, as the original did.

    For every size and iteration that many rows are drawn at random from half of the deployments. The tree is tested
    twice: on other rows of the same deployments (the original's way), and on rows of the other half.

    Parameters
    ----------
    samples, services, seed
        As for :func:`podlab.evaluation.evaluate`.
    most : int
        The curve goes from 1 to this many rows, as far as there are rows.
    iterations : int
        How often rows are drawn anew for each size; the halves alternate between iterations.
    metric_filter : str
        Columns that the tree sees, see :func:`podlab.evaluation.dataset.columns_of`.

    Returns
    -------
    DataFrame
        ``rows`` (trained on), ``split`` (``same deployments`` or ``other deployments``), ``accuracy`` (mean over the
        iterations), ``low, high`` (between which 95 % of the iterations lie), ``n_deployments``, ``iterations``.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if ``most`` or ``iterations`` is not positive.
    """
    if most < 1 or iterations < 1:
        raise InputError(f"{most} rows and {iterations} iterations", hint="use at least 1 of each")
    dataset = read_dataset(samples, services)
    plan = plan_splits(dataset.containers, folds=2, iterations=(iterations + 1) // 2, seed=seed)
    X, _ = encode_rows(dataset.samples, columns_of(metric_filter))
    truth = plan.services[dataset.code]
    accuracy: dict[tuple[int, str], list[float]] = {}
    for iteration, split in enumerate(plan.splits[:iterations]):
        rng = np.random.default_rng([seed, iteration])
        own = rng.permutation(np.flatnonzero(np.isin(dataset.code, split.train)))
        other = rng.permutation(np.flatnonzero(np.isin(dataset.code, split.test)))[:_TESTED_ROWS]
        # Rows beyond the largest size are never trained on, so that all sizes are tested on the same ones.
        largest = min(most, own.size // 2)
        rest = own[largest : largest + _TESTED_ROWS]
        tested = np.concatenate([rest, other])
        for size in range(1, largest + 1):
            right = predict_rows(X, truth, own[:size], tested, seed) == truth[tested]
            accuracy.setdefault((size, "same deployments"), []).append(float(right[: rest.size].mean()))
            accuracy.setdefault((size, "other deployments"), []).append(float(right[rest.size :].mean()))
    rows = [
        {"rows": size, "split": name, "accuracy": np.mean(values), "low": np.quantile(values, 0.025),
         "high": np.quantile(values, 0.975), "iterations": len(values)}
        for (size, name), values in accuracy.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(n_deployments=len(set(plan.units)))
