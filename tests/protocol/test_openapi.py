"""What the OpenAPI document promises, tried by schemathesis with what it allows and what not.

No request may have an answer that the document does not tell of: another status, another content
type, or a body of another form; nor one that says that the server is at fault.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.protocol.made import LABELLED
from tests.servers import Server, serving

NUM_CASES = int(os.environ.get("SEQSERVE_FUZZ_CASES", "400"))
"""In all, at least; operations with a body have more of them than others."""

MODELS = [LABELLED, "rows", "bytes-1"]

NOT_HERE = 501
"""The one status from 500 on that is an answer: a part of the protocol that is not here."""


@pytest.fixture(scope="module")
def own(repository: Path) -> Iterator[Server]:
    """A server of its own: what it logs is changed."""
    with serving(repository) as server:
        yield server


@pytest.fixture(scope="module")
def operations(own: Server) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{own.base_url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def check_answer(case: Any, response: Any) -> None:
    """Fail unless it is what the document tells of."""
    assert response.status_code < 500 or response.status_code == NOT_HERE, response.text
    case.validate_response(
        response,
        checks=[status_code_conformance, content_type_conformance, response_schema_conformance],
    )


def weight_of(operation: Any) -> int:
    """How much there is to try; 0: there is one request alone."""
    if operation.body:
        return 8 if "{name}" in operation.path else 4
    return 1 if list(operation.iter_parameters()) else 0


def cases_of(operation: Any) -> st.SearchStrategy[Any]:
    """Requests that the document allows, or not."""
    modes = [GenerationMode.POSITIVE]
    if operation.body or list(operation.iter_parameters()):
        modes.append(GenerationMode.NEGATIVE)
    strategies = [operation.as_strategy(generation_mode=mode) for mode in modes]
    # of models that are there, mostly; but they are to stay
    if operation.body and "/v2/models/{name}" in operation.path:
        for model in MODELS:
            path = {"name": model, **({"version": "1"} if "{version}" in operation.path else {})}
            strategies += [
                operation.as_strategy(generation_mode=mode, path_parameters=path) for mode in modes
            ]
    return st.one_of(strategies)


@pytest.mark.timeout(3_600)
def test_no_answer_is_other_than_the_document_says(own: Server, operations: list[Any]) -> None:
    weights = {operation.label: weight_of(operation) for operation in operations}
    unit = -(-NUM_CASES // sum(weights.values()))
    asked: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    with requests.Session() as session:
        for operation in operations:

            @settings(
                deadline=None,
                max_examples=max(unit * weights[operation.label], 1),
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                database=None,
            )
            @given(case=cases_of(operation))
            def check(case: Any) -> None:
                asked[case.operation.label] += 1
                response = case.call(base_url=own.base_url, session=session)
                statuses[response.status_code] += 1
                check_answer(case, response)

            check()
    assert asked.keys() == weights.keys()
    assert asked.total() >= NUM_CASES, asked
    assert statuses[400] > statuses.total() // 10, "hardly anything was read"
