"""Tasks over real-valued steps: given as numbers, or as recordings that become log-mel frames."""

from __future__ import annotations

import base64
import binascii
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from service.codec.bodies import wrong_field
from service.codec.simd import read_sequences
from service.codec.tensors import check_most, check_sequence, sequence_array
from service.errors import InvalidRequestError, InvalidSequenceError
from service.graphs.model import Arrays
from service.graphs.spec import spec_of
from service.tasks.audio import read_recording
from service.tasks.task import Bundle, CheckCount, Request, Task, Work

Frames = NDArray[np.float32]
Ids = NDArray[np.signedinteger[Any]]

NUM_FEATURES = 40  # of the bundled models that take frames


def example_frames(num_steps: int, num_features: int = NUM_FEATURES) -> list[list[float]]:
    """Frames of a plausible loudness: log powers between silence and speech."""
    values = np.random.default_rng(num_steps).normal(-10.0, 3.0, (num_steps, num_features))
    rounded: list[list[float]] = values.round(1).tolist()
    return rounded


class FramesRequest(Request, kw_only=True):
    """Frames in `sequences`, or recordings in base64 in `audio`."""

    inputs = ("sequences", "ids", "audio")

    sequences: Annotated[
        list[list[list[float]]] | None,
        Meta(description="sequences x steps x features; lengths may differ"),
    ] = None
    ids: Annotated[
        list[list[int]] | None,
        Meta(description="instead of sequences: sequences x ids, of models that take ids"),
    ] = None
    audio: Annotated[
        str | list[str] | None,
        Meta(description="instead of sequences: recordings (WAV, FLAC, Ogg) in base64"),
    ] = None


class FramesTask(Task):
    """A task over frames (time, features)."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.spec = bundle.spec or spec_of(self.manifest)
        self.takes_ids = not self.manifest.inputs.features
        shortest = self.spec.min_length
        lengths = [max(shortest, length) for length in (3, 2)]
        given: dict[str, Any] = {"ids": [[0] * length for length in lengths]}
        if not self.takes_ids:
            width = self.manifest.num_features
            given = {"sequences": [example_frames(length, width) for length in lengths]}
        self.example = {k: v for k, v in self.example.items() if k != "sequences"} | given

    @abstractmethod
    def check(self, request: Any) -> None:
        """Refuse options out of their range.

        Raises:
            InvalidRequestError: Naming the field.
        """

    @abstractmethod
    def predict(self, request: Any, results: Arrays, length: int) -> dict[str, Any]:
        """The prediction for one sequence.

        Args:
            request: Of the task's own kind.
            results: What the graph answered to it; of each step (time, ...), padding included.
            length: Its steps.
        """

    def read_json(self, body: bytes, check_count: CheckCount) -> tuple[Request, Work]:
        """What a JSON body asks; plain ones are read straight to arrays."""
        plain = self.read_plain(body, check_count)
        if plain is None:
            return super().read_json(body, check_count)
        request, sequences = plain
        self.check(request)
        self._check_forms(["sequences"])
        return request, self._work(request, sequences, "sequences")

    @classmethod
    def read_plain(cls, body: bytes, check_count: CheckCount) -> tuple[Any, list[Frames]] | None:
        """A request and its sequences, read straight to arrays; None if it is not plain."""
        fields = {*cls.request.__struct_fields__} - {"audio", "ids"}
        found = read_sequences(body, fields, check_count)
        if found is None:
            return None
        try:
            return msgspec.convert(found[0], cls.request), found[1]
        except msgspec.ValidationError:  # the decoder words it
            return None

    def read_recording(self, body: bytes, query: Mapping[str, str]) -> tuple[Request, Work]:
        """What a recording as the body asks, with the options in the query."""
        if both := {"audio", "ids", "sequences"} & query.keys():
            raise InvalidRequestError("the body is the recording: give no other", min(both))
        try:
            request = msgspec.convert(dict(query), self.request, strict=False)
        except msgspec.ValidationError as error:
            raise wrong_field(error) from None
        self.check(request)
        frames = self._frames(body, "audio")
        check_sequence(frames, self.spec, "audio")
        return request, self._work(request, [frames], "audio")

    def read(self, request: Any) -> Work:
        """What a decoded body asks."""
        self.check(request)
        forms = ("sequences", "ids", "audio")
        self._check_forms([form for form in forms if getattr(request, form) is not None])
        if request.ids is not None:
            ids = [self._ids(row, f"ids[{index}]") for index, row in enumerate(request.ids)]
            return self._work(request, ids, "ids")
        if request.sequences is not None:
            sequences = [
                self._frames_of(rows, f"sequences[{index}]")
                for index, rows in enumerate(request.sequences)
            ]
            return self._work(request, sequences, "sequences")
        recordings = request.audio if isinstance(request.audio, list) else [request.audio or ""]
        frames = [
            self._frames(_from_base64(text, f"audio[{index}]"), f"audio[{index}]")
            for index, text in enumerate(recordings)
        ]
        return self._work(request, frames, "audio")

    def describe(self) -> dict[str, Any]:
        """What a step is, and how recordings become steps."""
        audio = self.manifest.audio
        return {
            "features": self.manifest.inputs.features,
            "audio": audio.model_dump() if audio else None,
        }

    def _check_forms(self, given: list[str]) -> None:
        """Refuse what is given in no form, in two, or in one of other models."""
        wanted = "ids" if self.takes_ids else "sequences"
        if len(given) != 1:
            choice = f"either {wanted} or audio" if self.manifest.audio else wanted
            raise InvalidRequestError(f"give {choice}", wanted)
        if given[0] not in (wanted, "audio"):
            raise InvalidRequestError(
                f"{self.manifest.name} takes {wanted}, not {given[0]}", given[0]
            )

    def _frames_of(self, rows: list[list[float]], field: str) -> Frames:
        """One sequence, (time, features), of its rows."""
        check_most(len(rows), self.spec.max_length, field)
        return sequence_array(rows, field)

    def _ids(self, ids: list[int], field: str) -> Ids:
        """One sequence, (time,), of its ids."""
        check_most(len(ids), self.spec.max_length, field)
        limits = np.iinfo(self.spec.dtype)
        for step, token in enumerate(ids):
            if not limits.min <= token <= limits.max:
                where = f"{field}[{step}]"
                raise InvalidSequenceError(f"{where} is {token}, no {self.spec.dtype}", where)
        return np.array(ids, self.spec.dtype)

    def _work(self, request: Any, sequences: Sequence[NDArray[Any]], field: str) -> Work:
        lengths = [*map(len, sequences)]
        with np.errstate(over="ignore"):  # too large becomes infinite, refused with its place
            asked = [sequence.astype(self.spec.dtype, copy=False) for sequence in sequences]
        return Work(asked, field, partial(self._answer, request, lengths))

    def _answer(self, request: Any, lengths: list[int], results: Arrays) -> list[dict[str, Any]]:
        return [
            self.predict(request, {name: output[row] for name, output in results.items()}, length)
            for row, length in enumerate(lengths)
        ]

    def _frames(self, recording: bytes, field: str) -> Frames:
        """Frames of a recording, as this model was trained on."""
        audio = self.manifest.audio
        if audio is None:
            raise InvalidSequenceError(
                f"{self.manifest.name} takes sequences, not recordings", field
            )
        max_duration_s = self.manifest.limits.max_length * audio.hop_ms / 1_000
        try:
            return audio.frames(*read_recording(recording, max_duration_s))
        except InvalidSequenceError as error:  # which can't know which of several it was
            raise InvalidSequenceError(f"{field}: {error.message}", field) from error


def _from_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{field} is not base64: {error}", field) from None
