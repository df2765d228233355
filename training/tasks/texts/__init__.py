"""Classification of texts: one label for a text, read as characters."""
