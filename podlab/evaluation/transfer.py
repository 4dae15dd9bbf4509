"""The baseline of transfer: a plain forest and podlab as it is, by what training has not seen and by columns.

What training has not seen is a deployment, a profile (a configuration never met), a site, or another recording, in
which metrics may be missing that training had. The plain forest is one extremely randomised forest on the statistics of
one window (:data:`podlab.features.features.STATISTICS`) with scikit-learn's defaults; podlab is what ``podlab fit``
makes, for horizons up to the one that is asked for. Nothing here is tuned, so that the table can be the baseline of
later work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier

from podlab.data.catalogue import FEATURE_METRICS, ORIGINAL_METRICS
from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate
from podlab.evaluation.dataset import LabelledSamples, read_dataset, thin_deployments
from podlab.evaluation.metrics import score
from podlab.evaluation.scenarios import MID_RUN, START, Scenario, apply_scenario
from podlab.evaluation.splits import IntArray, Split, plan_splits
from podlab.identify import Identifier
from podlab.progress import Progress

Columns = Mapping[str, tuple[str, ...]]
#: What both learn from, by the name of the columns.
COLUMNS: Final[Columns] = {
    "original": ORIGINAL_METRICS,
    "original + further": FEATURE_METRICS,
    "further only": tuple(name for name in FEATURE_METRICS if name not in ORIGINAL_METRICS),
}
FOREST: Final = "plain extra-trees"
PODLAB: Final = "podlab"
PODLAB_GUESS: Final = "podlab, most probable service"
SITE_LEFT_OUT: Final = "site left out"
#: Splits within a recording, by column.
_SPLITS: Final = {"deployment": "deployment", "profile": "profile left out", "site": SITE_LEFT_OUT}
#: Beside the horizon itself, the one that keeps its vote then, as
#: :data:`podlab.identify.observation.COMPANION_MIN_FRACTION` has it.
_HORIZON_SHARES: Final = (0.5, 1.0)


@dataclass(frozen=True)
class TransferSettings:
    """How the baseline is measured.

    Attributes
    ----------
    length_s : float
        Seconds observed, since the start and mid-run.
    settled_s : float
        No mid-run window begins sooner after the start.
    folds : int
        Into which deployments, and profiles, are split; sites are left out one by one.
    trees : int
        Of the plain forest.
    per_service : int
        Only so many deployments of each service, drawn at random; 0 for all.
    with_podlab : bool
        Whether podlab is trained as well, which takes most of the time.
    seed : int
        The same recordings and settings give the same table.
    jobs : int, optional
        How many trainings at once; by default as many as there are cores.
    cache : Path or str, optional
        As for :func:`podlab.evaluation.cross_validate`.
    """

    length_s: float = 60.0
    settled_s: float = 60.0
    folds: int = 3
    trees: int = 200
    per_service: int = 0
    with_podlab: bool = True
    seed: int = 0
    jobs: int | None = None
    cache: Path | str | None = None


def transfer_table(
    samples: pd.DataFrame,
    others: Mapping[str, pd.DataFrame] | None = None,
    *,
    settings: TransferSettings | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score a plain forest and podlab on what training has not seen.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``; with ``profile`` and ``site`` for those splits.
    others : mapping of str to DataFrame, optional
        Other recordings by name: those of their services that ``samples`` have are predicted by models of all of
        ``samples``.
    settings : TransferSettings, optional
    progress : callable, optional
        Called after each training of podlab.

    Returns
    -------
    DataFrame
        One line per split, window, method and columns: ``split``, ``window``, ``method`` (:data:`FOREST`,
        :data:`PODLAB`, in which "unknown" is wrong, or :data:`PODLAB_GUESS`), ``columns`` (a key of :data:`COLUMNS`),
        ``macro_f1``, ``low``, ``high`` (95 %, by bootstrap over deployments), ``deployments`` and ``services``
        (tested), ``chance``. There is no line :data:`SITE_LEFT_OUT` of one site only, and none of columns that the
        recordings lack.

    Raises
    ------
    InputError
        If there are not two services, or no service has two deployments.
    """
    settings = settings or TransferSettings()
    own = read_dataset(thin_deployments(samples, settings.per_service, seed=settings.seed))
    tests = [(name, own, splits) for name, splits in _splits(own, settings).items()]
    for name, other in (others or {}).items():
        common = sorted(set(own.containers["service"]) & set(other["service"].dropna()))
        if len(common) > 1:
            there = read_dataset(thin_deployments(other, settings.per_service, seed=settings.seed), common)
            everything = Split(np.arange(len(own.containers)), np.arange(len(there.containers)))
            tests.append((f"tested on {name}", there, [everything]))
    columns = _columns_of(own)
    found = [_test_forest(name, own, tested, splits, columns, settings) for name, tested, splits in tests]
    if settings.with_podlab:
        found += [
            _test_podlab(name, own, tested, splits, columns, settings, progress) for name, tested, splits in tests
        ]
    table = pd.concat(found, ignore_index=True)
    return table.assign(chance=1 / table["services"])


def _columns_of(dataset: LabelledSamples) -> Columns:
    """Choose those of :data:`COLUMNS` of which the samples have a value, and no two that mean the same here."""
    there = {name for name in FEATURE_METRICS if name in dataset.samples and dataset.samples[name].notna().any()}
    chosen, seen = {}, set()
    for name, columns in COLUMNS.items():
        used = frozenset(there.intersection(columns))
        if used and used not in seen:
            chosen[name] = columns
            seen.add(used)
    return chosen


def _splits(dataset: LabelledSamples, settings: TransferSettings) -> dict[str, Sequence[Split]]:
    found: dict[str, Sequence[Split]] = {}
    for group, name in _SPLITS.items():
        if group not in dataset.containers or dataset.containers[group].isna().any():
            continue
        if group == "site" and len(dataset.containers["site"].unique()) < 2:
            continue
        found[name] = plan_splits(dataset.containers, group=group, folds=settings.folds, seed=settings.seed).splits
    return found


def _windows(settings: TransferSettings) -> tuple[Scenario, Scenario]:
    start = Scenario(START, START, settings.length_s)
    return start, Scenario(MID_RUN, MID_RUN, segment_s=settings.length_s, settled_s=settings.settled_s)


def _test_forest(
    name: str,
    own: LabelledSamples,
    tested: LabelledSamples,
    splits: Sequence[Split],
    columns: Columns,
    settings: TransferSettings,
) -> pd.DataFrame:
    """Train on the same window as is tested."""
    found = []
    for window in _windows(settings):
        train, trained = _shown(own, window, settings.seed)
        test, shown = (train, trained) if tested is own else _shown(tested, window, settings.seed)
        within = [_among(split, trained, shown) for split in splits]
        forest = ExtraTreesClassifier(settings.trees, random_state=settings.seed, n_jobs=1)
        models = {
            of: FeatureClassifier(forest, settings.length_s, used, since_start=not window.segment_s)
            for of, used in columns.items()
        }
        splits_shown = [each for each in within if each.test.size and each.train.size]
        if not splits_shown:
            continue
        everything = Scenario(window.group, window.name)
        predictions = cross_validate(
            train,
            splits_shown,
            [everything],
            models,
            tested=test,
            seed=settings.seed,
            jobs=settings.jobs,
            cache=settings.cache,
        )
        found.append(_score(predictions, "best_guess", settings).assign(split=name, method=FOREST))
    return _in_order(pd.concat(found)) if found else pd.DataFrame()


def _test_podlab(
    name: str,
    own: LabelledSamples,
    tested: LabelledSamples,
    splits: Sequence[Split],
    columns: Columns,
    settings: TransferSettings,
    progress: Progress | None,
) -> pd.DataFrame:
    horizons_s = [share * settings.length_s for share in _HORIZON_SHARES]
    models = {of: Identifier(horizons_s=horizons_s, columns=used, seed=settings.seed) for of, used in columns.items()}
    predictions = cross_validate(
        own, splits, _windows(settings), models, tested=tested, seed=settings.seed, jobs=settings.jobs,
        cache=settings.cache, progress=progress, what=name,
    )  # fmt: skip
    methods = {PODLAB: "predicted", PODLAB_GUESS: "best_guess"}
    found = [_score(predictions, answer, settings).assign(split=name, method=each) for each, answer in methods.items()]
    return _in_order(pd.concat(found))


def _shown(dataset: LabelledSamples, scenario: Scenario, seed: int) -> tuple[LabelledSamples, IntArray]:
    """Keep the rows that a scenario shows; and say which containers have any."""
    if not scenario.segment_s:
        return dataset, np.arange(len(dataset.containers))
    seen = apply_scenario(dataset, scenario, np.random.default_rng(seed))
    kept, code = np.unique(dataset.code[seen.index], return_inverse=True)
    containers = dataset.containers.iloc[kept].reset_index(drop=True)
    return LabelledSamples(seen.reset_index(drop=True), code, containers), kept


def _among(split: Split, trained: IntArray, tested: IntArray) -> Split:
    train, test = (np.flatnonzero(np.isin(kept, own)) for kept, own in ((trained, split.train), (tested, split.test)))
    return Split(train, test, split.iteration)


def _score(predictions: pd.DataFrame, answer: str, settings: TransferSettings) -> pd.DataFrame:
    by = ["scenario", "model"]
    table = score(predictions, by, answer, seed=settings.seed)
    services = predictions.groupby(by, sort=False)["service"].nunique()
    return table.assign(services=services.to_numpy())


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    names: dict[str, Any] = {"scenario": "window", "model": "columns", "macro_f1_low": "low", "macro_f1_high": "high",
                             "n_deployments": "deployments"}  # fmt: skip
    columns = ["split", "window", "method", "columns", "macro_f1", "low", "high", "deployments", "services"]
    return table.rename(columns=names)[columns]
