"""Sequence classification: which of some labels a whole sequence has."""
