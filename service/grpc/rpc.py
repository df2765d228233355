"""What wraps every RPC: its id, deadline and errors, a line in the log, a part in a drain."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

import structlog
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import ServicerContext

from service.calls.exchange import REQUEST_ID, TRACE_PARENT, request_id_of
from service.errors import InvalidRequestError, ServiceError, forget_frames
from service.grpc.statuses import details_of, metadata_of, status_of
from service.native import read_trace_parent
from service.security.gate import Credentials, Gate
from service.security.keys import Scope
from service.security.scopes import scope_of_method
from service.telemetry.audit import Caller, begin_request, tell_request

log = structlog.get_logger(__name__)

T = TypeVar("T")

ID_KEY = REQUEST_ID.lower()
DENIED = (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)


class Rpc(NamedTuple):
    """One RPC.

    Args:
        request_id: The caller's `x-request-id`, or a new one.
        deadline_s: When the caller stops to wait, by `time.perf_counter`; infinite if never.
        trace_parent: What it is a part of; see `Call`.
        trailing: What else its end tells.
        credentials: Who the caller says to be.
    """

    request_id: str
    deadline_s: float
    trace_parent: str
    trailing: list[tuple[str, str]]
    credentials: Credentials = Credentials()

    @classmethod
    def of(cls, context: ServicerContext) -> Rpc:
        """What its metadata and its deadline say."""
        metadata = dict(context.invocation_metadata() or ())
        given, parent = metadata.get(ID_KEY, ""), metadata.get(TRACE_PARENT, "")
        left_s = context.time_remaining()
        deadline_s = math.inf if left_s is None else time.perf_counter() + left_s
        trace_parent, credentials = read_trace_parent(parent), _credentials_of(metadata)
        return cls(request_id_of(given.encode()), deadline_s, trace_parent, [], credentials)


class Rpcs:
    """The inference service's RPCs under way.

    Args:
        access_log: Log a line for every one.
        gate: What knows the API keys, where there are some.
    """

    def __init__(self, access_log: bool, gate: Gate | None = None) -> None:
        self._access_log = access_log
        self._gate = gate
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(
        self,
        method: str,
        context: ServicerContext,
        work: Callable[[Rpc], Awaitable[T]],
        is_stream: bool = False,
    ) -> T:
        """Serve one: what `work` raises is its status; a stream's messages are let in each."""
        self._hold_task()
        begin_request()
        rpc, started_s = Rpc.of(context), time.perf_counter()
        status = StatusCode.CANCELLED
        try:
            with self._let_in(method, rpc, is_stream):
                answer = await work(rpc)
            status = StatusCode.OK
        except ServiceError as raised:
            error = raised
            status = status_of(error)
        except Exception:
            log.exception("request failed", request_id=rpc.request_id, path=method)
            error = ServiceError(f"internal error; request {rpc.request_id}")
            status = status_of(error)
        finally:
            del work  # with its message: what gRPC aborts by keeps this frame, and this frame it
            if self._access_log:
                elapsed_ms = 1_000 * (time.perf_counter() - started_s)
                about = {"request_id": rpc.request_id, "path": method, "status": status.name}
                about |= {} if self._gate is None else {"key": self._gate.name_of(rpc.credentials)}
                log.info("request", method="gRPC", **about, elapsed_ms=elapsed_ms)
            self._tell(method, context, rpc, status)
        request_id = (ID_KEY, rpc.request_id)
        if status is not StatusCode.OK:
            forget_frames(error)
            trailing = (request_id, *rpc.trailing, *metadata_of(error))
            await context.abort(status, details_of(error), trailing)
        context.set_trailing_metadata((request_id, *rpc.trailing))
        return answer

    def _tell(self, method: str, context: ServicerContext, rpc: Rpc, status: StatusCode) -> None:
        """Tell of a change that was wanted."""
        scope = scope_of_method(method.rpartition("/")[2])
        if scope is not Scope.ADMIN:
            return
        key = None if self._gate is None else self._gate.name_of(rpc.credentials)
        client = unquote(context.peer()).partition(":")[2]  # behind `ipv4` or `ipv6`
        caller = Caller("gRPC", client, rpc.request_id, key)
        tell_request(caller, method, status.name, status is StatusCode.OK, status in DENIED)

    @contextmanager
    def _let_in(self, method: str, rpc: Rpc, is_stream: bool) -> Iterator[None]:
        scope = scope_of_method(method.rpartition("/")[2])
        if self._gate is None or scope is None:
            yield
        elif is_stream:
            self._gate.identify(rpc.credentials, scope)
            yield
        else:
            with self._gate.admit(rpc.credentials, scope):
                yield

    async def wait(self, timeout_s: float) -> None:
        """Return when all have ended, their answers sent, or the time is over."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def _hold_task(self) -> None:
        task = asyncio.current_task()  # gRPC's own, which ends when the answer is sent
        assert task is not None, "an RPC is served in a task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _credentials_of(metadata: dict[str, str]) -> Credentials:
    return Credentials(
        metadata.get("authorization", "").encode(), metadata.get("x-api-key", "").encode()
    )


def decode(message_class: Any, body: bytes) -> Any:
    """A message of this class.

    Raises:
        InvalidRequestError: It is none.
    """
    try:
        return message_class.FromString(body)
    except DecodeError as error:
        name = message_class.DESCRIPTOR.name
        raise InvalidRequestError(f"the message is no {name}: {error}") from None
