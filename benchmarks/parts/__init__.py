"""The parts of the comparison: what each measures, and how."""
