"""Which service runs in a container, how sure that is, and whether it is a service the model knows at all."""

from podlab.identify.table import FeatureTable, table

__all__ = ["FeatureTable", "table"]
