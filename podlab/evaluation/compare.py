"""Scores of the baselines, on the same splits as identification, and of the original's tree on random rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from podlab import identify
from podlab.evaluation.baselines import OneRule, make_baselines
from podlab.evaluation.dataset import Dataset
from podlab.evaluation.original import TRAINING_RATIO, draw_rows, encode_rows, predict_rows
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.splits import Plan, TextArray

#: What the tree on random rows is called among the baselines.
ROW_TREE = "tree, random rows"


def score_baselines(
    dataset: Dataset, plan: Plan, horizons: Sequence[float], columns: Sequence[str], services: Sequence[str], seed: int
) -> tuple[dict[str, dict[float, Scores]], dict[float, str]]:
    """Score simple classifiers on the same splits, and the tree on random rows; and say which metric ruled."""
    names = list(make_baselines(seed))
    scores: dict[str, dict[float, Scores]] = {name: {} for name in (*names, ROW_TREE)}
    rule_metrics = {}
    for horizon_s in horizons:
        features = identify.feature_table(dataset.samples, horizon_s, columns)
        usable = features.containers["usable"].to_numpy(bool)
        answers: dict[str, list[TextArray]] = {name: [] for name in names}
        metrics: Counter[str] = Counter()
        for split in plan.splits:
            train = split.train[usable[split.train]]
            for name, baseline in make_baselines(seed).items():
                if not train.size:  # nothing was seen of them by then, so nobody learns anything
                    answers[name].append(np.full(split.test.size, None, dtype=object))
                    continue
                baseline.fit(features.X[train], plan.services[train], features.names)
                named = baseline.predict(features.X[split.test])
                named[~usable[split.test]] = None  # a container without a value has no answer from anyone
                answers[name].append(named)
                if isinstance(baseline, OneRule):
                    metrics[baseline.metric] += 1
        tested = np.concatenate([split.test for split in plan.splits])
        for name in names:
            scores[name][horizon_s] = score(
                list(plan.services[tested]),
                list(np.concatenate(answers[name])),
                list(plan.units[tested]),
                containers=list(tested),
                services=services,
                seed=seed,
            )
        scores[ROW_TREE][horizon_s] = _score_row_tree(dataset, plan, horizon_s, columns, services, seed)
        rule_metrics[horizon_s] = metrics.most_common(1)[0][0] if metrics else "none"
    return scores, rule_metrics


def _score_row_tree(
    dataset: Dataset, plan: Plan, horizon_s: float, columns: Sequence[str], services: Sequence[str], seed: int
) -> Scores:
    """Score the original's tree on random rows of the first seconds of all containers."""
    inside = dataset.offset_s() < horizon_s
    X, _ = encode_rows(dataset.samples[inside], columns)
    code = dataset.code[inside]
    train, test = draw_rows(len(X), TRAINING_RATIO, seed)
    answers = predict_rows(X, plan.services[code], train, test, seed)
    return score(
        list(plan.services[code[test]]),
        list(answers),
        list(plan.units[code[test]]),
        containers=list(code[test]),
        services=services,
        seed=seed,
    )
