"""Characters to tokens and back, by what a bundle declares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError, InvalidSequenceError


class Encoded(NamedTuple):
    """A text as tokens.

    Args:
        tokens: int64 (characters,).
        num_unknown: How many characters others took the place of.
    """

    tokens: NDArray[np.int64]
    num_unknown: int


class Vocabulary:
    """The characters that a model knows.

    Args:
        symbols: The character of each token.
        begin: The one that comes before every text.
        unknown: The one that takes the place of unknown ones; None: they are refused.
    Raises:
        BundleError: `begin` or `unknown` is not one of the symbols.
    """

    def __init__(self, symbols: list[str], begin: str, unknown: str | None) -> None:
        self.symbols = symbols
        self._tokens = {symbol: token for token, symbol in enumerate(symbols)}
        for name, symbol in (("begin", begin), ("unknown", unknown)):
            if symbol is not None and symbol not in self._tokens:
                raise BundleError(f"settings.{name} {symbol!r} is none of outputs.labels")
        self.begin = self._tokens[begin]
        self._unknown = None if unknown is None else self._tokens[unknown]

    def encode(self, text: str, field: str) -> Encoded:
        """A text's tokens, without the one that comes before.

        Args:
            text: The text.
            field: Where it is in the request.
        Raises:
            InvalidSequenceError: It has an unknown character, and such are refused.
        """
        known = self._tokens
        unknown = [symbol for symbol in text if symbol not in known]
        if unknown and self._unknown is None:
            at = text.index(unknown[0])
            raise InvalidSequenceError(
                f"{field} has {unknown[0]!r} at {at}, which the model does not know", field
            )
        tokens = [known.get(symbol, self._unknown) for symbol in text]
        return Encoded(np.array(tokens, dtype=np.int64), len(unknown))

    def decode(self, tokens: NDArray[np.int64]) -> str:
        """The text of tokens."""
        return "".join(self.symbols[token] for token in tokens.tolist())
