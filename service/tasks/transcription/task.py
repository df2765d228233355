"""Transcription of recordings or frames: labels, their times, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from service.errors import BundleError, InvalidSequenceError
from service.graphs.model import Arrays
from service.tasks.frames import FramesRequest, FramesTask, example_frames
from service.tasks.task import Bundle, Work
from service.tasks.transcription.ctc import log_softmax
from service.tasks.transcription.settings import TranscriptionSettings
from service.tasks.transcription.transcript import DecoderName, Transcript, transcribe

MAX_BEAM = 100
MAX_BEAM_STEPS = 200_000
"""Prefixes times steps that one request may have decoded: about a second on one core."""


class TranscriptionRequest(FramesRequest, kw_only=True):
    """Recordings to write down."""

    decoder: Annotated[
        DecoderName,
        Meta(description="`greedy`: the likeliest label of each step; `beam`: the likeliest text"),
    ] = "greedy"
    beam: Annotated[
        int,
        Meta(
            description="texts that `beam` goes on with at each step",
            extra_json_schema={"minimum": 1, "maximum": MAX_BEAM},
        ),
    ] = 10


class Transcription(FramesTask):
    """Writes down what is said in each sequence."""

    request = TranscriptionRequest
    prediction = Transcript
    has_slow_answers = True
    example = {  # noqa: RUF012 - each model has its own in the end
        "sequences": [example_frames(3)],
        "decoder": "beam",
        "beam": 10,
    }

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        outputs, settings, audio = (
            self.manifest.outputs,
            self.manifest.settings,
            self.manifest.audio,
        )
        if not isinstance(settings, TranscriptionSettings):
            raise BundleError("settings: a transcription says which label is the blank")
        if not outputs.per_step or settings.blank >= len(outputs.labels):
            raise BundleError("outputs: a transcription has labels of each step, one is the blank")
        if audio is None:
            raise BundleError("audio: a transcription says how a recording becomes frames")
        self.blank, self.separator = settings.blank, settings.separator
        self.step_s = audio.hop_ms / 1_000

    def check(self, request: TranscriptionRequest) -> None:
        """Refuse a beam out of its range."""
        if not 1 <= request.beam <= MAX_BEAM:
            raise InvalidSequenceError(f"beam must be 1 to {MAX_BEAM}, not {request.beam}", "beam")

    def predict(
        self, request: TranscriptionRequest, results: Arrays, length: int
    ) -> dict[str, Any]:
        """The transcript of one sequence."""
        names = self.manifest.outputs
        logits = results[names.logits][:length]
        prediction: dict[str, Any] = {
            **transcribe(
                logits,
                names.labels,
                self.blank,
                self.step_s,
                request.decoder,
                request.beam,
                self.separator,
            )
        }
        if request.explain:  # null: this family has no attention to show
            prediction["posteriors"] = np.exp(log_softmax(logits))
            weights = results[names.weights][:length] if names.weights else None
            prediction["attention"] = None if weights is None else np.ascontiguousarray(weights)
        return prediction

    def describe(self) -> dict[str, Any]:
        """Its labels, and which of them is said when nothing is."""
        return {
            **super().describe(),
            "labels": self.manifest.outputs.labels,
            "blank": self.blank,
            "max_duration_s": self.manifest.limits.max_length * self.step_s,
        }

    def _work(
        self, request: TranscriptionRequest, sequences: Sequence[NDArray[Any]], field: str
    ) -> Work:
        steps = sum(map(len, sequences))
        if request.decoder == "beam" and request.beam * steps > MAX_BEAM_STEPS:
            raise InvalidSequenceError(
                f"a beam of {request.beam} over {steps} steps is too much for one request: "
                f"at most {MAX_BEAM_STEPS} together",
                "beam",
            )
        return super()._work(request, sequences, field)
