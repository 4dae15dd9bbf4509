"""A model that takes a moment to fit, for tests of everything around models."""

from __future__ import annotations

from functools import cache

from podlab.identify import Identifier, fit
from tests.support.synthetic import make_samples


@cache
def small_identifier() -> Identifier:
    """Two services, one look: fitted once in each test process."""
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=15)
    return fit(samples, jobs=1)
