"""Which containers to label: unsure ones that stand for many, spread out, and none that is labelled."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import pytest

from podlab.data.recordings import load
from podlab.errors import InputError
from podlab.evaluation.dataset import thin_deployments
from podlab.identify import Identifier, choose_to_label, fit
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


def test_chosen_labels_teach_at_least_as_fast_as_random_ones() -> None:
    recorded = thin_deployments(load("second"), 6)
    known = ["apache", "memcached", "mysql", "nginx"]
    base = fit(recorded[recorded["service"].isin(known)], horizons_s=(30.0,), column_sets=False, jobs=1)
    own = load("first")
    own = own[own["service"].isin([*known, "postgres", "redis", "haproxy"])].reset_index(drop=True)
    names = sorted(own["deployment"].unique())
    halves = [own[own["deployment"].isin(names[first::2])].reset_index(drop=True) for first in (0, 1)]

    def errors(pool: pd.DataFrame, rest: pd.DataFrame, pods: Collection[str]) -> int:
        truth = rest.drop_duplicates("pod")["service"]
        found = base.adapt(pool[pool["pod"].isin(pods)].reset_index(drop=True)).identify(rest)
        return sum(next(iter(each.candidates)) != service for each, service in zip(found, truth, strict=True))

    # One choice of a few containers is luck; both halves and several numbers of labels together are less.
    chosen_errors, random_errors = 0, 0.0
    for pool, rest in (halves, halves[::-1]):
        for number in (4, 6, 8):
            chosen_errors += errors(pool, rest, choose_to_label(base, pool.drop(columns="service"), number)["pod"])
            drawn = [pool["pod"].drop_duplicates().sample(number, random_state=seed) for seed in range(3)]
            random_errors += sum(errors(pool, rest, pods) for pods in drawn) / len(drawn)
    assert chosen_errors <= random_errors
