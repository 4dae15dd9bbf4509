"""A model on disk: a folder that is checked before it is loaded."""
