from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab import audit
from tests.support.synthetic import draw_design, make_samples

SETTINGS = audit.ForestSettings(folds=3, trees=20, jobs=1)


@pytest.fixture(scope="module")
def two_sites() -> pd.DataFrame:
    """At bravo, the network carries ten times as much; all else is alike."""
    samples, _ = draw_design(make_samples(deployments_per_service=8, seconds=30), sites=("alpha", "bravo"))
    factor = np.where(samples["site"] == "bravo", 10, 1)
    return samples.assign(rx_bytes=samples["rx_bytes"] * factor, tx_bytes=samples["tx_bytes"] * factor)


def test_the_family_that_gives_the_site_away_is_found(two_sites: pd.DataFrame) -> None:
    table = audit.separate_sites(two_sites, SETTINGS, length_s=12)
    assert list(table["window"].unique()) == ["first 10 s", "first 12 s", "12 s of steady state"]
    assert set(table["sites"]) == {2}
    first = table[table["window"] == "first 10 s"].set_index("features")
    assert first.loc["network", "auc"] > 0.9
    assert first.loc["memory", "low"] < 0.6
    assert ((table["low"] <= table["auc"]) & (table["auc"] <= table["high"])).all()


def test_fewer_deployments_of_each_service_can_do(two_sites: pd.DataFrame) -> None:
    table = audit.separate_sites(two_sites, SETTINGS, length_s=12, per_service=2)
    assert set(table["deployments"]) == {4 * 2 * 2}


def test_one_site_alone_cannot_be_separated(two_sites: pd.DataFrame) -> None:
    assert audit.separate_sites(two_sites[two_sites["site"] == "alpha"], SETTINGS).empty
    assert audit.separate_sites(two_sites.drop(columns="site"), SETTINGS).empty
