"""Translation by a real server: the scores of each bundle, in any company, and what is refused.

The right answers are the graphs' own, run by onnxruntime for one text at a time, token by token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from service.tasks.translation.vocabulary import BEGIN, END, PADDING, UNKNOWN, Vocabulary
from tests.http.refusals import check_refusal
from tests.servers import REPOSITORY, serving
from training.data.pairs.pairs import Pair, read_pairs
from training.tasks.translation.scores import scores

SAMPLES = Path(__file__).parent / "samples"
TABLES = {"g2p": "cmudict", "dates": "dates", "en": "ddtp"}
FOLDERS = {
    path.parent.parent.name: path.parent
    for path in sorted(REPOSITORY.glob("*/1/model.json"))
    if json.loads(path.read_text())["task"] == "translation"
}
DATES = next(name for name in FOLDERS if name.startswith("dates"))
each_bundle = pytest.mark.parametrize("name", FOLDERS)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server of all that translates."""
    repository = tmp_path_factory.mktemp("repository")
    for name, folder in FOLDERS.items():
        (repository / name).symlink_to(folder.parent)
    with serving(repository) as server:
        yield server.client


def sample(name: str) -> list[Pair]:
    return read_pairs(SAMPLES / f"{TABLES[name.split('-')[0]]}.tsv")


def ask(client: httpx.Client, name: str, texts: list[str] | str, **options: Any) -> list[Any]:
    answer = client.post(f"/v1/models/{name}/predict", json={"texts": texts, **options})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model"], body["version"]) == (name, "1")
    predictions: list[Any] = body["predictions"]
    return predictions


class Alone:
    """A bundle's two graphs, without any of the service's schedulers."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "model.json").read_text())
        self.settings = manifest["settings"]
        self.state = manifest["state"]
        self.forbidden = [PADDING, BEGIN]
        if self.settings["writing"]["unknown"] == "refuse":
            self.forbidden.append(UNKNOWN)
        self.target = Vocabulary.from_bytes((folder / "target.txt").read_bytes())
        self.source = Vocabulary.from_bytes((folder / "source.txt").read_bytes())
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
            for file in ("encoder.onnx", "model.onnx")
        )

    def __call__(self, units: list[str]) -> tuple[list[int], list[np.ndarray]]:
        """The likeliest token each time, and where the decoder looked."""
        one = np.ones(1, np.int64)
        lengths = len(units) * one
        memory, *state = self.encoder.run(
            None, {"inputs": self.source.encode(units)[None], "lengths": lengths}
        )
        held = dict(zip([pair["input"] for pair in self.state], state, strict=True))
        if width := self.settings["cache_width"]:
            held = {"cache": np.zeros((1, 0, width), np.float32), "cache_lengths": 0 * one}
        token, tokens, looked = BEGIN, [], []
        for _ in range(self.settings["max_tokens"]):
            feed = {"inputs": token * one[None], "lengths": one, **held}
            feed |= {"memory": memory, "memory_lengths": lengths}
            logits, attention, *after = self.decoder.run(None, feed)
            if width:
                cache = np.concatenate([held["cache"], after[0]], axis=1)
                held = {"cache": cache, "cache_lengths": held["cache_lengths"] + 1}
            else:
                held = dict(zip(held, after, strict=True))
            logits[0, self.forbidden] = -np.inf
            if (token := int(logits[0].argmax())) == END:
                break
            tokens.append(token)
            looked.append(attention[0])
        return tokens, looked


@each_bundle
def test_scores_are_those_of_the_training(client: httpx.Client, name: str) -> None:
    """One request for all of them, and each alone while many are asked: the same."""
    pairs = sample(name)
    sources = [pair.source for pair in pairs]
    with ThreadPoolExecutor(12) as pool:
        every = pool.submit(ask, client, name, sources)
        alone = list(pool.map(lambda source: ask(client, name, source)[0], sources))
    assert [each["text"] for each in every.result()] == [each["text"] for each in alone]
    np.testing.assert_allclose(
        [each["score"] for each in every.result()], [each["score"] for each in alone], atol=1e-4
    )
    wanted = json.loads((FOLDERS[name] / "metrics.json").read_text())
    measured = {key: value for key, value in wanted["sample"].items() if key != "sequences"}
    texts = [each["text"] for each in alone]
    found = scores(wanted["metric"], texts, [pair.targets for pair in pairs])
    # one text of a hundred may turn where two hypotheses are as good in float32
    assert found == pytest.approx(measured, rel=0.03, abs=0.011)


@each_bundle
def test_answers_are_the_graphs_own(client: httpx.Client, name: str) -> None:
    graph = Alone(FOLDERS[name])
    for pair in sample(name)[:12]:
        found = ask(client, name, pair.source, beam=1, explain=True)[0]
        tokens, looked = graph(found["alignment"]["source"])
        expected = graph.target.decode(tokens)
        for place, token in enumerate(tokens):
            if token == UNKNOWN:
                expected[place] = found["alignment"]["source"][int(looked[place].argmax())]
        assert found["tokens"] == expected
        assert not found["truncated"]
        np.testing.assert_allclose(found["alignment"]["weights"], looked, atol=1e-4)
        np.testing.assert_allclose(np.sum(found["alignment"]["weights"], axis=1), 1, atol=1e-4)


@each_bundle
def test_the_best_of_a_beam_come_in_order(client: httpx.Client, name: str) -> None:
    text = sample(name)[0].source
    found = ask(client, name, text, beam=5, n_best=5)[0]
    listed = [found["score"], *(other["score"] for other in found["alternatives"])]
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == 5
    greedy = ask(client, name, text, beam=1)[0]
    assert greedy["alternatives"] == []
    assert "alignment" not in greedy


@each_bundle
def test_a_target_ends_where_it_may_have_no_more_tokens(client: httpx.Client, name: str) -> None:
    text = sample(name)[1].source
    whole = ask(client, name, text, beam=1)[0]
    cut = ask(client, name, text, beam=1, max_tokens=2)[0]
    assert cut["truncated"]
    assert cut["tokens"] == whole["tokens"][:2]


@each_bundle
def test_what_is_said_of_a_model(client: httpx.Client, name: str) -> None:
    listed = {each["name"]: each for each in client.get("/v1/models").json()["models"]}
    about = listed[name]
    assert (about["task"], about["batching"]) == ("translation", "decoding")
    assert about["vocabulary"]["source"] > 4
    assert about["quality"]["metrics"][about["quality"]["metric"]] >= 0
    limit = about["limits"]["max_length"]
    path = f"/v1/models/{name}/predict"
    check_refusal(client.post(path, json={"texts": ["a " * 9_000]}), 422, "texts[0]", str(limit))
    most = about["max_tokens"]
    refused = client.post(path, json={"texts": ["a"], "max_tokens": most + 1})
    check_refusal(refused, 422, "max_tokens", f"1 to {most}")


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        ({"texts": []}, 422, "texts", ("empty",)),
        ({"texts": [""]}, 422, "texts[0]", ("no characters",)),
        ({"texts": ["1 mai 2019", " \n"]}, 422, "texts[1]", ("no characters",)),
        ({"texts": ["1 mai 2019", "☃ mai"]}, 422, "texts[1]", ("does not know: '☃'",)),
        ({"texts": "☃"}, 422, "texts", ("☃",)),
        ({"texts": ["a" * 1_000]}, 422, "texts[0]", ("1000 characters",)),
        ({"texts": [1]}, 400, "texts[0]", ("`str`",)),
        ({"texts": {"a": 1}}, 400, "texts", ()),
        ({"texts": None}, 400, "texts", ()),
        ({}, 400, "texts", ("missing",)),
        ({"texts": ["1"], "beam": 0}, 422, "beam", ("1 to 32",)),
        ({"texts": ["1"], "beam": 1000}, 422, "beam", ("1 to 32",)),
        ({"texts": ["1"], "beam": "4"}, 400, "beam", ()),
        ({"texts": ["1"], "beam": 2.5}, 400, "beam", ()),
        ({"texts": ["1"], "n_best": 5}, 422, "n_best", ("1 to 4",)),
        ({"texts": ["1"], "beam": 2, "n_best": 0}, 422, "n_best", ("1 to 2",)),
        ({"texts": ["1"], "length_penalty": -1}, 422, "length_penalty", ("0 to 5",)),
        ({"texts": ["1"], "length_penalty": 1e300}, 422, "length_penalty", ()),
        ({"texts": ["1"], "max_tokens": 0}, 422, "max_tokens", ()),
        ({"texts": ["1"], "max_tokens": 10**9}, 422, "max_tokens", ()),
        ({"texts": ["1"], "temperature": 1}, 400, "temperature", ("unknown",)),
        ({"texts": ["1"], "timeout_s": -1}, 400, "timeout_s", ()),
        ({"texts": ["1"], "precision": "int8"}, 400, "precision", ("int8",)),
    ],
)
def test_a_bad_request_is_refused_by_its_field(
    client: httpx.Client, body: Any, status: int, field: str, words: tuple[str, ...]
) -> None:
    answer = client.post(f"/v1/models/{DATES}/predict", json=body)
    check_refusal(answer, status, field, *words)
    assert ask(client, DATES, "1. Mai 2019")[0]["text"] == "2019-05-01"


def test_a_bad_request_harms_no_neighbour(client: httpx.Client) -> None:
    pairs = sample(DATES)[:30]

    def answered(number: int) -> str:
        if number % 3 == 0:
            client.post(f"/v1/models/{DATES}/predict", json={"texts": ["☃"], "beam": 32})
        text: str = ask(client, DATES, pairs[number].source)[0]["text"]
        return text

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answered, range(len(pairs))))
    wanted = [each["text"] for each in ask(client, DATES, [pair.source for pair in pairs])]
    assert found == wanted


def test_tensors_and_recordings_are_not_for_a_translator(client: httpx.Client) -> None:
    tensor = {"name": "inputs", "shape": [1, 2], "datatype": "INT64", "data": [4, 5]}
    answer = client.post(f"/v2/models/{DATES}/infer", json={"inputs": [tensor]})
    check_refusal(answer, 501, "", f"/v1/models/{DATES}/predict", code="unsupported")
    recording = client.post(
        f"/v1/models/{DATES}/predict", content=b"RIFF", headers={"content-type": "audio/wav"}
    )
    check_refusal(recording, 415, "Content-Type")


def test_other_writings_of_one_text_are_one(client: httpx.Client) -> None:
    pair = next(pair for pair in sample(DATES) if pair.source != pair.source.upper())
    found = ask(client, DATES, [pair.source, pair.source.upper(), f"  {pair.source}\n"])
    assert found[0] == found[1] == found[2]
