"""Transcription: what is said in a recording, in order, and when."""
