"""Answers are put together from what was found: order, ties, what is told of whom, and rounding."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CONTAINER_KEY
from podlab.identify.prediction import Prediction, make_predictions

SERVICES = tuple("abcdefg")


def answer(
    probability: list[float], proximity: list[float] | None = None, *, novelty: float = 0.5, usable: bool = True
) -> Prediction:
    found = SimpleNamespace(
        probability=np.array([probability]), proximity=np.array([proximity or probability]),
        novelty=np.array([novelty]), prediction_set=np.array([probability]) >= 0.2,
        coverage=np.array(["class-conditional"], dtype=object), spans=SimpleNamespace(observed_s=np.array([12.5])),
    )  # fmt: skip
    [told] = make_predictions(
        pd.DataFrame({name: ["x"] for name in CONTAINER_KEY}), found, SERVICES[: len(probability)],
        usable=np.array([usable]), columns=[("rx_bytes",)], model="m@1", p_values=False,
    )  # fmt: skip
    return told


def test_the_most_probable_service_comes_first_and_only_those_of_the_set_are_on_the_shortlist() -> None:
    told = answer([0.1, 0.3, 0.6])
    assert told.service == "c"
    assert told.confidence == 0.6
    assert list(told.candidates.items()) == [("c", 0.6), ("b", 0.3), ("a", 0.1)]
    assert told.prediction_set == ("c", "b")
    assert told.coverage == "class-conditional"


def test_the_five_most_similar_are_named_and_votes_decide_between_those_alike() -> None:
    told = answer([0.3, 0.1, 0.2, 0.15, 0.05, 0.08, 0.12], [0.0, 0.9, 0.0, 0.4, 0.0, 0.0, 0.0])
    assert told.similar == (("b", 0.9), ("d", 0.4), ("a", 0.0), ("c", 0.0), ("g", 0.0))


@pytest.mark.parametrize(("novelty", "known"), [(0.98, True), (0.981, False)])
def test_it_is_known_unless_more_than_98_of_100_known_containers_look_more_familiar(novelty: float, known: bool):
    told = answer([0.9, 0.1], novelty=novelty)
    assert (told.known, told.service) == (known, "a" if known else None)
    assert (told.confidence, list(told.candidates)) == (0.9, ["a", "b"]), "what it resembles is told all the same"


def test_of_a_container_that_shows_nothing_nothing_is_said() -> None:
    told = answer([0.9, 0.1], novelty=0.1, usable=False)
    assert (told.service, told.known, told.confidence, told.novelty) == (None, False, 0.0, 1.0)
    assert (told.candidates, told.similar, told.prediction_set, told.coverage) == ({}, (), (), "none")


def test_numbers_are_rounded_in_json() -> None:
    rough = 0.12345678
    told = replace(answer([rough, 1 - rough], novelty=rough), seconds_observed=29.98765, confidence=rough)
    line = told.to_json()
    assert (line["seconds_observed"], line["confidence"], line["novelty"]) == (29.988, 0.123457, 0.123457)
    assert line["candidates"] == {"b": 0.876543, "a": 0.123457}
    assert line["similar"] == [["b", 0.876543], ["a", 0.123457]]
