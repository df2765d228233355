"""Autoregressive decoding in plain NumPy: what is asked, sampling and beam search."""
