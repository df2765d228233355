"""Sequences of features with a label each: sets and formats."""
