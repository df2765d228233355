"""Telling of tokens on the event loop as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import structlog

from service import native
from service.schedulers.job import Job

log = structlog.get_logger(__name__)


class Token(NamedTuple):
    """A token that somebody is to be told of."""

    job: native.Job
    stream: Callable[[int, float], None]
    token: int
    logprob: float


class News:
    """Tokens that computing threads note, and the event loop tells of: all of a run at once."""

    def __init__(self) -> None:
        self._tokens: deque[Token] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def before(self, on_done: Callable[[Job], None]) -> Callable[[Job], None]:
        """The same, but that all tokens are told of first; to be called on the event loop."""
        self._loop = asyncio.get_running_loop()

        def told(job: Job) -> None:
            self._tell()
            on_done(job)

        return told

    def note(self, token: Token) -> None:
        """Have somebody told of a token, once it is posted."""
        self._tokens.append(token)

    def post(self) -> None:
        """Have the event loop tell of what was noted."""
        if not self._tokens or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._tokens.clear()

    def _tell(self) -> None:
        while self._tokens:
            job, stream, token, logprob = self._tokens.popleft()
            if job.gone:
                continue
            try:
                stream(token, logprob)
            except Exception:
                log.exception("a caller failed on a token")
