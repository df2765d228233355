"""Metrics by what they are of; `metrics.py` has them all."""
