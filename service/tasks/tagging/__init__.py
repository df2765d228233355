"""Tagging: one label a word, decoded with what the tags allow, and the spans that tags mark."""
