"""Offline: data sets, the training loop, export with its gates, and the tables made of results."""
