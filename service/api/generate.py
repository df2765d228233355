"""Texts as they come: `generate` of the task level, and Triton's extension of that name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter

from service.api.generate_documents import (
    GENERATE_DOCUMENT,
    TRITON_DOCUMENT,
    TRITON_STREAM_DOCUMENT,
    GenerateRequest,
    TritonRequest,
)
from service.api.predict import answer_of, asked_of
from service.api.routes import SAID_OF_JSON, RawRoute
from service.api.schemas import versioned
from service.api.streaming import StreamCall, event, streaming_endpoint
from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.exchange import Answer
from service.codec.bodies import decode_json, without_nulls, wrong_field
from service.errors import InvalidRequestError, UnsupportedMediaTypeError
from service.tasks.generation.request import GenerationRequest
from service.tasks.generation.task import Generation

router = APIRouter(route_class=RawRoute)

Told = dict[str, Any]
"""What an event says, or an answer."""

_v1_decoder = msgspec.json.Decoder(GenerateRequest)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def generate(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Go on from each prompt; with `stream`, told as it comes in server-sent events.

    An event's `text` is what the text of the prompt at `index` has grown by; the last of each has
    its `finish_reason` too. An error after the first is an event named `error`.
    """
    return _inline_or_not(call, body, _read)


def triton_generate(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Go on from a prompt, as Triton's generate extension does."""
    return _inline_or_not(call, body, _read_triton)


def triton_generate_stream(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Go on from a prompt, told as it comes in server-sent events.

    An event's `text_output` is what the text has grown by. An error after the first is an event
    with `error`.
    """
    return _inline_or_not(call, body, _read_triton_stream)


def _inline_or_not(
    call: Call, body: bytes, read: Callable[[Call, bytes], Asked]
) -> Asked | Callable[[], Asked]:
    kind = call.head.content_type
    if kind not in SAID_OF_JSON:
        raise UnsupportedMediaTypeError(
            f"content type {kind} is not application/json", "Content-Type"
        )
    if len(body) > call.settings.inline_body_bytes:
        return partial(read, call, body)
    return read(call, body)


def _task_of(call: Call) -> Generation:
    task = call.served.task
    if not isinstance(task, Generation):
        raise InvalidRequestError(f"{call.served.name} does not go on from prompts", "name")
    return task


def _read(call: Call, body: bytes) -> Asked:
    task = _task_of(call)
    request = decode_json(_v1_decoder, body)
    request.check_counts(call.check_count)
    if not request.stream:
        work = task.read(request)
        return asked_of(call, request, work, partial(answer_of, task, work))
    model = {"model": task.manifest.name, "version": task.manifest.version}

    def grown(row: int, text: str) -> Told:
        return {"index": row, "text": text}

    def ended(row: int, prediction: Told) -> Told:
        return {**model, "index": row, **prediction}

    return _streamed(call, request, grown, ended, error_event=b"error")


def _streamed(
    call: Call,
    request: GenerationRequest,
    grown: Callable[[int, str], Told],
    ended: Callable[[int, Told], Told],
    error_event: bytes = b"",
) -> Asked:
    """What is asked, with the texts told as they come.

    Args:
        call: The request's.
        request: What it asks.
        grown: What an event says of the prompt at a row, whose text has grown by some.
        ended: What the last event of a text says, whose `text` is the rest of it.
        error_event: The name of an event that tells of an error.
    """
    assert isinstance(call, StreamCall), "the routes here are of no other"
    task = _task_of(call)
    num_told: dict[int, int] = {}  # characters, of each row

    def tell(row: int, text: str) -> None:
        num_told[row] = num_told.get(row, 0) + len(text)
        call.tell(event(orjson.dumps(grown(row, text))))

    def answer(results: Any) -> Answer:
        last = []
        for row, prediction in enumerate(work.answer(results)):
            prediction["text"] = prediction["text"][num_told.get(row, 0) :]
            last.append(event(orjson.dumps(ended(row, prediction))))
        return Answer(b"".join(last))

    def last_events(answer: Answer) -> bytes:
        return answer.body if answer.status == 200 else event(answer.body, error_event)

    work = task.read_streamed(request, tell)
    asked = asked_of(call, request, work, answer)
    call.last_events = last_events
    return asked


def _read_triton(call: Call, body: bytes) -> Asked:
    task = _task_of(call)
    said, request = _decode_triton(body)
    work = task.read(request)

    def answer(results: Any) -> Answer:
        (prediction,) = work.answer(results)
        return Answer(orjson.dumps(_triton_told(task, said, prediction)))

    return asked_of(call, request, work, answer)


def _read_triton_stream(call: Call, body: bytes) -> Asked:
    task = _task_of(call)
    said, request = _decode_triton(body)

    def grown(row: int, text: str) -> Told:
        return _triton_told(task, said, {"text": text})

    def ended(row: int, prediction: Told) -> Told:
        return _triton_told(task, said, prediction)

    return _streamed(call, request, grown, ended)


def _triton_told(task: Generation, said: TritonRequest, prediction: Told) -> Told:
    manifest = task.manifest
    names = {"model_name": manifest.name, "model_version": manifest.version}
    same_id = {} if said.id is None else {"id": said.id}
    rest = {name: value for name, value in prediction.items() if name != "text"}
    return {**same_id, **names, "text_output": prediction["text"], **rest}


def _decode_triton(body: bytes) -> tuple[TritonRequest, GenerationRequest]:
    """The request, and what it asks in this server's terms.

    Raises:
        InvalidRequestError: It is not what it should be; the field named.
    """
    document = without_nulls(decode_json(_object_decoder, body))
    own = {name: document.pop(name) for name in TritonRequest.__struct_fields__ if name in document}
    try:
        said = msgspec.convert(own, TritonRequest)
        options = {**document, **said.parameters}
        options.pop("stream", None)  # the path says it; clients of Triton's say it here too
        if "prompts" in options:
            raise InvalidRequestError("prompts: the prompt is text_input", "prompts")
        request = msgspec.convert({"prompts": said.text_input, **options}, GenerationRequest)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None
    return said, request


for _path, _handler, _document in (
    ("/v1/models/{name}/generate", Handler("v1", generate), GENERATE_DOCUMENT),
    ("/v2/models/{name}/generate", Handler("v2", triton_generate), TRITON_DOCUMENT),
    (
        "/v2/models/{name}/generate_stream",
        Handler("v2", triton_generate_stream),
        TRITON_STREAM_DOCUMENT,
    ),
):
    _serve = streaming_endpoint(_handler)
    _tag = "task level" if _handler.protocol == "v1" else "Open Inference Protocol"
    router.post(_path, openapi_extra=_document, tags=[_tag], summary="Generate")(_serve)
    if _handler.protocol == "v2":
        _versioned = _path.replace("{name}", "{name}/versions/{version}")
        router.post(
            _versioned, openapi_extra=versioned(_document), tags=[_tag], summary="Generate"
        )(_serve)
