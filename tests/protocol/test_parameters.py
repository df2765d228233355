"""What a request's parameters may say: taken, refused by name, or refused as not here."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.refusals import check_refusal
from tests.protocol.asking import described, infer

TENSOR, _ = described("x", np.ones((1, 3), np.float32), "FP32", binary=False)


def ask(client: httpx.Client, **parameters: Any) -> httpx.Response:
    return infer(client, "rows", {"inputs": [TENSOR], "parameters": parameters})


def test_any_flat_value_is_taken(client: httpx.Client) -> None:
    assert ask(client, note="any", flag=True, count=3, share=0.5, tritonish=1).status_code == 200


@pytest.mark.parametrize("value", [[], {}, [1], [None]])
def test_a_value_that_is_not_flat_is_refused(client: httpx.Client, value: Any) -> None:
    response = ask(client, mine=value)
    assert response.status_code == 400
    assert response.json()["field"].startswith("parameters")


def test_names_of_the_server_are_reserved(client: httpx.Client) -> None:
    field = "parameters.triton_enable_empty_final_response"
    check_refusal(ask(client, triton_enable_empty_final_response=True), 400, field, "reserved")


@pytest.mark.parametrize(
    "wanted", [{"sequence_id": 7}, {"sequence_id": "a"}, {"sequence_start": True}]
)
def test_state_between_requests_is_not_silently_left_out(
    client: httpx.Client, wanted: dict[str, Any]
) -> None:
    (name,) = wanted
    response = ask(client, **wanted)
    check_refusal(response, 501, f"parameters.{name}", "state", code="unsupported")


@pytest.mark.parametrize("none", [{"sequence_id": 0}, {"sequence_id": "", "sequence_end": False}])
def test_no_sequence_is_none(client: httpx.Client, none: dict[str, Any]) -> None:
    assert ask(client, **none).status_code == 200


@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_a_tensor_in_shared_memory_is_not_here(client: httpx.Client, field: str) -> None:
    memory = {"shared_memory_region": "mine", "shared_memory_byte_size": 12}
    document: dict[str, Any] = {"inputs": [TENSOR], "outputs": [{"name": "y"}]}
    tensor = {key: value for key, value in document[field][0].items() if key != "data"}
    document[field] = [{**tensor, "parameters": memory}]
    response = infer(client, "rows", document)
    where = f"{field}[0].parameters.shared_memory_region"
    check_refusal(response, 501, where, "shared memory", code="unsupported")
