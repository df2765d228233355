"""Ctrl-C and SIGTERM end a command at once, with one line and the shell's usual exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends what runs just as Ctrl-C does."""


@contextmanager
def ended_by_signals(advice: str) -> Iterator[None]:
    """Let a signal end what runs here. Checkpoints are whole or absent, so none is lost.

    Args:
        advice: What to do next, for the line that is printed; empty if there is nothing.
    Raises:
        SystemExit: A signal came: 128 and its number, so 130 for Ctrl-C.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if os.environ.get("RANK", "0") == "0":  # one line for all processes of `accelerate launch`
            print(f"stopped{': ' if advice else ''}{advice}", file=sys.stderr, flush=True)
        number = signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT
        sys.exit(128 + number)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
