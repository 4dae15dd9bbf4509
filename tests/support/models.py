"""A model that takes a moment to fit, for tests of everything around models."""

from __future__ import annotations

from functools import cache

from podlab.detect import DetectorLibrary, fit_library
from podlab.identify import Identifier, fit
from tests.support.synthetic import make_samples


@cache
def small_identifier() -> Identifier:
    """Two services, one look: fitted once in each test process."""
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=15)
    return fit(samples, jobs=1)


@cache
def small_library() -> DetectorLibrary:
    """Detectors of the same services."""
    library = fit_library(make_samples(("nginx", "redis"), deployments_per_service=6, seconds=150, interval_s=2.0))
    assert library is not None
    return library
