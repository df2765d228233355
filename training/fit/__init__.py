"""The training loop: gradients, checkpoints, scores, and what it shows while it runs."""
