"""What a request costs and how long it waits, and so the cores for 10^4 to 10^6 a second."""
