"""ModelStreamInfer: every request of a stream gets its own answer, and errors are answers."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelStreamInferResponse

from service.grpc.stream import MAX_IN_FLIGHT
from tests.any_onnx.made import linear, write
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import (
    SERVICE,
    GrpcServer,
    arrays_of,
    message,
    padded,
    serving_grpc,
    triton_inputs,
    work,
)
from tests.http.made import FAILS, make_bundle
from tests.http.payloads import frames
from tests.http.work import taken, units_per_second
from tests.servers import wait_until

MODEL = "digits-lstm"


def streamed(
    server: GrpcServer, requests: list[ModelInferRequest], **options: Any
) -> list[ModelStreamInferResponse]:
    """All answers to requests on one stream, in their order."""
    stream = server.stub.ModelStreamInfer(iter(requests), timeout=TIMEOUT_S, **options)
    return list(stream)


def test_every_request_gets_its_own_answer_or_error(server: GrpcServer) -> None:
    sequences = [frames(1 + 7 * k % 50, seed=k) for k in range(4 * MAX_IN_FLIGHT)]
    requests = []
    for index, sequence in enumerate(sequences):
        request = message(MODEL, padded(sequence), id=str(index))
        if index % 5 == 0:
            request.model_name = "nosuch"
        elif index % 7 == 0:
            request.raw_input_contents[0] = b"short"
        requests.append(request)
    answers = {answer.infer_response.id: answer for answer in streamed(server, requests)}
    assert answers.keys() == {str(index) for index in range(len(sequences))}
    for index, sequence in enumerate(sequences):
        answer = answers[str(index)]
        if index % 5 == 0:
            assert answer.error_message == "there is no model 'nosuch'"
        elif index % 7 == 0:
            assert answer.error_message.startswith("raw_input_contents[0] is 5")
        else:
            assert not answer.error_message
            alone = server.infer(message(MODEL, padded(sequence), id=str(index)))
            np.testing.assert_allclose(
                arrays_of(answer.infer_response)["logits"], arrays_of(alone)["logits"], atol=1e-4
            )


def test_what_is_no_message_is_an_answer_too(server: GrpcServer) -> None:
    good = message(MODEL, padded(frames(3))).SerializeToString()
    call = server.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
    raw = list(call(iter([b"\x0a\xff", good]), timeout=TIMEOUT_S))
    answers = [ModelStreamInferResponse.FromString(each) for each in raw]
    assert sorted(bool(answer.error_message) for answer in answers) == [False, True]


def test_triton_clients_stream(server: GrpcServer) -> None:
    inputs = triton_inputs(padded(frames(9)))
    got: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton.InferenceServerClient(server.address) as client:
        client.start_stream(lambda result, error: got.put((result, error)))
        for index in range(30):
            name = MODEL if index % 3 else "nosuch"
            client.async_stream_infer(
                name, inputs, request_id=str(index), enable_empty_final_response=True
            )
        client.stop_stream()
    answers = [got.get_nowait() for _ in range(30)]
    errors = [error for _, error in answers if error is not None]
    assert [error.message() for error in errors] == ["there is no model 'nosuch'"] * 10
    finished = [result.get_response() for result, error in answers if error is None]
    assert all(each.parameters["triton_final_response"].bool_param for each in finished)

    async def ask() -> list[tuple[Any, Any]]:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            for index in range(30):
                yield {"model_name": MODEL, "inputs": inputs, "request_id": str(index)}

        async with triton_aio.InferenceServerClient(server.address) as client:
            return [answer async for answer in client.stream_infer(requests())]

    results = asyncio.run(ask())
    assert {result.get_response().id for result, _ in results} == set(map(str, range(30)))
    assert all(error is None for _, error in results)


def test_an_empty_stream_ends_well(server: GrpcServer) -> None:
    assert streamed(server, []) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServer]:
    """One engine thread, one sequence a run; the first model can be kept busy, the other answers
    a hundred times what it is asked.
    """
    folder = tmp_path_factory.mktemp("stream") / "repository"
    make_bundle(folder)
    write(folder, "wide", linear(np.ones((1, 100), np.float32)))
    with serving_grpc(folder, failures_expected=True, engine_threads=1, max_batch_size=1) as server:
        yield server


def test_answers_come_as_they_are_ready(made: GrpcServer) -> None:
    second = units_per_second(made.process, "made")
    requests: queue.Queue[ModelInferRequest | None] = queue.Queue()
    stream = made.stub.ModelStreamInfer(iter(requests.get, None), timeout=TIMEOUT_S)
    requests.put(message("made", work(second), id="slow"))
    wait_until(lambda: taken(made.process, "made") == 1)
    requests.put(message("nosuch", work(), id="quick"))
    assert next(stream).infer_response.id == "quick"
    requests.put(message("made", work(kind=FAILS), id="fails"))
    requests.put(None)
    slow, fails = next(stream), next(stream)
    assert (slow.infer_response.id, slow.error_message) == ("slow", "")
    assert fails.error_message == "made failed on this batch"
    assert list(stream) == []


def test_a_stream_that_is_cancelled_frees_the_engine(made: GrpcServer) -> None:
    second = units_per_second(made.process, "made")
    closing = threading.Event()

    def requests() -> Iterator[ModelInferRequest]:
        for index in range(5):  # ten minutes each, but for the first
            yield message("made", work(600 * second if index else 2 * second))
        closing.wait(TIMEOUT_S)

    stream = made.stub.ModelStreamInfer(requests(), timeout=TIMEOUT_S)
    wait_until(lambda: taken(made.process, "made") == 5)
    stream.cancel()
    closing.set()
    wait_until(lambda: taken(made.process, "made") == 0)
    assert made.infer(message("made", work())).outputs


def test_the_deadline_of_a_stream_bounds_its_requests(made: GrpcServer) -> None:
    second = units_per_second(made.process, "made")
    requests = [message("made", work(second)), message("made", work(600 * second))]
    code, answers = None, []
    try:
        answers = list(made.stub.ModelStreamInfer(iter(requests), timeout=0.3))
    except grpc.RpcError as late:
        code = late.code()
    # what earlier runs took may say at once that these can't be done in time
    refused = [bool(answer.error_message) for answer in answers]
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED or (code is None and refused == [True, True])
    wait_until(lambda: taken(made.process, "made") == 0)


def test_who_does_not_read_answers_is_not_read_from(made: GrpcServer) -> None:
    inputs = {"x": np.ones((2_000, 1), np.float32)}  # 8 kB, answered by 800
    total = 20 * MAX_IN_FLIGHT
    sent = 0

    async def ask() -> None:
        nonlocal sent
        async with grpc.aio.insecure_channel(made.address) as channel:
            call = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")()
            body = message("wide", inputs).SerializeToString()

            async def send() -> None:
                nonlocal sent
                for _ in range(total):
                    await call.write(body)
                    sent += 1
                await call.done_writing()

            sending = asyncio.create_task(send())
            last = -1
            while last != sent:  # it has come to a stop
                last = sent
                await asyncio.sleep(0.5)
            assert sent < total
            assert not sending.done()
            count = 0
            while await call.read() is not grpc.aio.EOF:
                count += 1
            await sending
            assert count == total

    asyncio.run(asyncio.wait_for(ask(), 2 * TIMEOUT_S))


def test_callers_that_come_and_go_are_no_failures(server: GrpcServer) -> None:
    short = message(MODEL, padded(frames(20))).SerializeToString()
    long = message(MODEL, padded(*[frames(300)] * 2)).SerializeToString()
    random = np.random.default_rng(0)

    async def ask_once(channel: grpc.aio.Channel, deadline_s: float) -> None:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with suppress(grpc.aio.AioRpcError):
            await call(long if deadline_s > 0.01 else short, timeout=deadline_s)

    async def ask_often(channel: grpc.aio.Channel, deadline_s: float) -> None:
        call = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(timeout=deadline_s)
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for _ in range(100):
                await call.write(short)
            while await call.read() is not grpc.aio.EOF:
                pass

    async def ask() -> None:
        async with grpc.aio.insecure_channel(server.address) as channel:
            for _ in range(10):
                deadlines = random.uniform(1e-4, 0.02, 100)
                await asyncio.gather(
                    *(ask_once(channel, deadline_s) for deadline_s in deadlines),
                    *(ask_often(channel, deadline_s) for deadline_s in deadlines[:5]),
                )

    asyncio.run(ask())
    wait_until(lambda: taken(server.process, MODEL) == 0)
    assert '"level": "error"' not in server.process.log
    assert server.infer(message(MODEL, padded(frames(20)))).outputs
