"""The hot routes without ASGI, on uvicorn's own connections."""
