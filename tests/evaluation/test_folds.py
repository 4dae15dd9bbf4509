from __future__ import annotations

import os
import signal

import pytest

from podlab.errors import PodlabError
from podlab.evaluation import folds
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.splits import plan_splits
from tests.support.synthetic import make_samples

ARGUMENTS = {"group": "deployment", "horizons_s": (10.0,), "columns": None, "seed": 0}


@pytest.fixture(scope="module")
def two_folds():
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=12, interval_s=2)
    dataset = read_dataset(samples)
    splits = plan_splits(dataset.containers, folds=2).splits
    return [folds.Fold(dataset, split.train, split.test, f"fold {n}") for n, split in enumerate(splits)]


def test_folds_in_processes_answer_as_one_after_the_other(two_folds):
    steps = []
    alone = folds.answer_folds(two_folds, jobs=1, progress=None, **ARGUMENTS)
    beside = folds.answer_folds(two_folds, jobs=2, progress=lambda *step: steps.append(step), **ARGUMENTS)
    assert beside == alone
    assert steps == [(1, 2, "fold 0"), (2, 2, "fold 1")]


def test_answers_stand_in_the_order_of_the_containers_tested(two_folds):
    answers = folds.answer_folds(two_folds, jobs=1, progress=None, **ARGUMENTS)
    for fold, by_horizon in zip(two_folds, answers, strict=True):
        pods = fold.dataset.containers["pod"].iloc[fold.test].to_list()
        assert [answer.pod for answer in by_horizon[10.0]] == pods


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_one_clear_line(two_folds, monkeypatch):
    monkeypatch.setattr(folds, "_answer", die)
    with pytest.raises(PodlabError, match=r"was killed from outside.*; train one fold at a time"):
        folds.answer_folds(two_folds, jobs=2, progress=None, **ARGUMENTS)
