"""Evaluation: splits by deployment, one cross-validation, scores with intervals, baselines and controls."""

from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate, probabilities
from podlab.evaluation.metrics import Scores, score, score_predictions
from podlab.evaluation.shift import tabulate_conditions
from podlab.evaluation.splits import plan_splits
from podlab.evaluation.summary import HORIZONS_S, describe_evaluation, evaluate

__all__ = [
    "HORIZONS_S",
    "FeatureClassifier",
    "Scores",
    "cross_validate",
    "describe_evaluation",
    "evaluate",
    "plan_splits",
    "probabilities",
    "score",
    "score_predictions",
    "tabulate_conditions",
]
