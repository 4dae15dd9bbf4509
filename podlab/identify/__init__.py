"""Which service runs in a container, how sure that is, and whether it is a service the model knows at all."""

from podlab.features.features import FeatureTable, feature_table
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction
from podlab.identify.storage import register_classifier
from podlab.identify.training import fit

__all__ = ["FeatureTable", "Identifier", "Prediction", "feature_table", "fit", "register_classifier"]
