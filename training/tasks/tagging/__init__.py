"""Tagging: a label for each word, with spans where the labels mark any."""
