"""README's request answers what README says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from tests.servers import CHECKOUT, Server

README = (CHECKOUT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def test_the_request_in_readme_answers_as_readme_says(server: Server) -> None:
    found = re.search(
        r"\n    (curl --data-binary .*?)\n\n"
        r"<!-- answer:begin -->\n```json(.*?)```\n<!-- answer:end -->",
        README,
        re.DOTALL,
    )
    assert found is not None
    command = found[1].replace("\\\n", " ").replace(ADDRESS, server.base_url)
    printed = subprocess.run(
        shlex.split(command), cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    answer, promised = json.loads(printed), json.loads(found[2])
    for prediction in (answer["predictions"][0], promised["predictions"][0]):
        assert prediction["probability"] == prediction["top"][0]["probability"]
    for ranked, expected in zip(
        answer["predictions"][0].pop("top"), promised["predictions"][0].pop("top"), strict=True
    ):
        assert ranked["label"] == expected["label"]
        assert ranked["probability"] == pytest.approx(expected["probability"], abs=1e-4)
    for body in (answer, promised):
        del body["predictions"][0]["probability"]
    assert answer == promised
