"""Changes of the models that all workers make: who wished each, and who still has to say so."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterable
from typing import Protocol

import msgspec
import structlog

from service.errors import ServiceError
from service.workers.channel import Change, Done, Wish, send_change, send_done

log = structlog.get_logger(__name__)


class Failure(msgspec.Struct):
    """A ServiceError, to be raised in another process."""

    status_code: int
    code: str
    message: str
    field: str


class RemoteError(ServiceError):
    """What a worker answered.

    Args:
        failure: Of it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, failure.field)
        self.status_code, self.code = failure.status_code, failure.code


def encode_failure(error: ServiceError) -> bytes:
    """A failure, as it travels; a long message is cut."""
    failure = Failure(error.status_code, error.code, error.message[:8_192], error.field[:1_024])
    return msgspec.msgpack.encode(failure)


def decode_failure(failure: bytes) -> RemoteError:
    """The error that a failure tells of."""
    return RemoteError(msgspec.msgpack.decode(failure, type=Failure))


class Member(Protocol):
    """A worker."""

    index: int
    channel: socket.socket


@dataclasses.dataclass
class Agreement:
    """One change.

    Args:
        model: Which it is of.
        descriptor: Of the file that says it.
        asker: Who wished it.
        wish: Its number among the asker's.
        waiting: Indexes of the workers that have not said how it went.
        failure: The first.
    """

    model: bytes
    descriptor: int
    asker: Member
    wish: int
    waiting: set[int]
    failure: bytes = b""


class Agreements:
    """All changes that were wished; used on the event loop alone."""

    def __init__(self) -> None:
        self._open: dict[int, Agreement] = {}
        self._kept: dict[bytes, int] = {}  # of each model, the file of the latest that all made
        self._last = 0

    def begin(self, asker: Member, wish: Wish, members: Iterable[Member]) -> None:
        """Have all workers make a change, in the order in which changes were wished."""
        self._last += 1
        members = list(members)
        waiting = {member.index for member in members}
        self._open[self._last] = Agreement(wish.model, wish.descriptor, asker, wish.number, waiting)
        for member in members:
            self._send(member, self._last, wish.descriptor)

    def done(self, index: int, done: Done) -> None:
        """A worker says how a change went."""
        agreement = self._open.get(done.number)
        if agreement is None:
            return
        agreement.waiting.discard(index)
        agreement.failure = agreement.failure or done.failure
        if not agreement.waiting:
            self._end(done.number)

    def lose(self, index: int) -> None:
        """A worker is gone: nobody waits for it, as the one in its place is told all."""
        for number in list(self._open):
            self.done(index, Done(number, b""))

    def tell(self, member: Member) -> None:
        """Have a worker that is new make all that the others made, and are making."""
        for descriptor in self._kept.values():
            self._send(member, 0, descriptor)
        for number, agreement in list(self._open.items()):
            agreement.waiting.add(member.index)
            self._send(member, number, agreement.descriptor)

    def _send(self, member: Member, number: int, descriptor: int) -> None:
        try:
            send_change(member.channel, Change(number, descriptor))
        except OSError as error:  # it is gone, or deaf
            log.error("worker not told of a change", worker=member.index, reason=str(error))
            failure = ServiceError(f"worker {member.index} could not be told")
            self.done(member.index, Done(number, encode_failure(failure)))

    def _end(self, number: int) -> None:
        agreement = self._open.pop(number)
        outdated = agreement.descriptor
        if not agreement.failure:
            outdated = self._kept.pop(agreement.model, -1)
            self._kept[agreement.model] = agreement.descriptor
        if outdated >= 0:
            os.close(outdated)
        with contextlib.suppress(OSError):  # the one that wished it is gone
            send_done(agreement.asker.channel, Done(agreement.wish, agreement.failure))
