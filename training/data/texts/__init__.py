"""Texts: with tags, with labels, or as they are."""
