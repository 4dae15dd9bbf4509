"""Which service runs in a container, how sure that is, and whether it is a service the model knows at all."""

from podlab.identify.answer import Answer
from podlab.identify.identifier import Identifier
from podlab.identify.table import FeatureTable, table
from podlab.identify.train import fit

__all__ = ["Answer", "FeatureTable", "Identifier", "fit", "table"]
