"""Classification of frames."""
