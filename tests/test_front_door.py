"""The front door: every name leads somewhere, and nothing is imported before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import podlab
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.errors import InputError
from podlab.features.features import remove_feature
from podlab.identify.explain import explain
from tests.support.synthetic import make_samples


def test_every_name_leads_somewhere_and_is_offered_by_tab() -> None:
    for name in podlab.__all__:
        assert getattr(podlab, name) is not None
    assert dir(podlab) == sorted(podlab.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        podlab.nothing  # noqa: B018


def test_importing_it_imports_no_data_library() -> None:
    code = "import podlab, sys; print({'numpy', 'pandas', 'pyarrow', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_identifier_is_an_estimator_like_those_of_scikit_learn() -> None:
    made = podlab.Identifier(LogisticRegression(C=2.0), horizons_s=[10.0], seed=3)
    again = clone(made)
    assert repr(again) == repr(made) == "Identifier(estimator=LogisticRegression(C=2.0), horizons_s=[10.0], seed=3)"
    assert again.set_params(seed=4).get_params()["seed"] == again.seed == 4
    with pytest.raises(InputError, match="not fitted yet; call fit"):
        made.predict(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=12))


def test_labels_and_probabilities_are_tables() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=12)
    labels = samples["service"].map({"nginx": "web", "redis": "cache"})
    identifier = podlab.Identifier(LogisticRegression(), jobs=1).fit(samples.drop(columns="service"), labels)
    truth = samples.assign(label=labels).groupby(["namespace", "pod", "container"], sort=False)["label"].first()
    probability = identifier.predict_proba(samples)
    assert probability.index.equals(truth.index)
    assert probability.idxmax(axis=1).tolist() == truth.tolist()
    table = identifier.predict(samples, horizon_s=10.0)
    assert list(table.filter(like="p_")) == ["p_cache", "p_web"]
    np.testing.assert_allclose(table.filter(like="p_").sum(axis=1), 1.0)
    assert identifier.predict(samples[["cluster", "namespace", "pod", "pod_uid", "container", "time"]]).empty


def test_a_feature_is_registered_by_name_and_belongs_to_the_models_fitted_with_it() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=12)
    before = podlab.Identifier(jobs=1).fit(samples)

    @podlab.feature("swing")
    def swing(cells: np.ndarray) -> np.ndarray:
        return np.asarray(cells.max(axis=1) - cells.min(axis=1))

    try:
        windows = podlab.make_windows(samples.assign(io_read_bytes=np.nan), horizon_s=10)
        features = podlab.extract_features(windows)
        at = windows.series.index("memory_rss_bytes")
        np.testing.assert_array_equal(features["memory_rss_bytes.swing"], np.ptp(windows.cells[:, at], axis=1))
        assert features["io_read_bytes.swing"].isna().all()
        after = podlab.Identifier(jobs=1).fit(samples)
        assert [name for name in after.features if name not in before.features] == [
            f"{name}.swing" for name in windows.series
        ]
    finally:
        remove_feature("swing")
    assert len(before.identify(samples)) == 4
    with pytest.raises(InputError, match=r"\.swing: there is no such feature; register it"):
        after.identify(samples)
    with pytest.raises(InputError, match="'mean' is not a valid name for a feature"):
        podlab.feature("mean")


def test_any_metric_of_the_catalogue_can_be_learned_from(tmp_path: Path) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=12, columns=MEASURED_METRICS)
    columns = ["memory_rss_bytes", *(name for name in MEASURED_METRICS if CATALOGUE[name].family == "processes")]
    identifier = podlab.Identifier(columns=columns, jobs=1).fit(samples)
    assert sorted(identifier.columns) == sorted(columns)
    found = identifier.identify(samples)
    assert set(found[0].columns) == set(columns)
    podlab.save_model(identifier, tmp_path / "model", name="processes")
    again = podlab.load_model(tmp_path / "model").identifier.identify(samples)
    assert [each.candidates for each in again] == [each.candidates for each in found]
    [explanation] = explain(identifier, samples.head(12), identifier.identify(samples.head(12)))
    assert explanation is not None
    assert {each.metric for each in explanation.evidence} == set(columns)
    assert explanation.words()
