"""podlab: tells which service runs in a container from its monitoring metrics alone."""

__version__ = "0.1.0"
