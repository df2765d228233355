"""Files as they are read: regular ones alone, and with a note of what this thread waits for.

Opening a named pipe waits for who writes into it, and a network share that hangs keeps who reads it
for ever. The first is refused; of the second, who waits for this thread sees what it stands at.
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
BLOCK_BYTES = 4 << 20


class Wait:
    """What a thread waits for, as other threads see it."""

    def __init__(self) -> None:
        self.last = ""
        """What it waits for, or did last: `reading model.onnx`."""
        self._since_s = math.inf

    @property
    def standing_s(self) -> float:
        """How long what it waits for has not come on; 0: it waits for nothing."""
        return max(time.monotonic() - self._since_s, 0.0)

    @contextmanager
    def on(self, what: str, may_take_s: float) -> Iterator[None]:
        """Within, it waits for that; `may_take_s` is how long that is nothing to wonder at."""
        last, since_s = self.last, self._since_s
        self.last = what
        self._since_s = time.monotonic() + may_take_s
        try:
            yield
        finally:
            if since_s < math.inf:  # what it is a part of has come on
                self.last = last
                since_s = max(since_s, time.monotonic())
            self._since_s = since_s


class _Here(threading.local):
    wait: Wait | None = None


_here = _Here()


@contextmanager
def noted_in(wait: Wait) -> Iterator[None]:
    """Within, what this thread waits for is noted there."""
    before, _here.wait = _here.wait, wait
    try:
        yield
    finally:
        _here.wait = before


@contextmanager
def waiting(what: str, may_take_s: float = 0.0) -> Iterator[None]:
    """Within, this thread waits for that: `looking at digits-lstm`."""
    with nullcontext() if _here.wait is None else _here.wait.on(what, may_take_s):
        yield


def within(most_s: float, function: Callable[[], T]) -> T:
    """What a function gives within this time; after that it goes on, by itself.

    Raises:
        TimeoutError: It took longer.
    """
    done: Future[T] = Future()

    def make() -> None:
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001 - told to who waits
            done.set_exception(error)

    threading.Thread(target=make, name="reader", daemon=True).start()
    return done.result(most_s)


def open_file(path: Path) -> io.FileIO:
    """A regular file, open for reading.

    Raises:
        OSError: It can't be opened, or is none: a pipe, a socket, a device, a folder.
    """
    with waiting(f"reading {path.name}"):
        return io.FileIO(path, "rb", opener=_open_regular)


def _open_regular(path: str, _: int) -> int:
    # without O_NONBLOCK, opening a pipe waits for its other end
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO
    raise OSError(number, os.strerror(number), os.fspath(path))


def read_regular(path: Path, most_bytes: int | None = None) -> bytes:
    """A regular file's content, or as much of its begin.

    Raises:
        OSError: As `open_file`, or it can't be read.
    """
    content = io.BytesIO()  # whose value is no copy
    with open_file(path) as file:
        while most_bytes is None or content.tell() < most_bytes:
            left = BLOCK_BYTES if most_bytes is None else most_bytes - content.tell()
            with waiting(f"reading {path.name}"):
                block = file.read(min(left, BLOCK_BYTES))
            if not block:
                break
            content.write(block)
    return content.getvalue()


def read_through(path: Path) -> None:
    """Have the system hold a file's content, for a library that reads it without a word.

    Raises:
        OSError: As `read_regular`.
    """
    with open_file(path) as file:
        block = bytearray(BLOCK_BYTES)
        size = 1
        while size:
            with waiting(f"reading {path.name}"):
                size = file.readinto(block)
