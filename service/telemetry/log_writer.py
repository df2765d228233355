"""Writes the log while nobody waits for it: who reads it may be slow, or may read no more.

What does not fit is dropped, and so is what comes too often, so that no client fills the log. Both
are counted, and told in the log itself.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque

import structlog

from service.telemetry.audit import LOGGER as AUDIT

log = structlog.get_logger(__name__)

MAX_HELD_BYTES = 1 << 20
MAX_HELD_WITH_AUDIT_BYTES = 2 << 20
"""Beside all others' lines there is room for those of changes that were made."""
PIECE_BYTES = 4_096
"""Of a write to a pipe, which then no other process's comes between."""
FLUSH_S = 1.0
"""For what is held when the process ends."""
TELL_S = 1.0
BURST, PER_S = 100, 10.0
"""Warnings and errors of one kind at a time, and in the long run."""
MAX_KINDS = 256


class LogWriter(logging.Handler):
    """Hands lines to a thread that writes them.

    Args:
        descriptor: Of the file or pipe.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.dropped = {"full": 0, "often": 0}
        """Lines, by why."""
        self._num_told = 0
        self._told_s = 0.0
        self._descriptor = descriptor
        self._seldom = Seldom()
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0  # with what is being written
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        if record.levelno >= logging.WARNING and not self._seldom.takes(record):
            self.dropped["often"] += 1
            return
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        is_own = threading.get_ident() == self._thread.ident  # which tells what is missing
        is_change = record.name == AUDIT and record.levelno < logging.WARNING
        most = MAX_HELD_WITH_AUDIT_BYTES if is_change else MAX_HELD_BYTES
        with self._news:
            if self._held_bytes + len(line) > most and not is_own:
                self.dropped["full"] += 1
                return
            if self._thread.ident is None:
                self._thread.start()
            self._held_bytes += len(line)
            self._lines.append(line)
            if len(self._lines) == 1:
                self._news.notify_all()

    def flush(self) -> None:
        """Wait until all is written, for a short while at most."""
        with self._news:
            self._news.wait_for(lambda: not self._held_bytes, FLUSH_S)

    def _run(self) -> None:
        while True:
            with self._news:
                wait_s = None if self._num_missing == 0 else TELL_S
                self._news.wait_for(lambda: self._lines, wait_s)
                piece, num_lines = self._take()
            if not self._write(piece):
                self.dropped["full"] += num_lines
            with self._news:
                self._held_bytes -= len(piece)
                self._news.notify_all()
            self._tell_missing()

    def _take(self) -> tuple[bytes, int]:
        """Lines that fit into one write, or one that is longer; and how many."""
        taken: list[bytes] = []
        num_bytes = 0
        while self._lines and (not taken or num_bytes + len(self._lines[0]) <= PIECE_BYTES):
            taken.append(self._lines.popleft())
            num_bytes += len(taken[-1])
        return b"".join(taken), len(taken)

    def _write(self, piece: bytes) -> bool:
        """Write lines, however long that takes; whether there is still a reader."""
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # whoever made the pipe has it so
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True

    @property
    def _num_missing(self) -> int:
        return sum(self.dropped.values()) - self._num_told

    def _tell_missing(self) -> None:
        """Say how many lines are missing, now that there is room; not with every line."""
        missing, now_s = self._num_missing, time.monotonic()
        if missing and now_s >= self._told_s + TELL_S:
            self._num_told += missing
            self._told_s = now_s
            log.warning("log lines dropped", dropped=missing)


class Seldom:
    """Lets so many lines of a kind through, and the more the longer none came."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, object], tuple[float, float]] = {}  # what is left, and when

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether this one is let through."""
        message = record.msg
        kind = record.name, message.get("event") if isinstance(message, dict) else str(message)
        if len(self._kinds) >= MAX_KINDS and kind not in self._kinds:
            self._kinds.clear()
        now_s = time.monotonic()
        left, at_s = self._kinds.get(kind, (float(BURST), now_s))
        left = min(left + PER_S * (now_s - at_s), float(BURST))
        self._kinds[kind] = max(left - 1.0, 0.0) if left >= 1.0 else left, now_s
        return left >= 1.0
