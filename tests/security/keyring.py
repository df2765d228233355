"""API keys for tests: a file of them, and their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from service.security.keys import Key, add_key, hash_of, new_token

CALLERS: Mapping[str, dict[str, Any]] = {
    "asker": {"scopes": ["infer"]},
    "other": {"scopes": ["infer"]},
    "keeper": {"scopes": ["infer", "admin"]},
    "admin": {"scopes": ["admin"]},
    "scraper": {"scopes": ["metrics"]},
    "slow": {"scopes": ["infer"], "requests_per_s": 0.01, "burst": 3},
    "narrow": {"scopes": ["infer"], "max_concurrent": 1},
}


class Keyring:
    """A file of keys.

    Args:
        path: Where it is made.
        callers: What each key is like, by its name.
    """

    def __init__(self, path: Path, callers: Mapping[str, dict[str, Any]] = CALLERS) -> None:
        self.path = path
        self.tokens: dict[str, str] = {}
        for name, about in callers.items():
            self.add(name, **about)

    def add(self, name: str, **about: Any) -> None:
        """One more."""
        token = self.tokens[name] = new_token()
        fields = {"name": name, "sha256": hash_of(token.encode()), **about}
        add_key(self.path, msgspec.convert(fields, Key))

    def of(self, name: str) -> dict[str, str]:
        """The header of who has this key."""
        return {"Authorization": f"Bearer {self.tokens[name]}"}
