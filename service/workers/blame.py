"""Which models take workers down: those of which dead workers were making a run."""

from __future__ import annotations

from collections.abc import Iterable

from service.engine.board import Running
from service.engine.quarantine import LONGEST_S

WINDOW_S = 60.0
DEATHS = 2


class Blame:
    """Says when a model is to be left alone; all times are by the monotonic clock.

    With several engine threads more than one model may have been running. Each is blamed: that
    another one is left alone for a while, too, is better than that the next worker dies.

    Args:
        first_s: How long at first; each time twice as long, up to an hour.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._died_s: dict[Running, list[float]] = {}
        self._times: dict[Running, int] = {}
        self._until_s: dict[Running, float] = {}

    def died(self, running: Iterable[Running], now_s: float) -> dict[Running, float]:
        """A worker died while it ran these; those to be left alone from now on, for how long."""
        found = {}
        for model in running:
            recent = [at for at in self._died_s.get(model, []) if now_s - at <= WINDOW_S]
            self._died_s[model] = [*recent, now_s]
            if len(self._died_s[model]) >= DEATHS:
                del self._died_s[model]
                times = self._times[model] = self._times.get(model, 0) + 1
                found[model] = min(self._first_s * 2.0 ** (times - 1), LONGEST_S)
                self._until_s[model] = now_s + found[model]
        return found

    def left(self, now_s: float) -> dict[Running, float]:
        """Those that are left alone now, and for how long yet."""
        return {model: at - now_s for model, at in self._until_s.items() if at > now_s}
