"""A server tells when what its models are given is not what they learnt from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.manifest import Manifest, read_manifest
from service.tasks.features import LogMel
from service.telemetry.metrics import Metrics
from service.telemetry.settings import TelemetrySettings
from tests.http.made import copy_bundle
from tests.http.payloads import EXAMPLES, JSON, WAV, frames, infer_path, predict_path
from tests.http.scrape import Scrape
from tests.monitoring.test_bins import index_of, shares_of
from tests.servers import REPOSITORY, Server, serving, wait_until

LSTM, TRANSFORMER = "digits-lstm", "digits-transformer"
SENT = 100  # a window's half: however often somebody looks meanwhile, it then has these alone
RECORDINGS = sorted(EXAMPLES.glob("*.wav"))
FP32 = {"model": LSTM, "precision": "fp32"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("inputs")
    for model in (LSTM, TRANSFORMER):
        copy_bundle(model, repository)
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(
        repository, engine_threads=1, input_sample_share=1, input_window=2 * SENT
    ) as server:
        yield server


def quieter(path: Path) -> bytes:
    """The recording as a microphone of a hundredth of the gain has it."""
    samples, rate_hz = soundfile.read(path)
    written = io.BytesIO()
    soundfile.write(written, samples / 100, rate_hz, format="WAV", subtype="FLOAT")
    return written.getvalue()


def send(server: Server, bodies: list[bytes], model: str = LSTM) -> None:
    """Ask until the window has nothing else, and somebody has looked."""
    before = Scrape(server)("seqserve_input_sequences_total", model=model)
    count = 0
    while count < SENT:
        for body in bodies:
            answer = server.client.post(predict_path(model), content=body, headers=WAV)
            answer.raise_for_status()
            count += 1
    wait_until(
        lambda: Scrape(server)("seqserve_input_sequences_total", model=model) == before + count
    )


def indices(server: Server) -> dict[str, float]:
    scrape, labels = Scrape(server), {"model": LSTM, "precision": "fp32"}
    names = manifest().inputs.features
    return {
        name: scrape("seqserve_input_stability_index", feature=name, **labels) for name in names
    }


def manifest() -> Manifest:
    return read_manifest(REPOSITORY / LSTM / "1")


def test_the_indices_are_of_what_was_sent_and_move_when_it_shifts(server: Server) -> None:
    as_recorded = [path.read_bytes() for path in RECORDINGS]
    send(server, as_recorded)
    usual, scrape = indices(server), Scrape(server)
    audio, profile = manifest().audio, manifest().profile
    assert isinstance(audio, LogMel)
    heard = [
        audio.frames(*soundfile.read(path, dtype="float32")) for path in RECORDINGS
    ]  # independent of the server: the same features of the same recordings
    steps = np.concatenate(heard)
    for column, bins, name in zip(
        steps.T, profile.feature_bins, manifest().inputs.features, strict=True
    ):
        wanted = index_of(shares_of(column.tolist(), bins.edges), bins.shares)
        assert usual[name] == pytest.approx(wanted, rel=1e-3, abs=1e-4), name
    lengths = [float(len(each)) for each in heard]
    assert profile.length_bins is not None
    wanted = index_of(shares_of(lengths, profile.length_bins.edges), profile.length_bins.shares)
    found = scrape("seqserve_input_length_stability_index", **FP32)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert max(usual.values()) < 0.25
    outside = scrape("seqserve_input_values_total", range="below", **FP32)
    inside = scrape("seqserve_input_values_total", range="inside", **FP32)
    assert outside < 0.01 * inside
    assert scrape("seqserve_input_length_steps_sum", **FP32) / sum(lengths) == pytest.approx(5)
    predictions = scrape("seqserve_predictions_total", **FP32)
    assert predictions == scrape("seqserve_input_sequences_total", **FP32)
    assert {it for it in "0123456789" if scrape("seqserve_predictions_total", label=it)} == {
        *"0123456789"
    }

    send(server, [quieter(path) for path in RECORDINGS])
    shifted = indices(server)
    assert min(shifted.values()) > 0.25
    # lengths are as they were; the other model was not asked
    assert Scrape(server)("seqserve_input_length_stability_index", **FP32) == pytest.approx(found)
    assert Scrape(server)("seqserve_input_sequences_total", model=TRANSFORMER) == 0

    send(server, as_recorded)
    assert indices(server) == pytest.approx(usual)


def test_values_that_are_not_finite_are_refused_and_counted(server: Server) -> None:
    before = Scrape(server)("seqserve_not_finite_inputs_total", model=LSTM)
    array = frames(5)
    array[2, 3] = np.nan
    body = (
        b'{"inputs":[{"name":"inputs","shape":[1,5,40],"datatype":"FP32",'
        b'"parameters":{"binary_data_size":800}}]}'
    )
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(body)),
    }
    answer = server.client.post(infer_path(LSTM), content=body + array.tobytes(), headers=headers)
    assert answer.status_code == 422
    assert server.client.post(infer_path(LSTM), content=b"{", headers=JSON).status_code == 400
    after = Scrape(server)("seqserve_not_finite_inputs_total", model=LSTM)
    assert after == before + 1


def test_a_share_of_none_looks_at_nothing() -> None:
    for share in (0.0, 0.1):
        metrics = Metrics(TelemetrySettings(input_sample_share=share))
        model = metrics.of_model(LSTM, "1")
        assert (model.look_at_inputs(manifest()) is None) == (share == 0)


def test_workers_tell_of_what_all_of_them_were_given(repository: Path) -> None:
    with serving(
        repository, workers=2, engine_threads=1, input_sample_share=1, input_window=2 * SENT
    ) as server:
        send(server, [quieter(path) for path in RECORDINGS])
        assert min(indices(server).values()) > 0.25
