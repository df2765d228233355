"""The Open Inference Protocol held against its clients: real ones, and all that one could send."""
