"""Servers that are measured: started, stopped, paused, asked."""
