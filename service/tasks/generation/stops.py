"""Where a text ends: strings that stop it, found in whatever pieces it comes."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Takes a text piece by piece, and lets out what can't be part of a string that stops it.

    The text ends before the first such string that is complete; of two that are complete with the
    same character, before the one that began first. How it is cut into pieces never matters.

    Args:
        stops: The strings, none of them empty.
    """

    __slots__ = ("_held", "_stops", "is_stopped")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.is_stopped = False
        """Whether the text has ended: what comes is not part of it."""

    def push(self, piece: str) -> str:
        """Take a piece; what of the text can be let out now."""
        if not self._stops:
            return piece
        out = ""
        for character in piece:
            if self.is_stopped:
                break
            self._held += character
            ended = [stop for stop in self._stops if self._held.endswith(stop)]
            if ended:
                self.is_stopped = True
                out += self._held[: len(self._held) - max(map(len, ended))]
                self._held = ""
            else:
                kept = self._begun()
                out += self._held[: len(self._held) - kept]
                self._held = self._held[len(self._held) - kept :]
        return out

    def flush(self) -> str:
        """The text has ended otherwise: what was held back of it."""
        held, self._held = self._held, ""
        return held

    def _begun(self) -> int:
        """How many of the last characters may be the beginning of a string that stops."""
        for start in range(len(self._held)):
            rest = self._held[start:]
            if any(stop.startswith(rest) for stop in self._stops):
                return len(rest)
        return 0


def cut(text: str, stops: Sequence[str]) -> str:
    """A whole text up to where it stops."""
    found = Stops(stops)
    return found.push(text) + found.flush()
