"""What identification is worth: splits by deployment, scores with intervals, baselines, controls, curves, the leak."""

from podlab.evaluation.bakeoff import BakeOff, bake_off
from podlab.evaluation.conditions import Conditions, score_conditions
from podlab.evaluation.cross_validation import FeatureClassifier, IdentifierModel, cross_validate, probabilities
from podlab.evaluation.curves import deployment_curve, row_curve
from podlab.evaluation.honest import HORIZONS_S, evaluate
from podlab.evaluation.leak import leak_table
from podlab.evaluation.result import Evaluation
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.seldom import compare_seldom

__all__ = [
    "HORIZONS_S",
    "BakeOff",
    "Conditions",
    "Evaluation",
    "FeatureClassifier",
    "IdentifierModel",
    "Scores",
    "bake_off",
    "compare_seldom",
    "cross_validate",
    "deployment_curve",
    "evaluate",
    "leak_table",
    "probabilities",
    "row_curve",
    "score",
    "score_conditions",
]
