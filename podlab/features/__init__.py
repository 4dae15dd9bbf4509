"""Observation windows of samples, and features of windows."""
