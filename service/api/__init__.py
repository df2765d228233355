"""The HTTP side, one file a protocol.

`exchange.py` is a request's head and its answer, whichever way they travel: `routes.py` over ASGI,
or `service/lane/`. `calls.py` takes one through the engine, `service/codec/` turns bodies into
arrays, `answers.py` arrays into bodies. `v2.py` and `predict.py` are the protocols, `extensions/`
what the Open Inference Protocol has beside inference, `health.py` what orchestrators and Prometheus
ask, `context.py` wraps every ASGI request, `services.py` is what a server is made of. The OpenAPI
document is built of `schemas.py`; `documents.py` has its examples.
"""
