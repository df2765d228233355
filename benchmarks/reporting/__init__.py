"""What was measured as tables, targets and a picture."""
