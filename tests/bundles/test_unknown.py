"""What an input has that a model's vocabulary lacks is answered all the same, and counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bundles.some import serving_some
from tests.http.payloads import predict_path
from tests.http.scrape import Scrape

CASES: dict[str, tuple[dict[str, Any], int]] = {
    "pos-birnn": ({"texts": "The zorblax said frumious ."}, 2),
    "languages-gru": ({"texts": "a ꙮ tool ꙮ"}, 2),
    "shakespeare-gru": ({"prompts": ["a☃"], "max_tokens": 1, "seed": 0}, 1),
}


@pytest.mark.parametrize("model", CASES)
def test_unknown_ones_are_counted(model: str) -> None:
    body, num_unknown = CASES[model]
    with serving_some(model) as server:
        for times in (1, 2):
            response = server.client.post(predict_path(model), json=body)
            assert response.status_code == 200, response.text
            counted = Scrape(server)("seqserve_unknown_tokens_total", model=model)
            assert counted == times * num_unknown
