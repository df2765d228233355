"""A request's way to its answer, whatever its protocol and however it travels.

`exchange.py` is its head and its answer, `asked.py` what a protocol makes of its body, `call.py`
its way, `infer.py` what tensors ask of a model, `shadow.py` what another version would have
answered, `services.py` what a server is made of.
"""
