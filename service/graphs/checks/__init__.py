"""What graphs are tried with before they serve, and when two answers are the same."""
