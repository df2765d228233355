"""What makes sequences step by step: encoder-decoders, and the causal Transformer."""
