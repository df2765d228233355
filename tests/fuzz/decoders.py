"""A fuzz target: whatever bytes come, the decoders refuse them in words or read them.

`python -m tests.fuzz.decoders FOLDER -max_total_time=600` runs it, guided by the coverage of
`service.codec`; FOLDER begins with requests that are right, and gathers what led further.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["service.codec"]):
    from service.codec.binary import json_bytes
    from service.codec.compression import compress, decompress
    from service.codec.infer import InferBody, read_body
    from service.codec.raw import read_raw

from service import native
from service.errors import ServiceError
from service.graphs.spec import Signature, TensorSpec
from service.lane.heads import READER

MAX_BYTES = 1 << 16
SEQUENCES = Signature(
    (TensorSpec("x", "FP32", (-1, -1, 2)), TensorSpec("n", "INT64", (-1,), is_optional=True)),
    (TensorSpec("y", "FP32", (-1, 3)),),
)
TENSORS = Signature(
    (TensorSpec("s", "BYTES", (-1,)), TensorSpec("b", "BOOL", (-1, 2), is_optional=True)),
    (TensorSpec("h", "BF16", (-1,)), TensorSpec("t", "BYTES", (-1,))),
)
SIGNATURES = (SEQUENCES, TENSORS)
KINDS = ("whole", "binary", "raw", "gzip", "deflate", "head")


def seeds() -> list[bytes]:
    """Right requests of each kind, with the byte that says which."""
    numbers = np.arange(4, dtype=np.float32).tobytes()
    plain = b'{"id":"1","inputs":[{"name":"x","shape":[1,2,2],"datatype":"FP32","data":[1,2,3,4]}]}'
    binary = (
        b'{"inputs":[{"name":"x","shape":[1,2,2],"datatype":"FP32",'
        b'"parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}}'
    )
    text = b'{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a","b"]}]}'
    head = (
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\n"
        b"Content-Length: 3\r\nX-Request-ID: a\r\n\r\n"
    )
    bodies = {
        "whole": [plain, text],
        "binary": [struct.pack("<H", len(binary)) + binary + numbers],
        "raw": [numbers],
        "gzip": [compress(plain, "gzip")],
        "deflate": [compress(text, "deflate")],
        "head": [head],
    }
    return [
        bytes([signature + 2 * KINDS.index(kind)]) + body
        for kind, all_bodies in bodies.items()
        for body in all_bodies
        for signature in range(len(SIGNATURES))
    ]


def check(read: InferBody, signature: Signature) -> None:
    """Hold what was read against what it must be."""
    specs = {spec.name: spec for spec in signature.inputs}
    for name, array in read.arrays.items():
        assert name in specs
        assert array.size < 1 << 20, "more values than bytes came"
    assert all(output.name in {spec.name for spec in signature.outputs} for output in read.outputs)


def read_one(data: bytes) -> None:
    """Have one input read as its first byte says; only a refusal in words may be raised."""
    which, body = (data[0] if data else 0), data[1:]
    signature, kind = SIGNATURES[which % 2], KINDS[which // 2 % len(KINDS)]
    try:
        if kind == "head":
            READER.read(body)
            native.cuts_of(body, -1)
        elif kind in ("gzip", "deflate"):
            unpacked = decompress(body, kind, MAX_BYTES)
            assert len(unpacked) <= MAX_BYTES
            check(read_body(unpacked, len(unpacked), signature), signature)
        elif kind == "raw":
            check(read_raw(body, signature), signature)
        else:
            length = len(body)
            if kind == "binary":
                header, body = str(int.from_bytes(body[:2], "little")), body[2:]
                length = json_bytes(header, body) or len(body)
            native.cuts_of(body, length if kind == "binary" else -1)
            check(read_body(body, length, signature), signature)
    except ServiceError as error:
        if not (400 <= error.status_code < 500 or error.status_code == 501):
            raise AssertionError(f"the caller is not at fault: {error!r}") from error


def main() -> None:
    """Fuzz, as libFuzzer's flags say."""
    for index, seed in enumerate(seeds()):
        read_one(seed)
        for folder in (Path(argument) for argument in sys.argv[1:] if argument[0] != "-"):
            (folder / f"seed-{index}").write_bytes(seed)
    atheris.Setup(sys.argv, read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
