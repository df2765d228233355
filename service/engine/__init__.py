"""The engine: who is let in, until when, and the threads that run what the schedulers choose."""
