"""What each call of Triton's clients must do here; `ask` makes it, of the sync client or aio's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.protocol.asking import LENGTH
from tests.protocol.made import LABELLED, ONNX

Ask = Callable[..., Any]
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def inputs(binary: bool = True) -> list[triton.InferInput]:
    """Of the model `rows`, whose `y` is `-x`."""
    tensor = triton.InferInput("x", list(VALUES.shape), "FP32")
    tensor.set_data_from_numpy(VALUES, binary_data=binary)
    return [tensor]


def check_negated(result: Any) -> None:
    assert result.as_numpy("y").tolist() == (-VALUES).tolist()


def refused(ask: Ask, status: int, words: str, *args: Any, **options: Any) -> None:
    with pytest.raises(InferenceServerException, match=words) as refusal:
        ask(*args, **options)
    assert refusal.value.status() == str(status)


def check_health(ask: Ask) -> None:
    assert ask("is_server_live") is True
    assert ask("is_server_ready") is True
    assert ask("is_model_ready", "rows") is True
    assert ask("is_model_ready", "rows", "1") is True
    assert ask("is_model_ready", "nosuch") is False


def check_metadata(ask: Ask) -> None:
    assert ask("get_server_metadata")["name"] == "seqserve"
    found = ask("get_model_metadata", LABELLED, "1")
    assert found["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
    refused(ask, 404, "nosuch", "get_model_metadata", "nosuch")
    assert ask("get_model_config", "rows")["max_batch_size"] == 12
    names = {entry["name"] for entry in ask("get_model_repository_index")}
    assert {"rows", LABELLED} <= names


def check_changes(ask: Ask) -> None:
    ask("unload_model", "sum", unload_dependents=True)
    assert ask("is_model_ready", "sum") is False
    refused(ask, 404, "sum", "get_model_metadata", "sum")
    ask("load_model", "sum")
    assert ask("is_model_ready", "sum") is True
    refused(ask, 404, "nosuch", "load_model", "nosuch")


def check_statistics(ask: Ask) -> None:
    def count() -> int:
        (found,) = ask("get_inference_statistics", "rows", "1")["model_stats"]
        return int(found["inference_stats"]["success"]["count"])

    before = count()
    check_negated(ask("infer", "rows", inputs()))
    assert count() == before + 1
    assert len(ask("get_inference_statistics")["model_stats"]) > 3


def check_settings(ask: Ask) -> None:
    settings = ask("get_log_settings")
    assert ask("update_log_settings", {"log_info": True}) == settings
    refused(ask, 501, "log_file", "update_log_settings", {"log_file": "mine"})
    off = ask("get_trace_settings")
    assert off["trace_level"] == ["OFF"]
    assert ask("get_trace_settings", "rows") == off
    assert ask("update_trace_settings", settings={"trace_level": ["OFF"]}) == off
    tracing = {"trace_level": ["TIMESTAMPS"]}
    refused(ask, 501, "trace_level", "update_trace_settings", "rows", tracing)


def check_shared_memory(ask: Ask) -> None:
    words = "shared_memory is not here"
    for kind in ("system", "cuda"):
        ask(f"unregister_{kind}_shared_memory")
        ask(f"unregister_{kind}_shared_memory", "mine")
        assert ask(f"get_{kind}_shared_memory_status") == []
        refused(ask, 404, "mine", f"get_{kind}_shared_memory_status", "mine")
    refused(ask, 501, words, "register_system_shared_memory", "mine", "/mine", 64)
    refused(ask, 501, words, "register_cuda_shared_memory", "mine", "handle", 0, 64)
    tensor = triton.InferInput("x", [2, 3], "FP32")
    tensor.set_shared_memory("mine", 24)
    refused(ask, 501, "shared memory", "infer", "rows", [tensor])


def check_infer(ask: Ask) -> None:
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
        result = ask("infer", "rows", inputs(binary), outputs=outputs, request_id="7", priority=1)
        check_negated(result)
        assert result.get_response()["id"] == "7"
        assert result.get_output("y")["datatype"] == "FP32"
    check_negated(ask("infer", "rows", inputs(), "1", timeout=5_000_000, parameters={"mine": 1}))
    for coding in ("gzip", "deflate"):
        codings = {f"{way}_compression_algorithm": coding for way in ("request", "response")}
        check_negated(ask("infer", "rows", inputs(), **codings))
    refused(ask, 501, "state", "infer", "rows", inputs(), sequence_id=7, sequence_start=True)
    refused(ask, 400, "'nosuch'", "infer", "rows", inputs(),
            outputs=[triton.InferRequestedOutput("nosuch")])  # fmt: skip


def check_long_answers(ask: Ask) -> None:
    """The one client wants them compressed without being told, the other if it is."""
    values = np.arange(30_000, dtype=np.float32)
    tensor = triton.InferInput("x", [30_000], "FP32")
    tensor.set_data_from_numpy(values)
    for coding in (None, "gzip", "deflate"):
        for binary in (True, False):
            outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
            result = ask(
                "infer", "fp32-1", [tensor], outputs=outputs, response_compression_algorithm=coding
            )
            assert (result.as_numpy("y") == values).all()


def check_classes(ask: Ask) -> None:
    tensor = triton.InferInput("inputs", [1, 4, 40], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 4, 40), np.float32))
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("logits", binary_data=binary, class_count=2)]
        found = ask("infer", LABELLED, [tensor], outputs=outputs).as_numpy("logits")
        assert found.shape == (1, 2)
        text = found[0, 0].decode() if isinstance(found[0, 0], bytes) else found[0, 0]
        assert text.split(":")[1] == text.split(":")[2]


def check_datatypes(ask: Ask) -> None:
    for datatype in ONNX:
        values = np.array([b"a", b"\xc3\xbc"], object)
        if datatype != "BYTES":
            values = np.array([1, 0]).astype(triton_to_np_dtype(datatype))
        tensor = triton.InferInput("x", [2], datatype)
        tensor.set_data_from_numpy(values)
        found = ask("infer", f"{datatype.lower()}-1", [tensor]).as_numpy("y")
        assert found.tolist() == values.tolist()


def check_bodies(ask: Ask, base_url: str) -> None:
    """Bodies made and read by the client, carried by another."""
    body, length = ask("generate_request_body", inputs(), request_id="7")
    answer = httpx.post(
        f"{base_url}/v2/models/rows/infer", content=body, headers={LENGTH: str(length)}
    )
    header_length = int(answer.headers[LENGTH])
    check_negated(ask("parse_response_body", answer.content, header_length=header_length))
