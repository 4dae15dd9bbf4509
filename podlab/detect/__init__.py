"""Anomaly detectors, and the library of them by service.

A detector is trained on normal rows of many deployments, and on synthetic faults in them, and watches a new container
from its first sample on: scaler, reference distributions and threshold come from training; only the baseline of the
container is learned on the fly, from all of its first minute, and after that never from rows that look anomalous.

Any outlier detector of scikit-learn's or pyod's kind can take part: give :func:`fit_library` a ``make_estimators``, and
make its class storable with :func:`register_detector`.
"""

from podlab.detect.components import register_detector
from podlab.detect.detector import Detector, default_estimators
from podlab.detect.discriminative import FaultDetector
from podlab.detect.library import DetectorLibrary, fit_library
from podlab.detect.scoring import Scorer, StepScores, source_detectors, source_detectors_of_decision
from podlab.detect.signals import SIGNALS

__all__ = [
    "SIGNALS", "Detector", "DetectorLibrary", "FaultDetector", "Scorer", "StepScores", "default_estimators",
    "fit_library", "register_detector", "source_detectors", "source_detectors_of_decision",
]  # fmt: skip
