"""Sequence to sequence: texts in one writing to texts in another."""
