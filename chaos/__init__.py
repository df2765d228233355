"""Faults against real servers under real load: `python -m chaos`; each scenario is a file."""
