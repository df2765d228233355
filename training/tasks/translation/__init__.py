"""Sequence to sequence, by encoder-decoders with attention."""
