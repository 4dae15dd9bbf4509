"""Anomaly detectors, and the library of them by service.

A detector is learned from normal rows of many deployments of a service, and is reused on a new container from its
first sample on: scale, ranks and threshold are the donor's; only the container's own usual is learned as it goes, from
all of its first minute, and from then on never from rows that are held to be strange.

Any detector that scikit-learn or pyod would understand can take part: give :func:`fit_library` a ``make_parts`` that
makes some.
"""

from podlab.detect.detector import Detector, default_parts
from podlab.detect.donors import donors_of, donors_of_decision
from podlab.detect.library import Library, fit_library
from podlab.detect.scorer import Scored, Scorer
from podlab.detect.signals import SIGNALS

__all__ = [
    "SIGNALS", "Detector", "Library", "Scored", "Scorer", "default_parts", "donors_of", "donors_of_decision",
    "fit_library",
]  # fmt: skip
