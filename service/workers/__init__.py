"""Several processes that share one port, each an engine of its own, and the one that keeps them."""
