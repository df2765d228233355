"""The HTTP side, one file a protocol.

`exchange.py` is a request's head and its answer, whichever way they travel: `routes.py` over ASGI,
or `service/lane/`. `calls.py` takes one through the engine, `service/codec/` turns bodies into
arrays, `results.py` and `answers.py` arrays into bodies. `v2.py` and `predict.py` are the
protocols, `health.py` what orchestrators and Prometheus ask, `context.py` wraps every ASGI request,
`documents.py` has the examples of the OpenAPI document.
"""
