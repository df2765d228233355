"""Who may ask for what: API keys and their quotas, TLS, and the bounds of what a server holds.

`python -m service.security NAME` makes a key.
"""
