"""Inference requests in all the ways there are to say them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.http.raw import request

FEATURES = 2
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def plain(
    shape: list[int], data: list[Any] | None = None, lengths: list[int] | None = None, **more: Any
) -> dict[str, Any]:
    """Inputs of this shape and, if they are given, lengths."""
    data = list(range(int(np.prod(shape)))) if data is None else data
    tensors = [{"name": "inputs", "shape": shape, "datatype": "FP32", "data": data}]
    if lengths is not None:
        sizes = {"name": "lengths", "shape": [len(lengths)], "datatype": "INT64", "data": lengths}
        tensors.append(sizes)
    return {"inputs": tensors, **more}


def as_json(
    document: dict[str, Any],
    *headers: tuple[str, str],
    path: str = "echo",
    spaces: bool = True,
    http: str = "1.1",
) -> bytes:
    """A request of JSON alone."""
    text = json.dumps(document, separators=None if spaces else (",", ":"))
    return request(path_of(path), text.encode(), headers, http=http)


def as_binary(
    document: dict[str, Any],
    *headers: tuple[str, str],
    path: str = "echo",
    lengths: bool = True,
    cut: int = 0,
) -> bytes:
    """The same with its numbers behind the JSON, those of `lengths` if so; `cut` is of the end."""
    blobs = b""
    tensors = []
    for tensor in document["inputs"]:
        described = dict(tensor)
        if tensor["name"] == "inputs" or lengths:
            dtype = {"FP32": "<f4", "INT64": "<i8"}[tensor["datatype"]]
            with np.errstate(over="ignore"):
                blob = np.array(described.pop("data"), dtype=dtype).tobytes()
            described["parameters"] = {"binary_data_size": len(blob)}
            blobs += blob
        tensors.append(described)
    text = json.dumps({**document, "inputs": tensors}).encode()
    header = ("Inference-Header-Content-Length", str(len(text)))
    body = text + blobs[: len(blobs) - cut] + b"?" * -cut
    return request(path_of(path), body, [header, *headers])


def path_of(model: str) -> str:
    """Where a model, or a version of it, answers."""
    return model if model.startswith("/") else f"/v2/models/{model}/infer"


numbers = st.one_of(
    st.floats(width=32),
    st.integers(-5, 5),
    st.sampled_from([1e39, 5e-324, 1e-400, 2**70, -0.0, 16777217, "1", None, True, [1], []]),
)
good = st.one_of(st.floats(-9, 9), st.floats(width=32, allow_nan=False, allow_infinity=False))


def mostly(good: Any, bad: Any) -> st.SearchStrategy[Any]:
    """One of the good values, now and then one of the bad."""
    return st.sampled_from([*good] * 4 * len(bad) + [*bad] * len(good))


parameters = st.fixed_dictionaries(
    {},
    optional={
        "priority": mostly([0, 1, 2, 9], [-1]),
        "timeout": mostly([0, 9_000_000, 99_000_000], ["soon"]),
        "precision": mostly(["fp32"], ["int8", "int4"]),
        "binary_data_output": st.booleans(),
    },
)
outputs = st.lists(
    st.fixed_dictionaries(
        {"name": mostly(["logits"], ["weights"])},
        optional={"parameters": st.fixed_dictionaries({"binary_data": st.booleans()})},
    ),
    max_size=3,
)
ids = st.one_of(
    st.text(PRINTABLE.replace('"', "").replace("\\", ""), max_size=40),
    st.text(PRINTABLE, max_size=4),
    st.sampled_from(['"data":[1]', '"id":"x"', "]", "é\n", "\x7f", None, 5]),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly right, with whatever numbers."""
    batch, num_steps = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    size = batch * num_steps * FEATURES
    data: list[Any] = draw(st.lists(good, min_size=size, max_size=size))
    lengths: list[int] | None = draw(
        st.none() | st.lists(st.integers(1, num_steps), min_size=batch, max_size=batch)
    )
    if rarely(draw):
        lengths = draw(st.lists(st.integers(-1, 6), min_size=0, max_size=4))
    if rarely(draw):
        data[draw(st.integers(0, size - 1))] = draw(numbers)
    if rarely(draw):
        data = draw(st.lists(good, max_size=9))
    document = plain([batch, num_steps, FEATURES], data, lengths)
    if draw(st.booleans()):
        document["parameters"] = draw(parameters)
    if draw(st.booleans()):
        document["outputs"] = draw(outputs)
    if draw(st.booleans()):
        id_ = {"id": draw(ids)}
        document = {**id_, **document} if draw(st.booleans()) else {**document, **id_}
    if rarely(draw):
        document = {"x": {"id": "not the request's"}, **document}
    return document


@st.composite
def asked(draw: st.DrawFn) -> list[bytes]:
    """A request, in one of a few ways to say it; and others alike with other numbers and ids."""
    document, path = draw(documents()), draw(st.sampled_from(["echo", "echo/versions/1", "other"]))
    data = document["inputs"][0]["data"]
    others = st.tuples(st.lists(good, min_size=len(data), max_size=len(data)), ids)
    fills = [(data, document.get("id")), *draw(st.lists(others, max_size=2))]
    if draw(st.booleans()) and all(isinstance(value, float) for value in data):
        cut, lengths = draw(mostly([0], [1, 4, 8, -1])), draw(st.booleans())
        return [
            as_binary(filled(document, *fill), path=path, lengths=lengths, cut=cut)
            for fill in fills
        ]
    is_reversed, is_nested, is_repeated, has_more = (rarely(draw) for _ in range(4))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    wholes = []
    for fill, id_ in fills:
        said = filled(document, fill, id_)
        if is_nested:
            pairs = [fill[start : start + 2] for start in range(0, len(fill), 2)]
            said["inputs"][0]["data"] = [pairs]
        if is_reversed:
            said["inputs"].reverse()  # the first numbers are those of the lengths, if any
        if has_more:
            said = {"x": {"data": fill[:2]}, **said}
        text = json.dumps(said, separators=separators)
        if is_repeated:  # the same name again
            text = text.replace('"shape"', '"data":[7,7],"shape"', 1)
        wholes.append(request(path_of(path), text.encode()))
    return wholes


def filled(document: dict[str, Any], data: list[Any], id_: Any) -> dict[str, Any]:
    """The same with other inputs and, if it has an id, another one."""
    inputs, *rest = document["inputs"]
    said = {**document, "inputs": [{**inputs, "data": data}, *rest]}
    return {**said, "id": id_} if "id" in document else said


def rarely(draw: st.DrawFn) -> bool:
    """Whether to do what spoils most."""
    return draw(st.integers(0, 11)) == 7
