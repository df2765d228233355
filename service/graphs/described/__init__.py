"""A graph that a few lines of `model.json` make a sequence model."""
