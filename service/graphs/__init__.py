"""Graphs in onnxruntime, and whether company changes what they answer."""
