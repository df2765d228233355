"""The models once more, written from their equations in NumPy float64: one sequence at a time.

Nothing here knows of batches, padding or masks, so that what the models do about them is tested
against something that cannot be wrong in the same way.
"""
