"""What every request passes, whatever its way in, where there are API keys."""

from __future__ import annotations

import hmac
import time
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from service.errors import ForbiddenError, QuotaExceededError, UnauthenticatedError
from service.reasons import why
from service.security.keys import Key, Scope, hash_of, read_keys
from service.security.quotas import Quota, Quotas
from service.telemetry.audit import tell_change
from service.telemetry.parts.keys import KeyMetrics

log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""So often the file is looked at, while requests come."""
ADMITTED = "admitted"
_caller: ContextVar[Key | None] = ContextVar("caller", default=None)
NOBODY = ""  # in the metrics: tokens that no key has must not become labels


class Credentials(NamedTuple):
    """Who a caller says to be: the values of two headers, each empty if there is none."""

    authorization: bytes = b""
    api_key: bytes = b""

    def token(self) -> bytes:
        """The one token that is given; empty if there is none.

        Raises:
            UnauthenticatedError: There are two.
        """
        scheme, _, rest = self.authorization.partition(b" ")
        bearer = rest.strip() if scheme.lower() == b"bearer" else b""
        api_key = self.api_key.strip()
        if bearer and api_key and bearer != api_key:
            raise UnauthenticatedError("Authorization and X-API-Key give two different tokens")
        return bearer or api_key


class Held(NamedTuple):
    """A key as it is held."""

    key: Key
    quota: Quota | None
    admitted: Counter
    """Of its requests; looked up once."""


class Permit:
    """A request's leave to go on; given back when the request is over.

    Args:
        quota: Of its key, if it has one.
    """

    def __init__(self, quota: Quota | None) -> None:
        self._quota = quota

    def __enter__(self) -> None:
        """The request goes on."""

    def __exit__(self, *_: object) -> None:
        """It is over."""
        self.release()

    def release(self) -> None:
        """The request is over; a second time does nothing."""
        quota, self._quota = self._quota, None
        if quota is not None:
            quota.leave()


def caller_may(scope: Scope) -> bool:
    """Whether the key of the request that is being answered has this scope; False without a key."""
    key = _caller.get()
    return key is not None and scope in key.scopes


class Gate:
    """The keys of a server; used on the event loop alone.

    Args:
        path: Their file, which is read again when it changes. One that can't be read, or is not as
            it should be, changes nothing: the keys that were good go on being all there are.
        metrics: Of the keys.
        process: Which of the server's processes this is.
        num_processes: All of them.

    Raises:
        OSError, ValueError: The file is bad at the start.
    """

    def __init__(
        self, path: Path, metrics: KeyMetrics, process: int = 0, num_processes: int = 1
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._quotas = Quotas(process, num_processes)
        self._seen: tuple[int, ...] | None = self._look()
        self._fault = ""
        self._look_again_s = time.monotonic() + LOOK_S
        self._held = self._hold(read_keys(path))
        metrics.file_ok.set(1)
        metrics.of(NOBODY, UnauthenticatedError.code)  # an alert reads it: it begins at 0

    def identify(self, given: Credentials, scope: Scope) -> Held:
        """The key that a caller has, which may do this.

        What this takes does not depend on how near a token is to a good one: it is hashed first,
        and found by its hash.

        Raises:
            UnauthenticatedError: It has none.
            ForbiddenError: The key has not this scope.
        """
        if time.monotonic() >= self._look_again_s:
            self._follow_file()
        try:
            held = self._find(given.token())
        except UnauthenticatedError:
            self._metrics.count(NOBODY, UnauthenticatedError.code)
            raise
        if scope not in held.key.scopes:
            self._metrics.count(held.key.name, ForbiddenError.code)
            raise ForbiddenError(f"key {held.key.name} has not the scope {scope}")
        _caller.set(held.key)
        return held

    def admit(self, given: Credentials, scope: Scope) -> Permit:
        """Leave for one request.

        Raises:
            UnauthenticatedError: The caller has no key.
            ForbiddenError: The key has not this scope.
            QuotaExceededError: It asks too often, or for too much at a time.
        """
        held = self.identify(given, scope)
        if held.quota is not None:
            try:
                held.quota.take()
            except QuotaExceededError as error:
                self._metrics.count(held.key.name, error.code)
                raise
        held.admitted.inc()
        return Permit(held.quota)

    def name_of(self, given: Credentials) -> str:
        """The name of a caller's key, for the log; empty if it has none that is known."""
        try:
            return self._find(given.token()).key.name
        except UnauthenticatedError:
            return NOBODY

    def _find(self, token: bytes) -> Held:
        if not token:
            raise UnauthenticatedError(
                "a key is needed: Authorization: Bearer TOKEN, or X-API-Key: TOKEN"
            )
        digest = hash_of(token)
        held = self._held.get(digest)
        if held is None or not hmac.compare_digest(held.key.sha256, digest):
            raise UnauthenticatedError("the key is not known")
        return held

    def _follow_file(self) -> None:
        """Read the file again, if it has changed."""
        self._look_again_s = time.monotonic() + LOOK_S
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._held = self._hold(read_keys(self._path))
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._seen = None  # it may be read the next time though it does not change
            self._metrics.file_ok.set(0)
            reason = why(error)
            if reason != self._fault:
                log.error("key file is bad: the keys before it stay", reason=reason)
            self._fault = reason
        else:
            self._fault = ""
            self._metrics.file_ok.set(1)
            tell_change("key file read again", keys=len(self._held))

    def _hold(self, keys: list[Key]) -> dict[str, Held]:
        for key in keys:
            self._metrics.of(key.name, ForbiddenError.code)  # likewise
        return {
            key.sha256: Held(key, self._quotas.of(key), self._metrics.of(key.name, ADMITTED))
            for key in keys
        }

    def _look(self) -> tuple[int, ...]:
        """What is different when the file is."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino
