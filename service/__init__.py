"""The runtime: FastAPI and onnxruntime. Imports neither torch nor what trains its models."""
