"""Who changed what: a line for each change of the models, the log and the traces that a caller
asked for, for each that was refused or denied, and for what the server read again by itself.

Lines of changes that were made are written whatever the log's level is, are never too many of a
kind, and have room of their own where nobody reads the log (`log_writer.py`). Attempts that came to
nothing are warnings like others: counted, but thinned out.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

import structlog

LOGGER = "service.audit"
MAX_CHARACTERS = 256  # of what a caller says

log = structlog.get_logger(LOGGER)

_wanted: ContextVar[dict[str, object] | None] = ContextVar("wanted_change", default=None)
"""Of the request that this task serves."""


class Caller(NamedTuple):
    """Who asked.

    Args:
        protocol: `HTTP` or `gRPC`.
        client: Its address and port, or that of the proxy before it.
        request_id: Of the request.
        key: The name of its API key; empty: none that is known; None: there are no keys.
    """

    protocol: str
    client: str
    request_id: str
    key: str | None = None

    def fields(self) -> dict[str, object]:
        """As a line has them."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def note_change(change: str, model: str = "", **about: object) -> None:
    """Note what the request that is being served wants to change, for the line at its end."""
    named = {"model": model[:MAX_CHARACTERS]} if model else {}
    _wanted.set({"change": change, **named, **about})


def begin_request() -> None:
    """Nothing is wanted yet of the request that this task serves from now on."""
    _wanted.set(None)


def tell_request(
    caller: Caller, path: str, status: int | str, is_done: bool, is_denied: bool
) -> None:
    """Tell of a request at its end, if it wanted a change or was denied one.

    Args:
        caller: Whose it was.
        path: Of it.
        status: Of its answer, in HTTP or gRPC.
        is_done: It was done.
        is_denied: It was not, as the caller may not do such things.
    """
    wanted = _wanted.get()
    if wanted is None and not is_denied:
        return
    about = {**(wanted or {}), "path": path[:MAX_CHARACTERS], "status": status, **caller.fields()}
    if is_done:
        log.info("change made", **about)
    else:
        log.warning("change denied" if is_denied else "change refused", **about)


def tell_change(event: str, **about: object) -> None:
    """Tell of a change that the server found by itself, as of a file."""
    log.info(event, **about)
