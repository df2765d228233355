"""One file a task: user input to tensors, logits to labels. NumPy only; shared with training."""
