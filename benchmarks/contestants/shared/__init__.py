"""What the servers of the peers have in common."""
