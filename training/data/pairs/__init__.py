"""Pairs of a source and what it becomes."""
