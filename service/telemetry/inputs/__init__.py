"""What models are given, beside what they learnt from: lengths, values, drift, what they answer."""
