"""Speech to text, by CTC."""
