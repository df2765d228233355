"""Offline: data sets, the training loop, export with its gates, and the tables made of results."""

import service  # noqa: F401 - first, since it switches onnxruntime's telemetry off
