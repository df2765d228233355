"""Configuration, logging and trace settings, shared memory: told truly, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.refusals import check_refusal
from tests.protocol.made import LABELLED
from tests.servers import serving


def config(client: httpx.Client, model: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v2/models/{model}/config").json()
    assert found == client.get(f"/v2/models/{model}/versions/1/config").json()
    return found


def test_the_configuration_of_a_sequence_model(client: httpx.Client) -> None:
    found = config(client, LABELLED)
    assert (found["name"], found["backend"]) == (LABELLED, "onnxruntime")
    assert found["platform"] == "onnxruntime_onnx"
    assert found["max_batch_size"] == 12
    assert found["version_policy"] == {"specific": {"versions": [1]}}
    inputs = {it.pop("name"): it for it in found["input"]}
    plain = {"format": "FORMAT_NONE"}
    assert inputs == {
        "inputs": {"data_type": "TYPE_FP32", "dims": [-1, 40], "optional": False, **plain},
        # of a row it is one value, which Triton's configurations say so
        "lengths": {
            "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}, "optional": True,
            **plain,
        },
    }  # fmt: skip
    assert found["output"] == [{"name": "logits", "data_type": "TYPE_FP32", "dims": [10]}]
    assert found["dynamic_batching"]["priority_levels"] == 3
    assert "sequence_batching" not in found  # which would say that sequence_id is taken
    assert found["parameters"]["batching"] == {"string_value": "cells"}


def test_the_configuration_of_what_does_not_batch(client: httpx.Client) -> None:
    found = config(client, "fixed")
    assert found["max_batch_size"] == 0
    assert found["input"][0]["dims"] == [2, 3]
    assert "dynamic_batching" not in found


@pytest.mark.parametrize(
    ("datatype", "name"), [("bytes", "TYPE_STRING"), ("bf16", "TYPE_BF16"), ("bool", "TYPE_BOOL")]
)
def test_datatypes_have_the_configuration_s_names(
    client: httpx.Client, datatype: str, name: str
) -> None:
    found = config(client, f"{datatype}-2")
    assert found["input"][0]["data_type"] == found["output"][0]["data_type"] == name


def test_an_unknown_model_has_no_configuration(client: httpx.Client) -> None:
    check_refusal(client.get("/v2/models/nosuch/config"), 404, "name", "nosuch")


def test_the_log_really_falls_silent_and_speaks_again(repository: Path) -> None:
    with serving(repository, access_log=True) as server:
        server.wait_for_event("request", path="/v2/health/ready")

        def set_logging(**wanted: Any) -> dict[str, Any]:
            answer = server.client.post("/v2/logging", json=wanted)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            assert found == server.client.get("/v2/logging").json()
            return found

        assert set_logging() == {
            "log_file": "", "log_info": True, "log_warning": True, "log_error": True,
            "log_verbose_level": 0, "log_format": "ISO8601",
        }  # fmt: skip
        found = set_logging(log_info=False)
        assert (found["log_info"], found["log_warning"]) == (False, True)
        server.client.get("/v2/health/live", headers={"X-Request-ID": "unheard"})
        assert set_logging(log_info=True, log_verbose_level=3)["log_verbose_level"] == 1
        server.client.get("/v2/health/live", headers={"X-Request-ID": "heard"})
        server.wait_for_event("request", request_id="heard")
        assert "unheard" not in server.log
        silent = {"log_error": False, "log_warning": False, "log_info": False}
        assert not any(set_logging(**silent, log_verbose_level=0)[name] for name in silent)
        assert set_logging(log_error=True, log_warning=True, log_info=True)["log_info"]


@pytest.mark.parametrize(
    ("wanted", "status", "field", "words"),
    [
        ({"log_file": "/tmp/log"}, 501, "log_file", "standard error"),
        ({"log_format": "default"}, 501, "log_format", "ISO8601"),
        ({"log_warning": False}, 400, "log_info", "log_warning"),
        ({"log_verbose_level": -1}, 400, "log_verbose_level", "0 or more"),
        ({"log_info": 1}, 400, "log_info", "bool"),
        ({"log_everything": True}, 400, "log_everything", "unknown"),
    ],
)
def test_a_log_setting_that_can_not_be_is_refused(
    client: httpx.Client, wanted: dict[str, Any], status: int, field: str, words: str
) -> None:
    before = client.get("/v2/logging").json()
    code = "unsupported" if status == 501 else ""
    check_refusal(client.post("/v2/logging", json=wanted), status, field, words, code=code)
    assert client.get("/v2/logging").json() == before


def test_of_several_workers_none_is_set_alone(repository: Path) -> None:
    with serving(repository, workers=2) as server:
        response = server.client.post("/v2/logging", json={"log_info": False})
        check_refusal(response, 501, "", "workers", code="unsupported")


@pytest.mark.parametrize("path", ["/v2/trace/setting", "/v2/models/rows/trace/setting"])
def test_nothing_is_traced_unless_the_server_was_started_so(
    client: httpx.Client, path: str
) -> None:
    off = client.get(path).json()
    assert off["trace_level"] == ["OFF"]
    for same in ({}, {"trace_level": ["OFF"], "trace_rate": None}):
        assert client.post(path, json=same).json() == off
    response = client.post(path, json={"trace_level": ["TIMESTAMPS"]})
    check_refusal(response, 501, "trace_level", "at the start", code="unsupported")
    check_refusal(client.post(path, json={"trace_colour": "red"}), 400, "trace_colour")
    assert client.get(path).json() == off


def test_an_unknown_model_is_not_traced(client: httpx.Client) -> None:
    check_refusal(client.get("/v2/models/nosuch/trace/setting"), 404, "name", "nosuch")


@pytest.mark.parametrize("kind", ["system", "cuda"])
def test_no_shared_memory_is_ever_registered(client: httpx.Client, kind: str) -> None:
    path = f"/v2/{kind}sharedmemory"
    assert client.get(f"{path}/status").json() == []
    response = client.post(f"{path}/region/mine/register", json={"key": "/mine", "byte_size": 8})
    check_refusal(response, 501, "", f"{kind}_shared_memory", code="unsupported")
    response = client.get(f"{path}/region/mine/status")
    check_refusal(response, 404, "", "'mine'", code="not_found")
    for each in ("unregister", "region/mine/unregister"):
        assert client.post(f"{path}/{each}").status_code == 200


def test_the_extensions_are_those_that_are_there(client: httpx.Client) -> None:
    extensions = client.get("/v2").json()["extensions"]
    assert {"binary_tensor_data", "classification", "model_configuration", "statistics"} <= set(
        extensions
    )
    assert not {"sequence", "trace", "system_shared_memory", "cuda_shared_memory"} & set(extensions)
