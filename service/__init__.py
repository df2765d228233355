"""The runtime: FastAPI and onnxruntime. Imports neither torch nor what trains its models."""

import os

# onnxruntime reports to its maker from the moment it is imported, before any call can stop it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
