"""Whatever shares a batch with it, every sequence gets the answer that it would get alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.features import LogMel
from tests.http.alone import Alone, softmax
from tests.http.payloads import (
    EXAMPLES,
    EXPLAINING,
    FAMILIES,
    JSON,
    RECORDING,
    WAV,
    Frames,
    frames,
    infer_body,
    infer_path,
    predict_body,
    predict_path,
    rows_of,
    samples_of,
    to_base64,
)
from tests.http.refusals import refuse

EXPLAINED = {"attention", "occlusion"}
TOLERANCE = 5e-5
"""Of a probability: batches of other shapes add up in another order, an RNN goes on with that."""

lengths = st.integers(1, 250)  # the bundles take up to 251 steps, 5 s of speech
requests = st.lists(st.lists(lengths, min_size=1, max_size=4), min_size=2, max_size=8)
seeds = st.integers(0, 1_000)


def post_at_once(client: httpx.Client, posts: Sequence[tuple[str, Any]]) -> list[Any]:
    """The answers to requests that are all under way together."""
    bodies = [msgspec.json.encode(body) for _, body in posts]

    def post(path: str, body: bytes) -> Any:
        response = client.post(path, content=body, headers=JSON)
        assert response.status_code == 200, response.text
        return response.json()

    with ThreadPoolExecutor(len(posts)) as pool:
        return list(pool.map(post, [path for path, _ in posts], bodies))


def check(prediction: dict[str, Any], sequence: Frames, alone: Alone) -> None:
    """Hold one prediction of /v1 (all labels asked for, attention if any) against the graph."""
    expected = alone(sequence)
    got = {ranked["label"]: ranked["probability"] for ranked in prediction["top"]}
    probabilities = [got[label] for label in alone.labels]
    np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=TOLERANCE)
    ranked = [ranked["probability"] for ranked in prediction["top"]]
    assert ranked == sorted(ranked, reverse=True)
    assert prediction["top"][0] == {key: prediction[key] for key in ("label", "probability")}
    if expected.weights is not None:
        assert len(prediction["attention"]) == len(sequence)
        assert sum(prediction["attention"]) == pytest.approx(1.0, abs=1e-4)
        np.testing.assert_allclose(
            prediction["attention"], expected.weights, rtol=0, atol=TOLERANCE
        )


@pytest.mark.parametrize("model", FAMILIES)
def test_rows_in_concurrent_mixed_batches_equal_the_rows_alone(
    client: httpx.Client, alone: dict[str, Alone], model: str
) -> None:
    @settings(deadline=None, max_examples=8)
    @given(requests, seeds)
    def hold(wanted: list[list[int]], seed: int) -> None:
        asked = [
            [frames(length, seed + row) for row, length in enumerate(request)] for request in wanted
        ]
        options = {"top_k": 10, "explain": model in EXPLAINING}
        posts = [(predict_path(model), predict_body(*request, **options)) for request in asked]
        for request, answer in zip(asked, post_at_once(client, posts), strict=True):
            assert (answer["model"], answer["version"]) == (model, "1")
            for sequence, prediction in zip(request, answer["predictions"], strict=True):
                check(prediction, sequence, alone[model])

    hold()


@settings(deadline=None, max_examples=5)
@given(st.lists(st.tuples(st.sampled_from(FAMILIES), lengths), min_size=8, max_size=24), seeds)
def test_models_under_load_together_do_not_mix(
    client: httpx.Client, alone: dict[str, Alone], wanted: list[tuple[str, int]], seed: int
) -> None:
    asked = [(model, frames(length, seed)) for model, length in wanted]
    posts = [
        (predict_path(model), predict_body(sequence, top_k=10, explain=model in EXPLAINING))
        for model, sequence in asked
    ]
    for (model, sequence), answer in zip(asked, post_at_once(client, posts), strict=True):
        assert answer["model"] == model
        check(answer["predictions"][0], sequence, alone[model])


@pytest.mark.parametrize("model", FAMILIES)
def test_rubbish_in_the_padding_of_v2_changes_nothing(
    client: httpx.Client, alone: dict[str, Alone], model: str
) -> None:
    @settings(deadline=None, max_examples=5)
    @given(requests, seeds)
    def hold(wanted: list[list[int]], seed: int) -> None:
        asked = [
            [frames(length, seed + row) for row, length in enumerate(request)] for request in wanted
        ]
        posts = [(infer_path(model), infer_body(*request, padding=1e30)) for request in asked]
        for request, answer in zip(asked, post_at_once(client, posts), strict=True):
            logits, *weights = map(rows_of, answer["outputs"])
            assert bool(weights) == alone[model].explains
            for row, sequence in enumerate(request):
                expected = alone[model](sequence)
                np.testing.assert_allclose(
                    softmax(logits[row]), expected.probabilities, rtol=0, atol=TOLERANCE
                )
                if expected.weights is not None:
                    own = weights[0][row]
                    np.testing.assert_allclose(
                        own[: len(sequence)], expected.weights, rtol=0, atol=TOLERANCE
                    )
                    assert not own[len(sequence) :].any()

    hold()


@pytest.mark.parametrize("model", FAMILIES)
def test_both_protocols_agree(client: httpx.Client, model: str) -> None:
    sequences = [frames(length) for length in (7, 31, 1, 120)]
    task = client.post(predict_path(model), json=predict_body(*sequences, top_k=10)).json()
    tensors = client.post(infer_path(model), json=infer_body(*sequences)).json()
    for prediction, logits in zip(task["predictions"], rows_of(tensors["outputs"][0]), strict=True):
        got = {int(ranked["label"]): ranked["probability"] for ranked in prediction["top"]}
        np.testing.assert_allclose(
            [got[index] for index in range(10)], softmax(logits), rtol=0, atol=1e-5
        )


def test_nested_and_flat_data_and_rows_without_lengths_are_one(client: httpx.Client) -> None:
    sequences = [frames(6, seed) for seed in range(3)]
    body = infer_body(*sequences)
    answers = []
    for data in (np.stack(sequences).tolist(), np.stack(sequences).ravel().tolist()):
        tensor = {**body["inputs"][0], "data": data}
        for inputs in ([tensor], [tensor, body["inputs"][1]], [body["inputs"][1], tensor]):
            response = client.post(infer_path(), json={"inputs": inputs})
            assert response.status_code == 200, response.text
            answers.append(rows_of(response.json()["outputs"][0]))
    assert len(answers) == 6
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_recording_is_its_frames_whichever_way_it_comes(
    client: httpx.Client, alone: dict[str, Alone], model: str
) -> None:
    samples, sample_rate_hz = samples_of(RECORDING)
    sequence = LogMel(**alone[model].manifest["audio"]).frames(samples, sample_rate_hz)
    query = "?top_k=10&explain=true"
    body = client.post(predict_path(model) + query, content=RECORDING, headers=WAV).json()
    options = {"top_k": 10, "explain": True}
    audio = {"audio": to_base64(RECORDING), **options}
    posts = [audio, {**audio, "audio": [audio["audio"]]}, predict_body(sequence, **options)]
    others = [client.post(predict_path(model), json=post).json() for post in posts]
    for answer in (body, *others):
        check(answer["predictions"][0], sequence, alone[model])


def test_several_recordings_are_answered_in_order(client: httpx.Client) -> None:
    recordings = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.wav"))]
    assert len(recordings) >= 7
    texts = [to_base64(recording) for recording in recordings]
    together = client.post(predict_path(), json={"audio": texts}).json()["predictions"]
    for recording, prediction in zip(recordings, together, strict=True):
        single = client.post(predict_path(), content=recording, headers=WAV).json()
        assert single["predictions"][0]["label"] == prediction["label"]
        assert single["predictions"][0]["probability"] == pytest.approx(
            prediction["probability"], abs=TOLERANCE
        )


@pytest.mark.parametrize("model", FAMILIES)
def test_what_an_answer_hangs_on_is_shown_if_asked(
    client: httpx.Client, alone: dict[str, Alone], model: str
) -> None:
    sequences = [frames(5), frames(50)]
    silent = client.post(predict_path(model), json=predict_body(*sequences)).json()
    assert all(prediction.keys().isdisjoint(EXPLAINED) for prediction in silent["predictions"])
    told = client.post(predict_path(model), json=predict_body(*sequences, explain=True)).json()
    for sequence, prediction in zip(sequences, told["predictions"], strict=True):
        if model in EXPLAINING:
            assert len(prediction["attention"]) == len(sequence)
            assert "occlusion" not in prediction
        else:
            assert prediction["attention"] is None
            np.testing.assert_allclose(
                prediction["occlusion"], occlusion_of(sequence, alone[model]), atol=TOLERANCE
            )


def occlusion_of(sequence: Frames, alone: Alone) -> list[float]:
    """What the label loses without each step's window: windows of `size` steps, 16 at most."""
    size = next(size for size in range(1, len(sequence) + 1) if 16 * size >= len(sequence))
    whole = alone(sequence).probabilities
    lost = []
    for step in range(len(sequence)):
        occluded = sequence.copy()
        first = step - step % size
        occluded[first : first + size] = sequence.mean(axis=0)
        lost.append(whole.max() - alone(occluded).probabilities[whole.argmax()])
    return lost


def test_a_copy_is_as_finite_as_its_sequence(client: httpx.Client) -> None:
    body = predict_body(np.full((4, 40), 3e38, np.float32), explain=True)
    answer = client.post(predict_path("digits-gru"), json=body).json()
    assert len(answer["predictions"][0]["occlusion"]) == 4, answer


def test_so_many_sequences_are_explained_and_no_more(client: httpx.Client) -> None:
    sequences = [frames(3)] * 9
    body = predict_body(*sequences, explain=True)
    refuse(client, predict_path(), body, 400, "explain", "8 sequences explained, not 9")
    answer = client.post(predict_path(), json=predict_body(*sequences[:8], explain=True))
    assert len(answer.json()["predictions"]) == 8


@pytest.mark.parametrize(("top_k", "listed"), [(1, 1), (3, 3), (10, 10), (1_000, 10)])
def test_top_k_lists_that_many(client: httpx.Client, top_k: int, listed: int) -> None:
    body = predict_body(frames(9), top_k=top_k)
    (prediction,) = client.post(predict_path(), json=body).json()["predictions"]
    assert len({ranked["label"] for ranked in prediction["top"]}) == listed
    assert len(prediction["top"]) == listed


def test_integers_are_numbers_and_a_generous_timeout_is_kept(client: httpx.Client) -> None:
    body = {"sequences": [[[-10] * 40] * 3], "timeout_s": 1e9}
    assert client.post(predict_path(), json=body).status_code == 200
    query = "?timeout_s=20.5&top_k=2&explain=false"
    response = client.post(predict_path() + query, content=RECORDING, headers=WAV)
    assert response.status_code == 200
    assert len(response.json()["predictions"][0]["top"]) == 2


@pytest.mark.parametrize("model", FAMILIES)
def test_extreme_but_finite_values_get_an_answer_or_a_reason(
    client: httpx.Client, model: str
) -> None:
    largest = float(np.finfo(np.float32).max)
    for value in (largest, -largest, 0.0, 1e-45):
        response = client.post(predict_path(model), json={"sequences": [[[value] * 40] * 2]})
        answer = response.json()
        if response.status_code == 422:
            assert answer["field"] == "sequences[0]"
        else:
            assert response.status_code == 200
            assert 0 <= answer["predictions"][0]["probability"] <= 1
