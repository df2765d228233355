"""The HTTP side, one file a protocol.

`routes.py` brings a request to its handler over ASGI, `service/calls/` takes it through the engine,
`service/codec/` turns bodies into arrays, `answers.py` arrays into bodies. `v2.py` and `predict.py`
are the protocols, `extensions/` what the Open Inference Protocol has beside inference,
`repository.py` loads and unloads models, `health.py` is what orchestrators and Prometheus ask,
`metadata.py` what is said of models over any protocol, `context.py` wraps every ASGI request. The
OpenAPI document is built of `schemas.py`; `documents.py` has its examples.
"""
