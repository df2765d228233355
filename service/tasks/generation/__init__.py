"""Generation: texts that go on from a prompt, whole or as they come."""
