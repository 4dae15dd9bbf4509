"""How well strangers are told from known containers, on decisions made up so that the right result is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from podlab.evaluation.relatives import most_similar, relative_hits
from podlab.evaluation.unknown import (
    ALL,
    DOUBT,
    FAR,
    NEAR,
    NOVELTY,
    RANDOM,
    by_unknown_service,
    decisions_of,
    near_services,
    risk_coverage,
    separate,
    separation_table,
)  # fmt: skip

RELATIVES = {"valkey": ("redis", "memcached"), "batch": (), "nginx": ("nginx",)}


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Two known services; valkey looks like its relative redis, batch like nothing."""
    rng = np.random.default_rng(1)
    parts = []
    for service, like, novelty, confidence in (
        ("redis", "redis", rng.uniform(0, 1, 30), 0.9),
        ("nginx", "nginx", rng.uniform(0, 1, 30), 0.9),
        ("valkey", "redis", rng.uniform(0.5, 1, 10), 0.8),
        ("batch", "nginx", rng.uniform(0.99, 1, 10), 0.2),
    ):
        order = ("redis", "nginx") if like == "redis" else ("nginx", "redis")
        similar = tuple((name, 0.5 - 0.1 * place) for place, name in enumerate(order))
        own = pd.DataFrame({"novelty": novelty, "confidence": confidence, "service": service, "best_guess": like})
        own["unknown"] = service in ("valkey", "batch")
        parts.append(own.assign(similar=pd.Series([similar] * len(own), dtype=object)))
    made = pd.concat(parts, ignore_index=True)
    units = [f"{name}-{n}" for n, name in enumerate(made["service"])]
    return made.assign(unit=units, known=made["novelty"] <= 0.98, scenario="60 s")


@pytest.fixture(scope="module")
def decisions(predictions: pd.DataFrame) -> pd.DataFrame:
    return decisions_of(predictions, "60 s")


def test_scores_are_those_of_their_definitions(decisions: pd.DataFrame):
    found = separate(decisions)
    strange, novelty = decisions["strange"], decisions["novelty"]
    assert found.auroc.value == pytest.approx(roc_auc_score(strange, novelty))
    kept_to = np.sort(novelty[~strange])[56]  # 57 of 60 are 95 %
    assert found.fpr_at_95.value == pytest.approx((novelty[strange] <= kept_to).mean())
    assert found.known_kept.value == pytest.approx((novelty[~strange] <= 0.98).mean())
    assert found.unknown_caught.value == pytest.approx((novelty[strange] > 0.98).mean())
    assert (found.n_known, found.n_unknown) == (60, 20)
    for each in (found.auroc, found.fpr_at_95, found.known_kept, found.unknown_caught):
        assert each.low <= each.value <= each.high
        assert each.high - each.low < 0.6


def test_ties_count_half_and_a_rest_without_order_is_chance(decisions: pd.DataFrame):
    tied = decisions.assign(novelty=0.5)
    assert separate(tied).auroc.value == pytest.approx(0.5)
    doubt = separate(decisions, by=DOUBT)
    assert doubt.auroc.value == pytest.approx(roc_auc_score(decisions["strange"], 1 - decisions["confidence"]))
    assert np.isnan(doubt.known_kept.value)


def test_dealing_novelty_at_random_gives_chance_however_good_it_is(decisions: pd.DataFrame):
    perfect = decisions.assign(novelty=decisions["strange"] * 0.5 + np.linspace(0, 0.1, len(decisions)))
    assert separate(perfect).auroc.value == 1.0
    control = separate(perfect, by=RANDOM)
    assert control.auroc.value == pytest.approx(0.5, abs=0.02)
    assert control.auroc.low < 0.45 < 0.55 < control.auroc.high
    assert control.fpr_at_95.value > 0.9


def test_more_containers_of_the_same_deployments_make_no_interval_narrower(decisions: pd.DataFrame):
    thrice = pd.concat([decisions] * 3, ignore_index=True)
    once, more = separate(decisions), separate(thrice)
    assert more.auroc.value == pytest.approx(once.auroc.value)
    assert (more.auroc.low, more.auroc.high) == pytest.approx((once.auroc.low, once.auroc.high))
    assert more.n_unknown == once.n_unknown


def test_near_strangers_stand_apart_from_far_ones(predictions: pd.DataFrame, decisions: pd.DataFrame):
    assert near_services(decisions, RELATIVES) == {"valkey"}
    table = separation_table(predictions, ["60 s"], RELATIVES).set_index(["unknown", "by"])
    assert set(table.index) == {(ALL, NOVELTY), (ALL, DOUBT), (ALL, RANDOM), (NEAR, NOVELTY), (FAR, NOVELTY)}
    assert table.loc[(NEAR, NOVELTY), "auroc"] < table.loc[(ALL, NOVELTY), "auroc"] < table.loc[(FAR, NOVELTY), "auroc"]
    assert table["n_unknown"].to_dict()[FAR, NOVELTY] == 10
    none = separation_table(predictions, ["60 s"], {})
    assert set(none["unknown"]) == {ALL, FAR}


def test_each_unknown_service_is_told_of(decisions: pd.DataFrame):
    table = by_unknown_service(decisions, RELATIVES).set_index("service")
    assert list(table.index) == ["valkey", "batch"]
    assert table.loc["valkey", "near"] == "redis"
    assert table.loc["valkey", "taken_for"] == "redis"
    assert table.loc["batch", "caught"] == 1.0
    assert table.loc["batch", "caught_low"] < 0.8, "ten of ten is no proof"
    assert table.loc["batch", "near"] == ""
    assert by_unknown_service(decisions[~decisions["strange"]], RELATIVES).empty


def test_answering_fewer_is_wrong_less_often(decisions: pd.DataFrame):
    curve = risk_coverage(decisions, orders=[NOVELTY], points=8).set_index("coverage")
    assert curve.loc[1.0, "risk"] == pytest.approx(20 / 80)
    assert curve.loc[0.5, "risk"] < 0.15
    assert (curve["risk_low"] <= curve["risk"]).all()
    sure = risk_coverage(decisions, orders=[DOUBT], points=4).set_index("coverage")
    assert sure.loc[0.75, "risk"] == pytest.approx(0.0)


def test_the_most_similar_service_is_compared_with_the_relatives(decisions: pd.DataFrame):
    table = most_similar(decisions, RELATIVES).set_index("service")
    assert table.loc["valkey", "rank"] == 1
    assert table.loc["valkey", "most_similar"] == "redis 0.50, nginx 0.40"
    assert pd.isna(table.loc["batch", "rank"])
    hits = relative_hits(decisions, RELATIVES).set_index(["top", "of"])
    assert hits.loc[(1, "containers"), "hits"] == 1.0
    assert hits.loc[(1, "services"), "n"] == 1
    assert hits.loc[(1, "containers"), "chance"] == pytest.approx(0.5)
    assert hits.loc[(3, "containers"), "chance"] == 1.0
    assert relative_hits(decisions, {}).empty
