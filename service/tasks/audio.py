"""A recording's bytes to mono samples: WAV, FLAC or Ogg."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from service.errors import InvalidSequenceError

# how the bytes begin; libsndfile's other parsers never meet what strangers send
KINDS = (b"RIFF", b"RF64", b"fLaC", b"OggS")
BLOCK_SAMPLES = 16_384  # decoded at a time
UNKNOWN_SIZE = 0xFFFFFFFF  # what a program writes that streams a WAV through a pipe


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
    if body[:4] == b"RIFF" and len(body) >= 8:
        (size,) = struct.unpack_from("<I", body, 4)
        if size not in (0, UNKNOWN_SIZE) and size + 8 > len(body):
            raise InvalidSequenceError(
                f"the WAV is truncated: its header says {size + 8} bytes, {len(body)} came", "audio"
            )
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as recording:
            sample_rate_hz = int(recording.samplerate)
            if recording.frames > max_duration_s * sample_rate_hz:
                raise InvalidSequenceError(
                    f"the recording lasts {recording.frames / sample_rate_hz:.2f} s, "
                    f"the limit is {max_duration_s:.2f} s",
                    "audio",
                )
            samples = _decode(recording)
    except (soundfile.SoundFileError, RuntimeError) as error:
        # its message names the buffer's address, its `error_string` only the reason
        reason = getattr(error, "error_string", error)
        raise InvalidSequenceError(
            f"not a recording that can be read: {reason}", "audio"
        ) from error
    return samples, sample_rate_hz


def _decode(recording: soundfile.SoundFile) -> NDArray[np.float32]:
    """All samples (samples,), channels mixed to their mean.

    In blocks, so that memory follows what is there, not what a header of a few bytes announces.
    """
    blocks: list[NDArray[np.float32]] = []
    while len(block := recording.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
        with np.errstate(over="ignore", invalid="ignore"):  # the frames refuse what is not finite
            blocks.append(block.mean(axis=1, dtype=np.float32))
    if not blocks:
        raise InvalidSequenceError("the recording has no samples", "audio")
    return np.concatenate(blocks)
