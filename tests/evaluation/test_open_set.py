"""Open-set scores on made-up predictions of which the right scores are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from podlab.evaluation.open_set import (
    ALL,
    DOUBT,
    FAR,
    NEAR,
    NOVELTY,
    RANDOM,
    describe_unknown,
    known_relatives,
    open_set_table,
    relative_hits,
    risk_coverage,
    score_open_set,
)

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


def test_scores_are_those_of_their_definitions(predictions: pd.DataFrame):
    found = score_open_set(predictions)
    unknown, novelty = predictions["unknown"], predictions["novelty"]
    assert found["auroc"] == pytest.approx(roc_auc_score(unknown, novelty))
    kept_to = np.sort(novelty[~unknown])[56]  # 57 of 60 are 95 %
    assert found["fpr_at_95"] == pytest.approx((novelty[unknown] <= kept_to).mean())
    assert found["known_accepted"] == pytest.approx((novelty[~unknown] <= 0.98).mean())
    assert found["unknown_rejected"] == pytest.approx((novelty[unknown] > 0.98).mean())
    assert (found["n_known"], found["n_unknown"]) == (60, 20)
    for name in ("auroc", "fpr_at_95", "known_accepted", "unknown_rejected"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
        assert found[f"{name}_high"] - found[f"{name}_low"] < 0.6


def test_ties_count_half_and_a_rest_without_order_is_chance(predictions: pd.DataFrame):
    tied = predictions.assign(novelty=0.5)
    assert score_open_set(tied)["auroc"] == pytest.approx(0.5)
    doubt = score_open_set(predictions, by=DOUBT)
    assert doubt["auroc"] == pytest.approx(roc_auc_score(predictions["unknown"], 1 - predictions["confidence"]))
    assert np.isnan(doubt["known_accepted"])


def test_dealing_novelty_at_random_gives_chance_however_good_it_is(predictions: pd.DataFrame):
    perfect = predictions.assign(novelty=predictions["unknown"] * 0.5 + np.linspace(0, 0.1, len(predictions)))
    assert score_open_set(perfect)["auroc"] == 1.0
    control = score_open_set(perfect, by=RANDOM)
    assert control["auroc"] == pytest.approx(0.5, abs=0.02)
    assert control["auroc_low"] < 0.45 < 0.55 < control["auroc_high"]
    assert control["fpr_at_95"] > 0.9


def test_more_containers_of_the_same_deployments_make_no_interval_narrower(predictions: pd.DataFrame):
    thrice = pd.concat([predictions] * 3, ignore_index=True)
    once, more = score_open_set(predictions), score_open_set(thrice)
    assert more["auroc"] == pytest.approx(once["auroc"])
    assert (more["auroc_low"], more["auroc_high"]) == pytest.approx((once["auroc_low"], once["auroc_high"]))
    assert more["n_unknown"] == once["n_unknown"]


def test_near_unknown_services_stand_apart_from_far_ones(predictions: pd.DataFrame):
    assert {name for name, known in known_relatives(predictions, RELATIVES).items() if known} == {"valkey"}
    table = open_set_table(predictions, RELATIVES).set_index(["unknown", "by"])
    assert set(table.index) == {(ALL, NOVELTY), (ALL, DOUBT), (ALL, RANDOM), (NEAR, NOVELTY), (FAR, NOVELTY)}
    assert table.loc[(NEAR, NOVELTY), "auroc"] < table.loc[(ALL, NOVELTY), "auroc"] < table.loc[(FAR, NOVELTY), "auroc"]
    assert table["n_unknown"].to_dict()[FAR, NOVELTY] == 10
    none = open_set_table(predictions, {})
    assert set(none["unknown"]) == {ALL, FAR}


def test_each_unknown_service_has_a_line(predictions: pd.DataFrame):
    table = describe_unknown(predictions, RELATIVES).set_index("service")
    assert list(table.index) == ["valkey", "batch"]
    assert table.loc["valkey", "relatives"] == "redis"
    assert table.loc["valkey", "taken_for"] == "redis"
    assert table.loc["batch", "rejected"] == 1.0
    assert table.loc["batch", "rejected_low"] < 0.8, "ten of ten is no proof"
    assert table.loc["batch", "relatives"] == ""
    assert describe_unknown(predictions[~predictions["unknown"]], RELATIVES).empty


def test_fewer_decisions_are_wrong_less_often(predictions: pd.DataFrame):
    curve = risk_coverage(predictions, orders=[NOVELTY], points=8).set_index("coverage")
    assert curve.loc[1.0, "risk"] == pytest.approx(20 / 80)
    assert curve.loc[0.5, "risk"] < 0.15
    assert (curve["risk_low"] <= curve["risk"]).all()
    sure = risk_coverage(predictions, orders=[DOUBT], points=4).set_index("coverage")
    assert sure.loc[0.75, "risk"] == pytest.approx(0.0)


def test_the_most_similar_service_is_compared_with_the_relatives(predictions: pd.DataFrame):
    table = describe_unknown(predictions, RELATIVES).set_index("service")
    assert table.loc["valkey", "rank"] == 1
    assert table.loc["valkey", "most_similar"] == "redis 0.50, nginx 0.40"
    assert pd.isna(table.loc["batch", "rank"])
    hits = relative_hits(predictions, RELATIVES).set_index(["top", "of"])
    assert hits.loc[(1, "containers"), "hits"] == 1.0
    assert hits.loc[(1, "services"), "n"] == 1
    assert hits.loc[(1, "containers"), "chance"] == pytest.approx(0.5)
    assert hits.loc[(3, "containers"), "chance"] == 1.0
    assert relative_hits(predictions, {}).empty
