"""One call, without a network: its deadline, its end, and what REST answers to the same bytes."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc.service_pb2 import ModelInferResponse, ModelStreamInferResponse

from service.errors import DrainingError, InferenceTimeoutError, InvalidRequestError
from service.grpc.infer import Inference, Received
from service.grpc.rpc import Rpc
from service.grpc.server import is_failure
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import arrays_of, message, padded
from tests.http.asking import as_binary, plain
from tests.http.echo import EchoModel, echo_manifest
from tests.http.inside import Inside, inside

T = TypeVar("T")

FOREVER = Rpc("id", math.inf, "", [])


@pytest.fixture(scope="module")
def model() -> EchoModel:
    return EchoModel(echo_manifest("weights"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: EchoModel) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("none"), model) as server:
        yield server


def run(server: Inside, act: Callable[[Inference], Awaitable[T]]) -> T:
    """What `act` gives, on an event loop; then nothing is under way."""

    async def run_all() -> T:
        async with asyncio.timeout(TIMEOUT_S):
            result = await act(Inference(server.services))
            await server.until_idle()
            return result

    return asyncio.run(run_all())


def body(*lengths: int, **fields: str) -> bytes:
    sequences = [np.full((length, 2), length, np.float32) for length in lengths]
    encoded: bytes = message("echo", padded(*sequences), **fields).SerializeToString()
    return encoded


def test_an_rpc_that_is_late_already_is_not_run(server: Inside, model: EchoModel) -> None:
    late = Rpc("id", time.perf_counter() - 1.0, "", [])
    with pytest.raises(InferenceTimeoutError):
        run(server, lambda inference: inference.infer(body(3), late))
    assert not model.has_entered()


def test_the_earliest_of_all_deadlines_counts(server: Inside, model: EchoModel) -> None:
    async def time_out(inference: Inference, rpc: Rpc, timeout_us: int) -> float:
        asked = message("echo", padded(np.ones((3, 2), np.float32)))
        asked.parameters["timeout"].int64_param = timeout_us
        started_s = time.perf_counter()
        with pytest.raises(InferenceTimeoutError):
            await inference.ask(Received(asked, 0, on_stream=False), rpc)
        return time.perf_counter() - started_s

    model.gate.clear()
    try:
        for by_rpc_s, by_parameter_us in ((0.05, 20_000_000), (20.0, 50_000)):
            rpc = Rpc("id", time.perf_counter() + by_rpc_s, "", [])
            act = asyncio.run(time_out(Inference(server.services), rpc, by_parameter_us))
            assert 0.04 < act < 10.0
    finally:
        model.gate.set()
    run(server, lambda inference: inference.infer(body(1), FOREVER))


def test_who_leaves_takes_the_request_along(server: Inside, model: EchoModel) -> None:
    async def leave(inference: Inference) -> None:
        model.gate.clear()
        running = asyncio.create_task(inference.infer(body(2), FOREVER))
        await asyncio.to_thread(model.wait_entered)
        waiting = asyncio.create_task(inference.infer(body(5), FOREVER))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        model.gate.set()
        await running

    cancelled = server.outcomes("cancelled")
    while model.has_entered():
        pass
    run(server, leave)
    assert server.outcomes("cancelled") == cancelled + 1
    assert not model.has_entered(), "what nobody waited for was run"


def test_what_is_under_way_at_the_end_is_told_so(server: Inside, model: EchoModel) -> None:
    async def end(inference: Inference) -> None:
        model.gate.clear()
        asked = [asyncio.create_task(inference.infer(body(2), FOREVER)) for _ in range(3)]
        await asyncio.to_thread(model.wait_entered)
        inference.fail(DrainingError("over"))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(outcome, DrainingError) for outcome in outcomes)
        model.gate.set()

    run(server, end)


def test_on_a_stream_the_answer_is_wrapped(server: Inside) -> None:
    async def ask(inference: Inference, on_stream: bool) -> bytes:
        asked = await inference.decode(body(4, 2, id="x"))
        return await inference.ask(Received(asked, 1 << 20, on_stream), FOREVER)

    plainly = ModelInferResponse.FromString(run(server, lambda it: ask(it, False)))
    streamed = ModelStreamInferResponse.FromString(run(server, lambda it: ask(it, True)))
    assert streamed.infer_response.parameters.pop("triton_final_response").bool_param
    assert streamed.infer_response == plainly
    assert not streamed.error_message


def test_a_request_that_is_no_message_is_refused(server: Inside) -> None:
    with pytest.raises(InvalidRequestError, match="no ModelInferRequest"):
        run(server, lambda inference: inference.infer(b"\x0a\xff", FOREVER))


@pytest.mark.parametrize(
    ("error", "is_logged"), [(grpc.aio.InternalError("not sent"), False), (ValueError(), True)]
)
def test_grpcs_own_log_tells_of_failures_alone(error: Exception, is_logged: bool) -> None:
    about = (type(error), error, None)
    record = logging.LogRecord("grpc", logging.ERROR, "", 0, "raised", None, about)
    assert is_failure(record) == is_logged


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_every_request_is_answered_as_over_rest(
    server: Inside, lengths: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    inputs = random.integers(-9, 9, (len(lengths), max(lengths), 2)).astype(np.float32)

    async def ask(inference: Inference) -> tuple[bytes, bytes]:
        tensors = {"inputs": inputs, "lengths": np.array(lengths)}
        asked = message("echo", tensors).SerializeToString()
        document = plain(
            list(inputs.shape),
            inputs.ravel().tolist(),
            lengths,
            parameters={"binary_data_output": True},
        )
        rest = await server.connect().ask(as_binary(document))
        length = int(rest.header(b"inference-header-content-length"))
        return await inference.infer(asked, FOREVER), rest.body[length:]

    answer, blobs = run(server, ask)
    response = ModelInferResponse.FromString(answer)
    assert b"".join(response.raw_output_contents) == blobs
    found = arrays_of(response)
    assert found["weights"].shape == (len(lengths), max(lengths))
