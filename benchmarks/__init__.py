"""Measurements that anyone can run; what they wrote is in `results/`."""

import service  # noqa: F401 - first, since it switches onnxruntime's telemetry off
