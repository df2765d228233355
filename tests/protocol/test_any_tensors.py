"""Whatever a request says of its tensors, it is answered or refused, and the next one is fine."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.asking import LENGTH
from tests.protocol.made import LABELLED, ONNX, identity_of

MODELS = [identity_of(each, axes) for each in ("FP32", "FP16", "BF16", "BYTES", "BOOL", "INT8")
          for axes in (0, 1, 2)] + ["fixed", "log", "offset", LABELLED]  # fmt: skip

sizes = st.one_of(st.integers(0, 4), st.sampled_from([-1, 2**31, 2**63, 10**30]))
scalars = st.one_of(
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.sampled_from([2**64, -(2**63), 1e39, 1e308, 5e-324, "\ud800"]),
)
data = st.one_of(
    scalars,
    st.lists(scalars, max_size=6),
    st.lists(st.lists(scalars, max_size=3), max_size=3),
    st.lists(st.integers(0, 1), max_size=6),
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": st.one_of(st.integers(-1, 40), scalars),
        "binary_data": st.one_of(st.booleans(), scalars),
        "classification": st.one_of(st.integers(-1, 3), scalars),
        "shared_memory_region": scalars,
        "note": scalars,
    },
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "x", "x", "inputs", "lengths", "offset", "\0"]),
        "shape": st.one_of(st.lists(sizes, max_size=3), st.lists(st.just(1), max_size=10), scalars),
        "datatype": st.one_of(st.sampled_from([*ONNX]), scalars),
    },
    optional={"data": data, "parameters": parameters},
)
outputs = st.fixed_dictionaries(
    {"name": st.sampled_from(["y", "logits", "x"])}, optional={"parameters": parameters}
)
asked = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3)},
    optional={
        "outputs": st.lists(outputs, max_size=2),
        "id": st.one_of(st.text(max_size=3), scalars),
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_output", "sequence_id", "timeout", "priority", "a"]),
            scalars,
        ),
    },
)


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(MODELS), asked, st.binary(max_size=24), st.data())
def test_no_tensors_are_too_odd(
    client: httpx.Client, model: str, document: Any, blobs: bytes, data: st.DataObject
) -> None:
    head = json.dumps(document).encode()
    header = data.draw(st.sampled_from([None, str(len(head)), "0", "1"]))
    headers = {} if header is None else {LENGTH: header}
    response = client.post(f"/v2/models/{model}/infer", content=head + blobs, headers=headers)
    assert response.status_code in {200, 400, 415, 422, 501}, response.text
    if response.status_code != 200:
        assert response.json()["error"]
    elif LENGTH not in response.headers:
        json.loads(response.content, parse_constant=lambda name: 1 / 0)  # NaN is no JSON


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_bytes_of_a_fitting_size_are_a_tensor(
    client: httpx.Client, data: st.DataObject
) -> None:
    datatype = data.draw(st.sampled_from([*ONNX]))
    body = data.draw(st.binary(min_size=8, max_size=8))
    tensor = {"name": "x", "shape": [8], "datatype": datatype,
              "parameters": {"binary_data_size": 8}}  # fmt: skip
    head = json.dumps({"inputs": [tensor]}).encode()
    response = client.post(
        f"/v2/models/{identity_of(datatype, 1)}/infer",
        content=head + body,
        headers={LENGTH: str(len(head))},
    )
    assert response.status_code in {200, 400, 422}, response.text
