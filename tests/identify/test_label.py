"""Which containers to label: unsure ones that stand for many, spread out, and none that is labelled."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.identify import Identifier, choose_to_label
from tests.support.synthetic import make_samples

NEW = ("postgres", "mongodb")


@pytest.fixture(scope="module")
def mixed() -> pd.DataFrame:
    """Known services, and two that the model does not know; nothing is labelled."""
    services = ("nginx", "mysql", "redis", *NEW)
    return make_samples(services, deployments_per_service=4, seconds=100, seed=21)


def test_the_first_ones_are_of_services_that_the_model_does_not_know(
    identifier: Identifier, mixed: pd.DataFrame
) -> None:
    service = mixed.drop_duplicates("pod").set_index("pod")["service"]
    chosen = choose_to_label(identifier, mixed.drop(columns="service"), 4)
    assert len(chosen) == 4
    assert chosen["pod"].is_unique
    assert set(service[chosen["pod"].iloc[:2]]) <= set(NEW)
    assert chosen["stands_for"].sum() == mixed["pod"].nunique()
    assert chosen["candidates"].map(len).eq(3).all()


def test_labelled_containers_are_not_asked_for_again(identifier: Identifier, mixed: pd.DataFrame) -> None:
    unlabelled = mixed.assign(service=pd.array([None] * len(mixed), dtype="str"))
    first = choose_to_label(identifier, unlabelled, 3)["pod"]
    labelled = unlabelled.assign(service=mixed["service"].where(mixed["pod"].isin(first)))
    again = choose_to_label(identifier, labelled, 100)
    assert not set(again["pod"]) & set(first)
    assert len(again) == mixed["pod"].nunique() - 3


def test_nothing_to_label_is_said(identifier: Identifier, mixed: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no container is left to label"):
        choose_to_label(identifier, mixed)
    with pytest.raises(InputError, match="at least one"):
        choose_to_label(identifier, mixed, 0)
