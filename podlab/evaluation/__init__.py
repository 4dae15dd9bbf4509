"""Evaluation: splits by deployment, one cross-validation, scores with intervals, baselines and controls."""

from podlab.evaluation.benchmark import Benchmark, run_benchmark
from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate, probabilities
from podlab.evaluation.leakage import leak_table, row_curve
from podlab.evaluation.metrics import Scores, score, score_predictions
from podlab.evaluation.shift import Conditions, score_conditions
from podlab.evaluation.splits import plan_splits, thin_training
from podlab.evaluation.summary import HORIZONS_S, Evaluation, evaluate

__all__ = [
    "HORIZONS_S",
    "Benchmark",
    "Conditions",
    "Evaluation",
    "FeatureClassifier",
    "Scores",
    "cross_validate",
    "evaluate",
    "leak_table",
    "plan_splits",
    "probabilities",
    "row_curve",
    "run_benchmark",
    "score",
    "score_conditions",
    "score_predictions",
    "thin_training",
]
