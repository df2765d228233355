"""Graphs of any tool, served without a bundle."""
