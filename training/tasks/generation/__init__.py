"""Language models, character by character."""
