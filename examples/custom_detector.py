"""A detector of one's own: train it for each service, save it in a model, load the model, score a recording.

Others load the model once a package offers the entry point `podlab.detectors`, `quantile-band = "custom_detector"`.
"""

import sys
from pathlib import Path

import numpy as np

from podlab.data.recordings import read_recording
from podlab.detect import fit_library, register_detector
from podlab.detect.recording import score_recording
from podlab.model import bundle


class QuantileBand:
    def __init__(self, low=None, high=None):
        self.low, self.high = low, high

    def fit(self, X):  # normal rows of standardised signals
        return QuantileBand(*np.quantile(X, [0.005, 0.995], axis=0))

    def score_samples(self, X):  # lower for outliers
        return -np.maximum(self.low - X, X - self.high).clip(0).mean(axis=1)


register_detector("quantile-band", QuantileBand, to_arrays=vars, from_arrays=lambda arrays: QuantileBand(**arrays))

if __name__ == "__main__":
    recording, model, out = map(Path, sys.argv[1:])  # such as first.parquet data/models/default data/models/band
    library = fit_library(read_recording([recording]), make_estimators=lambda seed: [QuantileBand()])
    bundle.save(bundle.load(model).identifier, out, name="band", recordings=[recording], library=library)
    print(score_recording(read_recording([recording]), bundle.load(out).identifier, bundle.load(out).library).table)
