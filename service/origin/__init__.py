"""Where bundles come from, and who vouches for them.

`sources.py` opens the repository that the settings name: a folder, or a URL (`remote.py`) with a
local copy of it (`mirror.py`). `signatures.py` says which bundles may serve.
"""
