"""Bytes of requests to arrays: JSON and binary tensors, checked, with the wrong field named."""
