"""A small model, fitted once."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.identify import Identifier, Prediction, fit
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis")


@pytest.fixture(scope="session")
def training() -> pd.DataFrame:
    """Three services, four deployments each, from their birth on."""
    return make_samples(SERVICES, deployments_per_service=4, seconds=100)


@pytest.fixture(scope="session")
def identifier(training: pd.DataFrame) -> Identifier:
    """A model of them: two start-up windows and the steady state."""
    return fit(training, horizons_s=(10.0, 30.0), jobs=1)


@pytest.fixture(scope="session")
def others() -> pd.DataFrame:
    """Other deployments of the same services."""
    return make_samples(SERVICES, deployments_per_service=3, seconds=100, seed=5)


def hits(answers: list[Prediction], samples: pd.DataFrame) -> float:
    """Part of the containers that got their own service."""
    truth = samples.drop_duplicates("pod").set_index("pod")["service"]
    return sum(answer.service == truth[answer.pod] for answer in answers) / len(truth)
