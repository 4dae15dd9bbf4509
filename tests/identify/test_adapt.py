"""A model adapted to a few own containers: it knows new services, keeps the old ones, and is saved like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

from podlab.data.recordings import load
from podlab.errors import InputError
from podlab.evaluation.dataset import thin_deployments
from podlab.evaluation.metrics import macro_f1
from podlab.evaluation.shift import BASE, BOTH, OWN, compare_own_labels
from podlab.identify import Identifier, fit
from podlab.model import bundle
from tests.identify.conftest import hits
from tests.support.synthetic import make_samples

KNOWN_AND_NEW = ("mysql", "nginx", "postgres", "redis")


@pytest.fixture(scope="module")
def own() -> pd.DataFrame:
    return make_samples(KNOWN_AND_NEW, deployments_per_service=2, seconds=100, seed=11)


@pytest.fixture(scope="module")
def adapted(identifier: Identifier, own: pd.DataFrame) -> Identifier:
    return identifier.adapt(own)


@pytest.fixture(scope="module")
def later() -> pd.DataFrame:
    return make_samples(KNOWN_AND_NEW, deployments_per_service=4, seconds=100, seed=12)


def test_a_new_service_is_known_after_two_labels(
    identifier: Identifier, adapted: Identifier, later: pd.DataFrame
) -> None:
    assert adapted.services == KNOWN_AND_NEW
    new = later[later["service"] == "postgres"]
    assert hits(identifier.identify(new), new) == 0
    assert hits(adapted.identify(new), new) == 1
    assert hits(adapted.identify(later), later) >= 0.9


def test_the_base_stays_as_it_was(identifier: Identifier, adapted: Identifier, others: pd.DataFrame) -> None:
    assert identifier.services == ("mysql", "nginx", "redis")
    before = identifier.predict_proba(others)
    again = identifier.adapt(others)
    pd.testing.assert_frame_equal(identifier.predict_proba(others), before)
    assert list(again.predict_proba(others)) == ["mysql", "nginx", "redis"]


def test_one_container_is_enough(identifier: Identifier, later: pd.DataFrame) -> None:
    new = later[later["service"] == "postgres"]
    first = new["deployment"].iloc[0]
    adapted = identifier.adapt(new[new["deployment"] == first].reset_index(drop=True))
    rest = new[new["deployment"] != first].reset_index(drop=True)
    assert [next(iter(each.candidates)) for each in adapted.identify(rest)] == ["postgres"] * 3


def test_windows_that_own_containers_do_not_show_are_those_of_the_base(
    identifier: Identifier, own: pd.DataFrame, others: pd.DataFrame
) -> None:
    started_s = (own["time"] - own["started_at"]).dt.total_seconds()
    late = own[(started_s > 40) & own["service"].ne("postgres")].reset_index(drop=True)
    adapted = identifier.adapt(late)
    young = identifier.predict_proba(others, horizon_s=10)
    pd.testing.assert_frame_equal(adapted.predict_proba(others, horizon_s=10), young)


def test_it_is_saved_with_its_base_and_answers_the_same(
    identifier: Identifier, adapted: Identifier, later: pd.DataFrame, tmp_path: Path
) -> None:
    recording = tmp_path / "first.parquet"
    recording.write_bytes(b"samples")
    base = bundle.save(identifier, tmp_path / "base", name="base", recordings=[recording])
    info = bundle.save(adapted, tmp_path / "mine", name="mine", base=base)
    assert info.manifest["base"]["name"] == "base"
    assert info.manifest["base"]["sha256"] == base.digest
    assert info.manifest["base"]["recordings"] == base.manifest["recordings"]
    assert f"Adapted to them from the model base, digest `{base.digest}`" in info.card
    loaded = bundle.load(tmp_path / "mine").identifier
    pd.testing.assert_frame_equal(loaded.predict_proba(later), adapted.predict_proba(later))
    assert "base" not in base.manifest


def test_a_saved_model_is_adapted_like_the_one_in_memory(
    identifier: Identifier, adapted: Identifier, own: pd.DataFrame, later: pd.DataFrame, tmp_path: Path
) -> None:
    bundle.save(identifier, tmp_path / "base", name="base")
    again = bundle.load(tmp_path / "base").identifier.adapt(own)
    pd.testing.assert_frame_equal(again.predict_proba(later), adapted.predict_proba(later))


def test_mistakes_are_named(identifier: Identifier, training: pd.DataFrame, own: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="not fitted yet"):
        Identifier().adapt(own)
    with pytest.raises(InputError, match="no container is labelled"):
        identifier.adapt(own.drop(columns="service"))
    with pytest.raises(InputError, match="none of the model's columns"):
        identifier.adapt(own.drop(columns=list(identifier.columns)))
    other = fit(training, estimator=GaussianNB(), horizons_s=(10.0,), column_sets=False, jobs=1)
    with pytest.raises(InputError, match="only models of podlab's own forest can be adapted"):
        other.adapt(own)


def test_a_few_labels_beat_the_base_and_keep_up_with_own_labels_alone() -> None:
    services = ["apache", "memcached", "mysql", "nginx", "postgres", "redis"]
    first, second = load("first"), thin_deployments(load("second"), 8)
    base = fit(first[first["service"].isin(services[:5])], horizons_s=(30.0,), column_sets=False, jobs=1)
    own = second[second["service"].isin(services)].reset_index(drop=True)
    found = compare_own_labels(base, own, [2], horizons_s=[30.0], draws=2, jobs=1)
    scores = {name: macro_f1(each, "best_guess") for name, each in found.groupby("model")}
    assert scores[BOTH] > scores[BASE] + 0.05
    assert scores[BOTH] > scores[OWN] - 0.03, "no more behind than noise"
    assert len(set(found["service"])) == len(services)
    assert np.isfinite(list(scores.values())).all()
