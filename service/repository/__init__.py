"""The models that serve, and how they change while they do.

`repository.py` is what requests ask. `keeper.py` makes its changes, one after the other, asked for
by `changes.py` or by what `watching.py` sees: an `update.py` loads what is to serve by the
`policy.py` of a model's `files.py` or `uploads.py`, by `loading.py`, and puts its `routes.py` into
the `catalog.py`. `served.py` is a model that answers.
"""
