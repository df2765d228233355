"""Speech to text: connected digits, by CTC."""
