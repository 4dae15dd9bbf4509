"""Asking one model about containers as several scenarios show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from podlab import identify
from podlab.evaluation.dataset import Dataset, load_of, read_dataset
from podlab.evaluation.machines import move_to_another_machine
from podlab.evaluation.scenarios import Scenario, see
from podlab.evaluation.splits import IntArray
from podlab.identify import Identifier

#: Containers, their positions in the whole recording, and how they are shown.
Part = tuple[Dataset, IntArray, Sequence[Scenario]]

#: Of an answer; see :class:`podlab.evaluation.conditions.Conditions`.
COLUMNS = (
    "group", "condition", "draw", "position", "unit", "load", "service", "answer", "best_guess", "confidence",
    "covered", "set_size", "promise",
)  # fmt: skip


def part(dataset: Dataset, positions: IntArray, scenarios: Sequence[Scenario]) -> Part:
    """Take the containers that one model is asked about, so that no process gets more than that."""
    return read_dataset(dataset.take(positions)), positions, scenarios


def train_and_judge(
    train: pd.DataFrame, tests: Sequence[Part], learn: dict[str, Any], seeds: list[int]
) -> pd.DataFrame:
    """Train one model and ask it.

    Parameters
    ----------
    train : DataFrame
        Samples to learn from.
    tests : sequence of Part
        What is asked, from :func:`part`.
    learn : dict
        Arguments of :func:`podlab.identify.fit`.
    seeds : list of int
        Of phases and begins; the first one alone of machines.

    Returns
    -------
    DataFrame
        One line for each answer, with :data:`COLUMNS`.
    """
    identifier = identify.fit(train, **learn)
    found = []
    for dataset, positions, scenarios in tests:
        for scenario in scenarios:
            # Anew for each: what differs between two scenarios shall not be what was drawn.
            seen = see(dataset, scenario, np.random.default_rng(seeds))
            if seen.empty or not any(column in seen for column in identifier.columns):
                continue
            for draw in range(max(1, scenario.draws)):
                # A machine depends on the seed and its number only: it is the same one in all folds.
                machine = np.random.default_rng([seeds[0], draw])
                shown = move_to_another_machine(seen, machine) if scenario.draws else seen
                found.append(_judge(identifier, dataset, shown, scenario, draw, positions))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _judge(
    identifier: Identifier, dataset: Dataset, seen: pd.DataFrame, scenario: Scenario, draw: int, positions: IntArray
) -> pd.DataFrame:
    answers = identifier.identify(seen.reset_index(drop=True), horizon_s=scenario.horizon_s)
    whose = pd.unique(dataset.code[seen.index])
    containers = dataset.containers.iloc[whose]
    service = containers["service"].to_list()
    return pd.DataFrame(
        {
            "group": scenario.group,
            "condition": scenario.name,
            "draw": draw,
            "position": positions[whose],
            "unit": containers["deployment"].to_numpy(object),
            "load": load_of(containers),
            "service": service,
            "answer": pd.array([answer.service for answer in answers], dtype="str"),
            "best_guess": pd.array([next(iter(answer.candidates), None) for answer in answers], dtype="str"),
            "confidence": [answer.confidence for answer in answers],
            "covered": [own in answer.prediction_set for own, answer in zip(service, answers, strict=True)],
            "set_size": [len(answer.prediction_set) for answer in answers],
            "promise": [answer.coverage for answer in answers],
        }
    )
