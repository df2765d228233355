"""What is told of the running server: metrics, logs, the lag of the event loop."""
