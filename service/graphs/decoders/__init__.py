"""Graphs that make texts, token by token."""
