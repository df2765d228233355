"""A model's costs, its scheduler, and requests as the engine has them; `native/schedule/` chooses.

`cost.py` measures what runs take, `scheduler.py` runs what was chosen. A request is a `Job` of
sequences (`job.py`), a `native.Run` some of them.
"""
