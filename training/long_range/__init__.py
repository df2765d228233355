"""How far back each family can learn to look: the adding problem and copy memory.

`problems.py` makes them, `fit.py` learns them, `gradients.py` shows what comes back through time,
`report.py` writes it all down.
"""
