"""The HTTP side, one file a protocol.

`context.py` wraps every request, `calls.py` takes one through the engine, `bodies.py` reads bodies,
`tensors.py` turns JSON into arrays; `predict.py` and `v2.py` are the protocols, `health.py` what
orchestrators and Prometheus ask, `documents.py` the examples of the OpenAPI document.
"""
