"""A server asked in JSON, with arrays by name."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from service.datatypes import DATATYPES, datatype_of
from tests.servers import Server


def ask(server: Server, name: str, **inputs: NDArray[Any]) -> httpx.Response:
    body = {
        "inputs": [
            {
                "name": key,
                "shape": list(value.shape),
                "datatype": datatype_of(value.dtype),
                "data": value.ravel().tolist(),
            }
            for key, value in inputs.items()
        ]
    }
    return server.client.post(f"/v2/models/{name}/infer", json=body)


def outputs_of(response: httpx.Response) -> dict[str, NDArray[Any]]:
    assert response.status_code == 200, response.text
    return {
        output["name"]: np.array(output["data"], DATATYPES[output["datatype"]]).reshape(
            output["shape"]
        )
        for output in response.json()["outputs"]
    }
