"""What runs next, together with what: the schedulers that batch a model's sequences.

`cells.py` and `sequences.py` are the two, `scheduler.py` what they share, `cost.py` what they
decide by. A request is a `Job` of sequences (`job.py`), a run a `Batch` of them.
"""
