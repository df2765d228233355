"""Measurements that anyone can run; what they wrote is in `results/`."""
