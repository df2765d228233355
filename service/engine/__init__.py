"""The engine: graphs, the schedulers that batch their cells, the threads that run them.

A request is a `Job` of sequences. Its model's scheduler (`cells.py` or `sequences.py`) picks what
runs next; `engine.py`'s threads run it and hand the answers back to the event loop.
"""
