"""What may never come to an end, as reading from a network share that hangs, holds up nothing else.

It is done by threads beside the repository's: one of them, one thing after the other, as long as
all goes well; one that stands still is left to itself, and the next thing gets another.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from service.errors import DrainingError, StandsStillError
from service.reading import Wait, noted_in

T = TypeVar("T")
LOOK_S = 0.02
"""So often what takes longer is looked at; a stop, too, is heeded so soon."""


class Attempt:
    """Something that is done by a thread beside.

    Args:
        function: What is done.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.wait = Wait()
        self.done = threading.Event()
        self.began_s = time.monotonic()
        self.result: Any = None
        self.error: BaseException | None = None
        self._function = function

    def make(self) -> None:
        """Do it, in this thread."""
        try:
            with noted_in(self.wait):
                self.result = self._function()
        except BaseException as error:  # noqa: BLE001 - told to who waits
            self.error = error
        finally:
            self.done.set()


class Left(NamedTuple):
    """An attempt that was left to itself."""

    what: str
    """It waits for, or did last."""
    seconds: float
    """Since it began."""


class Patience:
    """Waits for things while they come on, and no longer.

    Args:
        most_s: Something may stand still for so long.
        stops: Whether the server is stopping: then nothing is waited for.
        on_left: Told, by the thread that waits, that it leaves what stands still.
        on_over: Told, by the thread that was left, of whose attempt is over after all.
    """

    def __init__(
        self,
        most_s: float,
        stops: Callable[[], bool],
        on_left: Callable[[], None],
        on_over: Callable[[str], None],
    ) -> None:
        self._most_s = most_s
        self._stops = stops
        self._on_left = on_left
        self._on_over = on_over
        self._lock = threading.Lock()
        self._left: dict[str, Attempt] = {}
        self._idle: SimpleQueue[Attempt | None] | None = None
        self._threads: set[threading.Thread] = set()

    def make(self, whose: str, function: Callable[[], T]) -> T:
        """What a function gives, which may raise what it likes.

        Args:
            whose: A model's name, or empty for the repository. While what was done for it stands
                still, nothing else is done for it.
            function: Goes on after it was left.

        Raises:
            StandsStillError: It stands still, or what was done before for the same does.
            DrainingError: The server stops.
        """
        if fault := self.fault(whose):
            raise fault
        attempt = Attempt(function)
        self._queue().put(attempt)
        while not attempt.done.wait(LOOK_S):
            if self._stops():
                raise DrainingError("the server is stopping")
            if attempt.wait.standing_s >= self._most_s and self._leave(whose, attempt):
                raise _fault(attempt)
        try:
            if attempt.error is not None:
                raise attempt.error
            return attempt.result  # type: ignore[no-any-return]
        finally:
            del attempt  # an error's traceback leads here: no cycle is to be left

    def fault(self, whose: str) -> StandsStillError | None:
        """Why nothing can be done for this now, if so."""
        with self._lock:
            attempt = self._left.get(whose)
        return None if attempt is None else _fault(attempt)

    def left(self) -> dict[str, Left]:
        """What stands still, or did and goes on: by whose it is."""
        with self._lock:
            left = dict(self._left)
        now_s = time.monotonic()
        return {whose: Left(it.wait.last, now_s - it.began_s) for whose, it in left.items()}

    def close(self, patience_s: float) -> bool:
        """Have the threads end; whether they have, within this time."""
        with self._lock:
            if self._idle is not None:
                self._idle.put(None)
                self._idle = None
            threads = list(self._threads)
        for thread in threads:
            thread.join(None if math.isinf(patience_s) else patience_s / len(threads))
        return not any(thread.is_alive() for thread in threads)

    def _queue(self) -> SimpleQueue[Attempt | None]:
        with self._lock:
            if self._idle is None:
                self._idle = SimpleQueue()
                thread = threading.Thread(
                    target=self._work, args=(self._idle,), name="reader", daemon=True
                )
                self._threads.add(thread)
                thread.start()
            return self._idle

    def _leave(self, whose: str, attempt: Attempt) -> bool:
        """Leave an attempt, and its thread; not if it is done by now."""
        with self._lock:
            if attempt.done.is_set():
                return False
            self._left[whose] = attempt
            assert self._idle is not None, "its thread's"
            self._idle.put(None)
            self._idle = None
        self._on_left()
        return True

    def _work(self, queue: SimpleQueue[Attempt | None]) -> None:
        while (attempt := queue.get()) is not None:
            attempt.make()
            with self._lock:
                over = next((whose for whose, it in self._left.items() if it is attempt), None)
                if over is not None:
                    del self._left[over]
            if over is not None:
                self._on_over(over)
            del attempt
        with self._lock:
            self._threads.discard(threading.current_thread())


def _fault(attempt: Attempt) -> StandsStillError:
    return StandsStillError(attempt.wait.last)
