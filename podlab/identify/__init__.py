"""Which service runs in a container, how sure that is, and whether it is a service the model knows at all."""

from podlab.identify.identifier import Identifier, fit
from podlab.identify.label import choose_to_label
from podlab.identify.prediction import Prediction
from podlab.identify.storage import register_classifier

__all__ = ["Identifier", "Prediction", "choose_to_label", "fit", "register_classifier"]
