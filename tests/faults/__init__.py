"""One graph goes wrong: it hangs, or wants all memory."""
