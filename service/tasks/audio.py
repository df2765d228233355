"""A recording's bytes to mono samples: WAV, FLAC or Ogg."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.headers import WAVES, check_pages, with_true_sizes

# how the bytes begin; libsndfile's other parsers never meet what strangers send
KINDS = (*WAVES, b"fLaC", b"OggS")
BLOCK_SAMPLES = 16_384  # decoded at a time
MAX_SAMPLES = 1 << 36  # that a header counts; libsndfile has more where that of a FLAC counts none


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A recording read from its start to its end: a FLAC without a length can't be sought in."""

    def seekable(self) -> bool:
        """Not here."""
        return False


def read_recording(body: bytes, max_duration_s: float) -> tuple[NDArray[np.float32], int]:
    """Decode a recording and mix its channels down.

    Args:
        body: The file's bytes; WAV of any sample format, FLAC or Ogg.
        max_duration_s: Longer recordings are refused before they are decoded.
    Returns:
        samples: float32 (samples,), mono, full scale 1.0.
        sample_rate_hz: As the file says.
    Raises:
        InvalidSequenceError: Empty, truncated, too long, or not a recording.
    """
    if not body:
        raise InvalidSequenceError("the recording is empty (0 bytes)", "audio")
    if not body.startswith(KINDS):
        raise InvalidSequenceError("not a recording: neither WAV, FLAC nor Ogg", "audio")
    if body.startswith(WAVES):
        body = with_true_sizes(body)
    check_pages(body)
    try:
        with _Stream(io.BytesIO(body)) as recording:
            sample_rate_hz = int(recording.samplerate)
            max_samples = int(max_duration_s * sample_rate_hz)
            announced = recording.frames if recording.frames < MAX_SAMPLES else None
            if announced is not None and announced > max_samples:
                raise _too_long(f"{announced / sample_rate_hz:.2f} s", max_duration_s)
            samples = _decode(recording, max_samples)
    except (soundfile.SoundFileError, RuntimeError) as error:
        # its message names the buffer's address, its `error_string` only the reason
        reason = getattr(error, "error_string", error)
        raise InvalidSequenceError(
            f"not a recording that can be read: {reason}", "audio"
        ) from error
    if len(samples) > max_samples:
        raise _too_long("longer", max_duration_s)
    if announced is not None and len(samples) < announced:
        raise InvalidSequenceError(
            f"the recording is truncated: its header says {announced} samples, {len(samples)} came",
            "audio",
        )
    return samples, sample_rate_hz


def _too_long(lasts: str, max_duration_s: float) -> InvalidSequenceError:
    return InvalidSequenceError(
        f"the recording lasts {lasts}, the limit is {max_duration_s:.2f} s", "audio"
    )


def _decode(recording: soundfile.SoundFile, max_samples: int) -> NDArray[np.float32]:
    """All samples (samples,), channels mixed to their mean; of too many, a block more at most.

    In blocks, so that memory follows what is there, not what a header of a few bytes announces.
    """
    blocks: list[NDArray[np.float32]] = []
    num_samples = 0
    while num_samples <= max_samples and len(
        block := recording.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
    ):
        num_samples += len(block)
        with np.errstate(over="ignore", invalid="ignore"):  # the frames refuse what is not finite
            blocks.append(block.mean(axis=1, dtype=np.float32))
    if not blocks:
        raise InvalidSequenceError("the recording has no samples", "audio")
    return np.concatenate(blocks)
