"""Triton's own clients, unmodified: every public method of both, listed by looking at them."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient._plugin import InferenceServerClientPlugin

from tests.protocol import triton_calls as calls
from tests.servers import Server

CHECKS: dict[Callable[..., None], set[str]] = {
    calls.check_health: {"is_server_live", "is_server_ready", "is_model_ready"},
    calls.check_metadata: {
        "get_server_metadata", "get_model_metadata", "get_model_config",
        "get_model_repository_index",
    },
    calls.check_changes: {"load_model", "unload_model"},
    calls.check_statistics: {"get_inference_statistics"},
    calls.check_settings: {
        "get_log_settings", "update_log_settings", "get_trace_settings", "update_trace_settings",
    },
    calls.check_shared_memory: {
        f"{verb}_{kind}_shared_memory{end}"
        for kind in ("system", "cuda")
        for verb, end in (("get", "_status"), ("register", ""), ("unregister", ""))
    },
    calls.check_infer: {"infer"},
    calls.check_long_answers: {"infer"},
    calls.check_classes: {"infer"},
    calls.check_datatypes: {"infer"},
}  # fmt: skip
"""What the checks call."""

ELSEWHERE = {
    "generate_request_body", "parse_response_body", "async_infer", "close",
    "plugin", "register_plugin", "unregister_plugin",
}  # fmt: skip
"""In a test of their own below."""


class Noting(InferenceServerClientPlugin):  # type: ignore[misc]
    """Gives each request an id."""

    def __call__(self, request: Any) -> None:
        request.headers["X-Request-ID"] = "noted"


def address(server: Server) -> str:
    return server.base_url.removeprefix("http://")


@contextmanager
def sync_client(server: Server) -> Iterator[calls.Ask]:
    with triton.InferenceServerClient(address(server)) as client:
        yield lambda name, *args, **options: getattr(client, name)(*args, **options)


@contextmanager
def aio_client(server: Server) -> Iterator[calls.Ask]:
    async def made() -> Any:
        return triton_aio.InferenceServerClient(address(server))

    # the client leaves answers unread that it needs nothing of, as the rest of a "ready"
    with (
        warnings.catch_warnings(action="ignore", category=ResourceWarning),
        asyncio.Runner() as runner,
    ):
        client = runner.run(made())

        async def awaited(answer: Awaitable[Any]) -> Any:
            return await answer

        def ask(name: str, *args: Any, **options: Any) -> Any:
            answer = getattr(client, name)(*args, **options)
            return runner.run(awaited(answer)) if inspect.isawaitable(answer) else answer

        try:
            yield ask
        finally:
            ask("close")
            gc.collect()


CLIENTS = {"sync": sync_client, "aio": aio_client}


@pytest.mark.parametrize("module", [triton, triton_aio])
def test_every_public_method_is_treated(module: Any) -> None:
    members = inspect.getmembers(module.InferenceServerClient, callable)
    public = {name for name, _ in members if not name.startswith("_")}
    assert public <= ELSEWHERE.union(*CHECKS.values())


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("check", CHECKS)
def test_a_call_does_what_it_should(
    server: Server, kind: str, check: Callable[[calls.Ask], None]
) -> None:
    called: set[str] = set()
    with CLIENTS[kind](server) as ask:

        def noting(name: str, *args: Any, **options: Any) -> Any:
            called.add(name)
            return ask(name, *args, **options)

        check(noting)
    assert CHECKS[check] <= called


@pytest.mark.parametrize("kind", CLIENTS)
def test_bodies_are_made_and_read(server: Server, kind: str) -> None:
    with CLIENTS[kind](server) as ask:
        calls.check_bodies(ask, server.base_url)


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_plugin_s_headers_come_here(server: Server, kind: str) -> None:
    plugin = Noting()
    with CLIENTS[kind](server) as ask:
        ask("register_plugin", plugin)
        assert ask("plugin") is plugin
        calls.check_negated(ask("infer", "rows", calls.inputs(), headers={"X-Mine": "1"}))
        ask("unregister_plugin")


def test_many_requests_at_a_time_have_each_their_own_answer(server: Server) -> None:
    with triton.InferenceServerClient(address(server), concurrency=8) as client:
        pending = [
            client.async_infer("rows", calls.inputs(), request_id=str(turn)) for turn in range(24)
        ]
        for turn, request in enumerate(pending):
            result = request.get_result()
            calls.check_negated(result)
            assert result.get_response()["id"] == str(turn)
