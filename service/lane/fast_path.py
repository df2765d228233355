"""Requests that need no reading: what Python adds to `native/lane/`, which knows them by heart.

What was read slowly once, and found right, is taught: what matters of the head, and the words
around the body's numbers and its id. From then on a request with the same words goes to the engine,
and its answer comes back, without Python looking at either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from service import native
from service.api.v2 import INFER
from service.calls.asked import Asked
from service.calls.services import Services
from service.errors import ServiceError
from service.lane.heads import READER, HotHead
from service.repository.served import Served

MAX_HEADS = 4_096
TIMES_AS_FAST = 8
"""As Python's decoders: on the event loop it reads so many times what those may."""

Received = tuple[int, HotHead, Served, bytes, native.Job | None, ServiceError | None, str]


class FastPath:
    """What a server knows by heart; used on the event loop alone.

    Args:
        services: Of the server.
    """

    def __init__(self, services: Services) -> None:
        settings = services.settings
        max_bytes = min(settings.max_body_bytes, TIMES_AS_FAST * settings.inline_body_bytes)
        self._core = native.FastPath(
            services.engine.core, READER, settings.request_timeout_s, max_bytes
        )
        self._repository = services.repository
        self._heads: list[tuple[HotHead, Served]] = []  # by id
        self._ids: dict[HotHead, int] = {}
        self._default_headers: Sequence[tuple[bytes, bytes]] = ()

    def forget(self) -> None:
        """Other models serve now: what was taught may mean something else."""
        self._core.forget()
        self._ids, self._heads = {}, []

    def learn(self, words: bytes, hot: HotHead, asked: Asked, body: bytes) -> None:
        """Learn what a request meant.

        Args:
            words: Its head, to the empty line.
            hot: What they say.
            asked: What it asked.
            body: Of the request.
        """
        if asked.plan is None or hot.handler is not INFER or not self._is_true(hot, asked):
            return
        json_bytes = int(hot.head.json_length) if hot.head.json_length else -1
        model = _key(asked.served)
        if not self._core.comes_again(model, body, json_bytes):
            return
        plan = asked.plan(asked.served)
        if plan is None:
            return
        if hot not in self._ids:
            self._learn_head(words, hot, asked.served, json_bytes)
        self._core.learn_plan(model, body, json_bytes, plan)

    def _is_true(self, hot: HotHead, asked: Asked) -> bool:
        """Whether the request would be led to the same again: meanwhile others may serve."""
        head, served = hot.head, asked.served
        try:
            return self._repository.get(head.name, head.version, served.precision) is served
        except ServiceError:
            return False

    def _learn_head(self, words: bytes, hot: HotHead, served: Served, json_bytes: int) -> None:
        if len(self._heads) >= MAX_HEADS:
            self.forget()
        head_id = self._ids[hot] = len(self._heads)
        self._heads.append((hot, served))
        known = native.HotHead(head_id, _key(served), hot.keep_alive, json_bytes)
        self._core.learn_head(words, known)

    def receive(self, data: bytes, waited_s: float = 0.0) -> Received | None:
        """Have the request run that these bytes begin with, if it is whole and known.

        Args:
            data: What came.
            waited_s: Since the head of it came.

        Returns:
            How many bytes it has, its head, the model that it asks, the caller's id for it, its
            job, why it is refused, if it is, and what a refused one is a part of.
        """
        received = self._core.receive(data, waited_s)
        if received is None:
            return None
        num_bytes, head_id, given_id, job, refusal, trace_parent = received
        hot, served = self._heads[head_id]
        return num_bytes, hot, served, given_id, job, refusal, trace_parent

    def respond(
        self, job: native.Job, default_headers: Sequence[tuple[bytes, bytes]]
    ) -> bytes | None:
        """The whole response to an answered job; None if an answer is no finite number."""
        if default_headers is not self._default_headers:  # once a second: the time is in them
            self._default_headers = default_headers
            self._core.default_lines = header_lines(tuple(default_headers))
        return self._core.respond(job)


def _key(served: Served) -> str:
    return f"{served.name} {served.version} {served.sha256}"


@lru_cache(256)
def header_lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Headers as they travel, each line ended."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
